"""A plant in operation: a day of requests, watts and heat, with incidents, flat in memory.

`operate` gives a `Day`; `traffic` makes what comes, an `Incident` is what goes wrong.

>>> from aifactory_lab.twin import operations
>>> operations.Incident("gpu", at_hours=10).kind
'gpu'
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import incidents, traffic
    from aifactory_lab.twin.operations.day import Day
    from aifactory_lab.twin.operations.incidents import Incident
    from aifactory_lab.twin.operations.operation import operate

__all__ = ["Day", "Incident", "incidents", "operate", "traffic"]
_HOMES = {"Day": "day", "Incident": "incidents", "operate": "operation"}

# Numba takes its time.
__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
