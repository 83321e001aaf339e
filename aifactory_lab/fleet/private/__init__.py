"""A private, real Slurm on this machine: its own munge, MariaDB, slurmdbd, slurmctld and nodes, on loopback only.

    plant = private.up()            # about 10 s the first time
    private.status().state          # "up", "down" or "broken"
    private.down()

It is for learning, for tests and for one workstation whose projects share GPUs: quota, lending, reclaim, preemption and
accounting are Slurm's own. It knows nothing of jobs; `fleet.slurm` sends them, to this Slurm as to any other.

>>> import tempfile
>>> status(tempfile.mkdtemp()).state
'down'
"""

from aifactory_lab.fleet.private.plant import Plant, down, status, up

__all__ = ["Plant", "down", "status", "up"]
