"""Where a plant's replicas stand: on which GPUs, in which chassis and rack, and how many others each one stands for.

A replica keeps within one NVLink domain. What it serves is not known here.

>>> from aifactory_lab.twin.plant import Plant
>>> places = Places.of(Plant(gpus=64, chassis="dgx-h100"), tp=4, training_gpus=16)
>>> len(places), places.chassis.tolist()[-3:], places.training_chassis
(12, [4, 5, 5], 2)
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.plant import Plant

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Places:
    """Replicas that are simulated; made by `of` and `sample`.

    Attributes
    ----------
    plant, tp, training_chassis
        Whose they are, GPUs of each, and how many chassis, the last ones, train instead.
    number
        The replicas' numbers, counted over the plant, (n,).
    stratum
        Which of the groups of like replicas each one is of, ascending, (n,).
    weight
        How many replicas each one stands for, itself included, (n,).
    strata
        The stratum of every replica of the plant, (count,).
    """

    plant: Plant
    tp: int
    training_chassis: int
    number: Whole
    stratum: Whole
    weight: Reals
    strata: Whole

    @classmethod
    def of(cls, plant: Plant, tp: int, training_gpus: int = 0) -> Self:
        """Return all replicas of a plant, each standing for itself.

        Raises
        ------
        TwinError
            If a replica does not fit a chassis, or training takes all of them.
        """
        each = plant.gpus_per_chassis
        if not 1 <= tp <= each:
            msg = f"a replica of tp={tp!r} GPUs does not fit {plant.chassis}, whose NVLink joins {each}"
            raise TwinError(msg, mend=f'tp={each}, precision="fp8", or chassis="gb200-nvl72"')
        training = -(-training_gpus // each)
        if not 0 <= training < plant.chassis_count:
            msg = f"training_gpus={training_gpus!r} leave none of {plant.gpus} GPUs to serve"
            raise TwinError(msg, mend=f"training_gpus={plant.gpus - each}")
        count = (plant.chassis_count - training) * (each // tp)
        none = np.zeros(count, np.int64)
        return cls(plant, tp, training, np.arange(count), none, np.ones(count), none)

    def __len__(self) -> int:
        return len(self.number)

    @property
    def per_chassis(self) -> int:
        """Replicas of a chassis."""
        return self.plant.gpus_per_chassis // self.tp

    @property
    def count(self) -> int:
        """Replicas of the plant."""
        return self.serving_chassis * self.per_chassis

    @property
    def serving_chassis(self) -> int:
        """Chassis that serve."""
        return self.plant.chassis_count - self.training_chassis

    @property
    def chassis(self) -> Whole:
        """The chassis of each, (n,)."""
        return np.asarray(self.number // self.per_chassis, np.int64)

    @property
    def rack(self) -> Whole:
        """The rack of each, (n,)."""
        return np.asarray(self.chassis // self.plant.chassis_per_rack, np.int64)

    def standing(self, lost: Flags) -> Flags:
        """Return which replicas of the whole plant have all their GPUs, (count,), from the GPUs that are lost."""
        serving = lost[: self.serving_chassis * self.plant.gpus_per_chassis]
        rows = serving.reshape(self.serving_chassis, self.plant.gpus_per_chassis)[:, : self.per_chassis * self.tp]
        return np.asarray(~rows.reshape(self.count, self.tp).any(axis=1), np.bool_)

    def spread(self, values: Reals, up: Flags) -> Reals:
        """Return a figure for every replica of the plant, (count,), from the simulated ones' that stand, (n,).

        Where not all are simulated, each has the mean of its stratum.
        """
        if len(self) == self.count:
            found = np.zeros(self.count)
            found[self.number] = np.where(up, values, 0.0)  # they may stand in the order of their strata
            return found
        groups = int(self.strata.max()) + 1
        total, many = (np.bincount(self.stratum, one, groups) for one in (np.where(up, values, 0.0), up))
        return np.asarray((total / np.maximum(many, 1))[self.strata], np.float64)

    def sample(self, strata: Whole, sizes: Whole, generator: np.random.Generator) -> "Places":
        """Return some of them, drawn from each stratum without putting back.

        Parameters
        ----------
        strata
            The stratum of every replica of the plant, from 0, (count,).
        sizes
            How many to draw of each.
        """
        drawn = [
            np.sort(generator.choice(np.flatnonzero(strata == place), size, replace=False))
            for place, size in enumerate(sizes.tolist())
        ]
        number = np.concatenate(drawn)
        stratum = np.repeat(np.arange(len(sizes)), sizes)
        weight = (np.bincount(strata, minlength=len(sizes)) / sizes)[stratum]
        return replace(self, number=number, stratum=stratum, weight=weight, strata=strata)
