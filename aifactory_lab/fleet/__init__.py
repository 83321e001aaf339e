"""The plant's jobs: one `submit` on a workstation, on Slurm, or inline; projects, quotas, gangs, and why a job waits.

Rooms open when they are first entered: submitit, Dask and the schedulers are imported where they are used.

>>> from aifactory_lab import fleet
>>> fleet.Fleet("inline").submit(pow, 2, 10).result()
1024
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.fleet import engines, frames, orders
    from aifactory_lab.fleet.dispatch import Fleet
    from aifactory_lab.fleet.jobs import Job

__all__ = ["Fleet", "Job", "engines", "frames", "orders", "private"]
_FROM = {"Fleet": "dispatch", "Job": "jobs"}


def __getattr__(name: str) -> Any:
    """Open a room on first use (PEP 562)."""
    if name in _FROM:
        return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    msg = f"fleet has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
