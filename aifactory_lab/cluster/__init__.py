"""Workers beyond one process: Dask on this machine's cores, on its GPUs, or at an address.

It starts workers and says which and why; what runs on them is the business of the rooms after it (`etl`, `train`,
`fleet.gang`). It knows no jobs and no quota.

    with cluster.start() as here:
        etl.run(recipe, raw, out=folder, engine="cluster", client=here.client)

>>> from aifactory_lab import cluster
>>> cluster.Options(threads=2).on_cpu("cpu was asked for by argument")
'one worker for every 2 cores, no GPU (cpu was asked for by argument); what a worker cannot hold goes to disk'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.cluster.options import Options
    from aifactory_lab.cluster.places import Cluster, start

__all__ = ["Cluster", "Options", "start"]


def __getattr__(name: str) -> Any:
    """Open on first use (PEP 562): Dask is loaded only where workers are wanted."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.{'options' if name == 'Options' else 'places'}"), name)
    msg = f"cluster has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
