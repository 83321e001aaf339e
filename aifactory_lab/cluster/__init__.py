"""Workers beyond one process: Dask on this machine's cores, on its GPUs, or at an address.

It starts workers and says which and why; what runs on them is the business of the rooms after it (`etl`, `train`,
`fleet.gang`). It knows no jobs and no quota.

    with cluster.start() as here:
        etl.run(recipe, raw, out=folder, engine="cluster", client=here.client)

>>> from aifactory_lab import cluster
>>> cluster.Options(threads=2).on_cpu("cpu was asked for by argument")
'one worker for every 2 cores, no GPU (cpu was asked for by argument); what a worker cannot hold goes to disk'
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.cluster.options import Options
    from aifactory_lab.cluster.places import Cluster, start

__all__ = ["Cluster", "Options", "start"]
_HOMES = {"Cluster": "places", "Options": "options", "start": "places"}

# Dask is loaded only where workers are wanted.
__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
