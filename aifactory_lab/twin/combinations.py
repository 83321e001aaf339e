"""The combinations of a sweep, reckoned as arrays: all of one chassis, model and precision at once.

What does not depend on the water's temperature, the clock under a limit and the tokens at that clock, is reckoned once
for every limit that there is; the site comes after, for each water and air. Grids and choices are `sweep`'s.

>>> prices(None).shape
(2, 3)
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.twin import cooling, cost, inference, models, step_costs
from aifactory_lab.twin.activity import Activity, settle, steady
from aifactory_lab.twin.inference import Prediction
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.site import Assumed, coolant_celsius, kelvin_per_watt, site
from aifactory_lab.twin.step_costs import Costs

Numbers = NDArray[np.float64]
Singles = NDArray[np.float32]
Codes = NDArray[np.uint8]
OUTER = ("chassis", "model", "precision")
WATER = ("rejection", "water_celsius", "dry_celsius", "humidity")
INNER = ("tp", "isl", "osl", "concurrency", "cap_share")
WHY = ("", "does not fit the memory", "larger than the NVLink domain", "the cap is not above idle power")
FIGURES: tuple[str, ...] = ("ttft", "tpot", "tokens_per_second_per_gpu", "batch", "clock", "gpu_watts", "pue")
FIGURES += ("watts_per_gpu", "tokens_per_second_per_mw", "joules_per_token", "dollars_per_mtoken", "kg_co2e_per_mtoken")
ABOUT = 1024  # GPUs of the plant that each row stands for: its share of switches is counted


@dataclass
class Group:
    """All combinations of one chassis, model and precision."""

    chassis: str
    model: str
    precision: str
    axes: dict[str, list[Any]]

    @cached_property
    def plant(self) -> Plant:
        """The plant that each row has its share of."""
        return Plant.about(ABOUT, self.chassis)

    @cached_property
    def sizes(self) -> tuple[Numbers, ...]:
        """The inner axes but the cap, each along a dimension of its own, and a last one of length 1 for limits."""
        values = [np.asarray(self.axes[name], np.float64) for name in INNER[:-1]]
        return tuple(one[..., None] for one in np.ix_(*values))

    def costs(self, clock: Numbers) -> Costs:
        """Return what a step costs at a clock."""
        return step_costs.of(
            models.model(self.model), self.plant.gpu, tp=self.sizes[0], precision=self.precision, clock=clock,
            parameters=inference.fitted().parameters,
        )  # fmt: skip

    def predict(self, clock: Numbers) -> Prediction:
        """Return what requests see at a clock."""
        tp, isl, osl, concurrency = self.sizes
        return inference.predict(
            self.model, self.plant.gpu, tp=tp, isl=isl, osl=osl, concurrency=concurrency,
            precision=self.precision, clock=clock,
        )  # fmt: skip

    def work(self, clock: Numbers) -> Activity:
        """Return the activity at a clock, of the shape of the sizes and the clock."""
        found, (_, isl, osl, _) = self.predict(clock), self.sizes
        batch, rate = np.nan_to_num(found.batch, nan=1.0), np.nan_to_num(found.requests_per_second)
        return steady(self.costs(clock), batch, rate, isl=isl, osl=osl)

    def figures(self, each: Numbers) -> tuple[Codes, dict[str, Singles]]:
        """Return why each combination cannot be, as places in `WHY`, and all `FIGURES`: waters first, then `INNER`.

        Parameters
        ----------
        each
            Of `prices`.
        """
        gpu, waters = self.plant.gpu, [Water(self.plant, *one) for one in self._waters()]
        caps = np.asarray(self.axes["cap_share"], np.float64) * gpu.tdp_watts
        asked = np.stack([np.maximum(np.minimum(caps, one.limit), idle_watts(gpu) * 1.001) for one in waters])
        limits, places = np.unique(asked, return_inverse=True)
        seen = self._seen(limits)
        why = np.broadcast_to(self._why(seen["tpot"][..., :1], caps > idle_watts(gpu)), (*self._shape, len(caps)))
        blocks = [
            one.figures({name: value[..., at] for name, value in seen.items()} | {"share": self.share}, each)
            for one, at in zip(waters, places.reshape(asked.shape), strict=True)
        ]
        found = {
            name: np.stack([np.where(why == 0, one[name], np.nan).astype(np.float32) for one in blocks]).ravel()
            for name in FIGURES
        }
        return np.tile(why.ravel(), len(waters)), found

    @cached_property
    def share(self) -> Numbers:
        """Share of the GPUs that replicas fit into; what is left over idles. NaN where a replica is too large."""
        domain, tp = self.plant.gpus_per_chassis, self.sizes[0]
        return np.where(tp <= domain, domain // tp * tp / domain, np.nan)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(len(self.axes[name]) for name in INNER[:-1])

    def _waters(self) -> Iterable[tuple[Any, ...]]:
        return itertools.product(*(self.axes[name] for name in WATER))

    def _seen(self, limits: Numbers) -> dict[str, Numbers]:
        """Return what is seen of requests and GPUs under each limit; NaN all over where nothing fits."""
        shape = (*self._shape, len(limits))
        _, isl, osl, _ = self.sizes
        names = ("clock", "gpu_watts", "ttft", "tpot", "batch", "tokens_per_second_per_gpu")
        if not (self.costs(np.ones(1)).admitted(isl + osl / 2) >= 1).any():
            return dict.fromkeys(names, np.full(shape, np.nan))
        clock = settle(self.plant.gpu, self.work, np.broadcast_to(limits, shape))
        watts, seen = self.work(clock).watts(self.plant.gpu, clock=clock), self.predict(clock)
        values = (clock, watts, seen.ttft, seen.tpot, seen.batch, seen.tokens_per_second_per_gpu)
        return {name: np.broadcast_to(value, shape) for name, value in zip(names, values, strict=True)}

    def _why(self, tpot: Numbers, possible: NDArray[np.bool_]) -> Codes:
        """Return places in `WHY`, of the shape of the sizes and the caps."""
        wrong = np.broadcast_arrays(~possible, np.isnan(self.share), np.isnan(tpot))
        return np.select(wrong, [3, 2, 1], 0).astype(np.uint8)


@dataclass
class Water:
    """A way of cooling in some air."""

    base: Plant
    rejection: str
    water_celsius: float
    dry_celsius: float
    humidity: float

    @cached_property
    def plant(self) -> Plant:
        """The plant with this water."""
        return replace(self.base, water_celsius=self.water_celsius, rejection=self.rejection)

    @cached_property
    def wet_celsius(self) -> float:
        """Of the air's wet bulb."""
        return float(cooling.wet_bulb(self.dry_celsius, self.humidity))

    @cached_property
    def limit(self) -> float:
        """Most that a GPU may draw so as to keep its temperature."""
        coolant = coolant_celsius(self.plant, dry_celsius=self.dry_celsius, wet_celsius=self.wet_celsius)
        return (Assumed().limit_celsius - float(coolant)) / kelvin_per_watt(self.plant)

    def figures(self, found: dict[str, Numbers], each: Numbers) -> dict[str, Numbers]:
        """Add what follows from the GPUs' watts and tokens."""
        plant, share = self.plant, found["share"]
        mean = share * found["gpu_watts"] + (1 - share) * idle_watts(plant.gpu)
        where = site(
            plant, np.nan_to_num(plant.gpus * mean), dry_celsius=self.dry_celsius, wet_celsius=self.wet_celsius
        )
        watts, water = where.watts / plant.gpus, where.cooled.water_kg_s / plant.gpus
        tokens = found["tokens_per_second_per_gpu"] * share
        money, carbon = ((gpu + watt * watts + litre * water) / tokens for gpu, watt, litre in each)
        return found | {
            "tokens_per_second_per_gpu": tokens,
            "pue": where.pue,
            "watts_per_gpu": watts,
            "tokens_per_second_per_mw": tokens / watts * 1e6,
            "joules_per_token": watts / tokens,
            "dollars_per_mtoken": money,
            "kg_co2e_per_mtoken": carbon,
        }


def prices(assume: Mapping[str, Any] | None) -> Numbers:
    """Return dollars and kg CO2e of a million tokens a second: for each GPU, watt and kg/s of water (2, 3).

    A bill is linear in the three, so three bills tell it.
    """
    used = {"utilisation": 1.0} | dict(assume or {})

    def bill(gpus: float, watts: float, water: float) -> Numbers:
        found = cost.per_mtoken(
            tokens_per_second=1.0, gpus=gpus, it_watts=watts, pue=1.0, water_kg_s=water, assume=used
        )  # fmt: skip
        return np.array([found.dollars[1], found.kg_co2e[1]])

    base, watt = bill(1, 1, 0), bill(1, 2, 0)
    per_watt = watt - base
    return np.stack([base - per_watt, per_watt, bill(1, 1, 1) - base], axis=1)
