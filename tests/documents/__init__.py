"""What the documents say, taken apart so that tests can ask whether it is true.

Documents are the Markdown files of the checkout and the Markdown of the lessons. `texts` reads them, `commands` knows
the shell, `python` follows names and binds calls, `links` knows what may be linked to, `claims` recomputes numbers.

>>> from tests.documents import texts
>>> texts.readme().name
'README.md'
"""
