"""The newcomer: a fresh clone on a machine with nothing of ours, where the documents are done as they are written.

`machine` makes the place, `shell` runs commands, `notebooks` runs lessons and Python blocks, `__main__` walks through
all and prints what he stumbled over. `make newcomer` takes about half an hour; CI asks `tests/documents` instead.

>>> from tests.newcomer import shell
>>> shell.kind("make dash"), shell.kind("make bench"), shell.kind("make run")
('serves', 'long', 'runs')
"""
