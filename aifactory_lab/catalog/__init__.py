"""The catalogue: everything that has a name here, what it needs, whether that is here, and how it is run.

Nothing is written twice: every entry is told by the room that owns it. `systems` is another table: what AI factories
are made of, and what stands for each part here.

>>> from aifactory_lab import catalog
>>> catalog.find("datasets/flights").licence
'CC0-1.0'
>>> catalog.run("datasets/flights", say=None).frame.columns[:2]
['table', 'column']
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.catalog.entry import KINDS, Entry, Ran, State
    from aifactory_lab.catalog.inventory import markdown, systems
    from aifactory_lab.catalog.shelves import entries, find, run

_HOMES = {
    "KINDS": "entry",
    "Entry": "entry",
    "Ran": "entry",
    "State": "entry",
    "entries": "shelves",
    "find": "shelves",
    "markdown": "inventory",
    "run": "shelves",
    "systems": "inventory",
}
__all__ = ["KINDS", "Entry", "Ran", "State", "entries", "find", "markdown", "run", "systems"]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
