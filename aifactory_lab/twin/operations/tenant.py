"""A training job beside the service: its share of full speed while GPUs, nodes and switches fail and come back.

It runs in step: the slowest link and the clock set its pace, a chassis with a lost GPU drops out of it, and whatever
changes stops it for a restart and for the work since its last checkpoint. Watts are not known here.

>>> job = Tenant(Plant(gpus=128, chassis="dgx-h100"), chassis=4)
>>> job.share(0.0, 60.0, whole=4, slowest=1.0), job.share(60.0, 120.0, whole=3, slowest=1.0)
(1.0, 0.0)
"""

from dataclasses import dataclass

from aifactory_lab.twin import training
from aifactory_lab.twin.plant import Plant

# Of a training step at full speed: what waits for the network. An assumption.
NETWORK_SHARE = 0.2
# What a restart and a checkpoint take, as in `training.plan`. Assumptions.
RESTART_SECONDS, CHECKPOINT_SECONDS = 300.0, 30.0
LONGEST_SECONDS = 3600.0  # between checkpoints, however rarely a small job fails. An assumption.


@dataclass
class Tenant:
    """A job on the last chassis of a plant.

    Attributes
    ----------
    plant, chassis
        How many of its chassis train.
    """

    plant: Plant
    chassis: int

    def __post_init__(self) -> None:
        self.state: tuple[int, float] = (self.chassis, 1.0)
        self.stopped_until = 0.0

    @property
    def stop_seconds(self) -> float:
        """Seconds that a change costs: a restart, and half of Young's interval between checkpoints."""
        gpus = max(1, self.chassis * self.plant.gpus_per_chassis)
        mtbf = training.job_mtbf_hours(gpus) * training.HOUR
        interval = training.young_seconds(checkpoint_seconds=CHECKPOINT_SECONDS, mtbf_seconds=mtbf)
        return RESTART_SECONDS + min(interval, LONGEST_SECONDS) / 2

    def share(self, begin: float, end: float, *, whole: int, slowest: float, clock: float = 1.0) -> float:
        """Return its speed in a window, as a share of the speed at which it began.

        Parameters
        ----------
        begin, end
            Seconds.
        whole
            Chassis of the job that have all their GPUs.
        slowest
            Share of its bandwidth that the node with the least has left (`fabric.Degraded.slowest`).
        clock
            Share of the boost clock.
        """
        if not self.chassis:
            return 0.0
        if (whole, slowest) != self.state:
            self.state = (whole, slowest)
            self.stopped_until = begin + self.stop_seconds
        if not whole or not slowest:
            return 0.0
        running = max(0.0, end - max(begin, self.stopped_until)) / (end - begin)
        pace = 1 / ((1 - NETWORK_SHARE) / clock + NETWORK_SHARE / slowest)
        return running * pace * whole / self.chassis
