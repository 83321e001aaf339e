"""The plant's jobs: one `submit` on a workstation, on Slurm, or inline; projects, quotas, gangs, and why a job waits.

Rooms open when they are first entered: submitit, Dask and the schedulers are imported where they are used.

>>> from aifactory_lab import fleet
>>> fleet.Fleet("inline").submit(pow, 2, 10).result()
1024
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.fleet import engines, frames, orders
    from aifactory_lab.fleet.dispatch import Fleet
    from aifactory_lab.fleet.jobs import Job

__all__ = ["Fleet", "Job", "engines", "frames", "orders", "private"]
_HOMES = {"Fleet": "dispatch", "Job": "jobs"}

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
