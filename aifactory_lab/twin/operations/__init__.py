"""A plant in operation: a day of requests, watts and heat, with incidents, flat in memory.

`operate` gives a `Day`; `traffic` makes what comes, an `Incident` is what goes wrong.

>>> from aifactory_lab.twin import operations
>>> operations.Incident("gpu", at_hours=10).kind
'gpu'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import incidents, traffic
    from aifactory_lab.twin.operations.day import Day
    from aifactory_lab.twin.operations.incidents import Incident
    from aifactory_lab.twin.operations.operation import operate

__all__ = ["Day", "Incident", "incidents", "operate", "traffic"]
_HOMES = {"Day": "day", "Incident": "incidents", "operate": "operation"}
_ROOMS = ("incidents", "traffic")


def __getattr__(name: str) -> Any:
    """Import a part on first use (PEP 562): numba takes its time."""
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"{__name__} has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
