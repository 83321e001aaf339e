"""Who may come in: what every server of the house asks, whatever it serves.

Everything listens on the loopback address unless it is told otherwise, and then it asks for a token. `tokens` finds
or makes that token and compares it; `gate` looks at a request's Host, Origin and Authorization; `asgi` puts a gate in
front of an application. No module here opens a socket.

>>> from aifactory_lab.access.tokens import local
>>> local("127.0.0.1"), local("0.0.0.0")
(True, False)
"""
