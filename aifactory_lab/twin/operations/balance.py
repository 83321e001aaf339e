"""A plant's watts and temperatures from window to window, and the clocks at which its GPUs may go in the next one.

One cap holds for every GPU, as high as the grid, the coolers that run and the plant's own limit allow; who draws less
is not slowed. What a GPU did in one window says what it would draw in the next: more work than before may go over a cap
for one window. The coolant follows what the cooling gives with a lag; heat stored in it meanwhile is not counted. Who
asks for what is not known here.

>>> from aifactory_lab.twin import climate
>>> balance = Balance(Plant(gpus=64, chassis="dgx-h100"), climate.steady(20))
>>> demand = Demand(serving=64, training=0, alive=64, chassis=8, activity=Activity(np.float64(0.5), np.float64(0.2)))
>>> capped = [Incident("grid", at_hours=0, watts=62e3)]
>>> [round(balance.clock(demand, 0.0, active)[0], 2) for active in ([], capped)]
[1.0, 0.51]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.twin import site
from aifactory_lab.twin.activity import Activity, settle
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.operations import incidents as kinds
from aifactory_lab.twin.operations.incidents import Incident
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts

Numbers = NDArray[np.float64]
# Of the water between coolers and machines: a few turns of the loop, each of a minute or so. An assumption.
LAG_SECONDS = 300.0
CLOCKS = 1000  # steps of the boost clock: 0.1 %, taken downwards
POINTS = (
    33  # of the GPUs' power at which the site's is reckoned; it is straight between them, but for converters' floors
)


@dataclass(frozen=True)
class Demand:
    """GPUs by what they do: that serve and train, that are there at all, and chassis with power.

    `activity` is that of a serving GPU on average, as it was at `clock`.
    """

    serving: float
    training: float
    alive: float
    chassis: int
    activity: Activity
    clock: float = 1.0

    @property
    def idle(self) -> float:
        """GPUs that are there and do nothing."""
        return self.alive - self.serving - self.training

    def at(self, clock: Numbers) -> Activity:
        """Return the activity at another clock: the same arithmetic takes longer, up to all the time."""
        core = self.activity.core * self.clock / clock
        return Activity(np.minimum(core, 1 - self.activity.memory), np.broadcast_to(self.activity.memory, core.shape))


@dataclass
class Balance:
    """What a plant may draw, and how warm its coolant is.

    Attributes
    ----------
    plant, climate
        The plant, and the air outside.
    assumed
        See `site.Assumed`.
    lag_seconds
        Time in which the coolant makes 63 % of its way to where the cooling holds it.
    coolant
        Its temperature in °C.
    """

    plant: Plant
    climate: Climate
    assumed: site.Assumed = field(default_factory=site.Assumed)
    lag_seconds: float = LAG_SECONDS
    coolant: float = math.nan

    def air(self, seconds: float, active: Sequence[Incident]) -> dict[str, float]:
        """Return the air's temperatures by name, with the heat waves that last."""
        hotter = sum(one.kelvin for one in active if one.kind == "heat")
        dry, wet = (self.climate.warmer(by=hotter) if hotter else self.climate).at(seconds)
        return {"dry_celsius": float(dry), "wet_celsius": float(wet)}

    def heat_limit(self, active: Sequence[Incident]) -> float:
        """Return the most that the chassis may draw by the coolers that run, spares included, in watts."""
        plant, share, limits = self.plant, self.plant.part.liquid_share, [math.inf]
        if plant.cdus:
            limits.append((plant.cdus - kinds.count(active, "cdu")) * plant.cdu_part.capacity_watts / share)
        if plant.air_units:
            limits.append((plant.air_units - kinds.count(active, "fan")) * plant.air_unit_watts / (1 - share))
        return min(limits)

    def budget(self, chassis: int, seconds: float, active: Sequence[Incident]) -> float:
        """Return the most that all GPUs together may draw, in watts, by coolers and by the grid."""
        power = self.plant.node_power
        found = (self.heat_limit(active) - chassis * power.base_watts) / power.slope
        caps = [one.watts for one in active if one.kind == "grid" and one.watts is not None]
        if caps:
            gpus = np.linspace(0.0, self.plant.gpus * self.plant.gpu.tdp_watts, POINTS)
            drawn = site.site(
                self.plant, gpus, powered=chassis, assumed=self.assumed, **self.air(seconds, active)
            ).watts
            found = min(found, float(np.interp(min(caps), drawn, gpus, left=-1.0, right=math.inf)))
        return found

    def clock(self, demand: Demand, seconds: float, active: Sequence[Incident]) -> tuple[float, float, bool]:
        """Return the clocks of serving and of training GPUs, and whether what they must keep to can be kept."""
        gpu, rest = self.plant.gpu, idle_watts(self.plant.gpu)
        if math.isnan(self.coolant):
            self.coolant = self.target(seconds, active)
        limit = float(site.limit_watts(self.plant, coolant=self.coolant, assumed=self.assumed))
        left = self.budget(demand.chassis, seconds, active) - demand.idle * rest
        each = left / max(demand.serving + demand.training, 1e-9)
        asked = (float(demand.at(np.ones(1)).watts(gpu)[0]), float(self.training.watts(gpu)))
        wants = (min(limit, asked[0]), min(limit, asked[1]))
        serving, training = _shared(left, each, (demand.serving, demand.training), wants)
        least = rest * 1.001
        caps = [max(least, min(limit, cap)) for cap in (serving, training)]
        clocks = [
            np.atleast_1d(settle(gpu, work, cap)) for work, cap in zip((demand.at, self._train), caps, strict=True)
        ]
        first, second = (math.floor(float(one[0]) * CLOCKS) / CLOCKS for one in clocks)
        return first, second, each >= least

    @property
    def training(self) -> Activity:
        """Activity of a training GPU; as in inference, memory takes a quarter of it. An assumption."""
        whole = np.asarray(self.assumed.training_activity, np.float64)
        return Activity(0.75 * whole, 0.25 * whole)

    def _train(self, clock: Numbers) -> Activity:
        return Activity(
            np.broadcast_to(self.training.core, clock.shape), np.broadcast_to(self.training.memory, clock.shape)
        )

    def target(self, seconds: float, active: Sequence[Incident], heat_watts: float = 0.0) -> float:
        """Return where the coolant's temperature goes: what the cooling gives, warmer where there is too much heat."""
        excess = max(0.0, heat_watts / self.heat_limit(active) - 1)
        reached = site.coolant_celsius(self.plant, assumed=self.assumed, **self.air(seconds, active))
        return float(reached) + excess * self.plant.cooling.rise_kelvin

    def warm(self, seconds: float, length: float, active: Sequence[Incident], heat_watts: float) -> float:
        """Let the coolant follow for a window, and return its temperature in °C."""
        target = self.target(seconds, active, heat_watts)
        self.coolant = target + (self.coolant - target) * math.exp(-length / self.lag_seconds)
        return self.coolant


def _shared(left: float, each: float, counts: tuple[float, float], wants: tuple[float, float]) -> tuple[float, float]:
    """Return a cap for each of two groups of GPUs: the same, but what one does not want goes to the other."""
    if counts[0] * wants[0] + counts[1] * wants[1] <= left:
        return math.inf, math.inf
    found = [each, each]
    for one, other in ((0, 1), (1, 0)):
        if wants[one] <= each and counts[other]:
            found[one], found[other] = wants[one], (left - counts[one] * wants[one]) / counts[other]
    return found[0], found[1]
