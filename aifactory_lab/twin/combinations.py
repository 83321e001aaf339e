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
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.twin import cooling, cost, inference, models, step_costs
from aifactory_lab.twin.activity import Activity, settle, steady
from aifactory_lab.twin.inference import Prediction
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.site import Assumed, coolant_celsius, kelvin_per_watt, site
from aifactory_lab.twin.step_costs import Costs

Numbers = NDArray[np.float64]
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

    def frames(self, each: Numbers) -> list[pl.DataFrame]:
        """Return a frame for each water and air."""
        gpu, waters = self.plant.gpu, [Water(self.plant, *one) for one in self._waters()]
        caps = np.asarray(self.axes["cap_share"], np.float64) * gpu.tdp_watts
        possible = caps > idle_watts(gpu)
        asked = np.stack([np.maximum(np.minimum(caps, one.limit), idle_watts(gpu) * 1.001) for one in waters])
        limits, place = np.unique(asked, return_inverse=True)
        _, isl, osl, _ = self.sizes
        if not (self.costs(np.ones(1)).admitted(isl + osl / 2) >= 1).any():
            return [self._frame(one, None, possible, each) for one in waters]
        clock = settle(gpu, self.work, np.broadcast_to(limits, (*self._shape, len(limits))))
        watts, seen = self.work(clock).watts(gpu, clock=clock), self.predict(clock)
        every = {"clock": clock, "gpu_watts": watts, "ttft": seen.ttft, "tpot": seen.tpot, "batch": seen.batch}
        every["tokens_per_second_per_gpu"] = seen.tokens_per_second_per_gpu
        shaped = {name: np.broadcast_to(value, clock.shape) for name, value in every.items()}
        places = place.reshape(asked.shape)
        return [
            self._frame(one, {name: value[..., at] for name, value in shaped.items()}, possible, each)
            for one, at in zip(waters, places, strict=True)
        ]

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(len(self.axes[name]) for name in INNER[:-1])

    def _waters(self) -> Iterable[tuple[Any, ...]]:
        return itertools.product(*(self.axes[name] for name in WATER))

    def _frame(
        self, water: "Water", found: dict[str, Numbers] | None, possible: NDArray[np.bool_], each: Numbers
    ) -> pl.DataFrame:
        shape = (*self._shape, len(possible))
        if found is None:
            found = dict.fromkeys(("clock", "gpu_watts", "ttft", "tpot", "batch"), np.full(shape, np.nan))
            found["tokens_per_second_per_gpu"] = np.full(shape, np.nan)
        domain, tp = self.plant.gpus_per_chassis, self.sizes[0]
        held = np.broadcast_to(tp <= domain, shape)
        why = np.select([~np.broadcast_to(possible, shape), ~held, ~np.isfinite(found["tpot"])], [3, 2, 1], 0)
        share = np.where(tp <= domain, domain // tp * tp / domain, np.nan)  # what is left over idles
        figures = water.figures(found | {"share": share}, each)
        can = why == 0
        columns = {name: pl.Series(np.where(can, figures[name], np.nan).astype(np.float32).ravel()) for name in FIGURES}
        return self._named(water, shape).with_columns(
            why=pl.Series(why.astype(np.uint8).ravel()).cast(pl.UInt32).replace_strict(
                list(range(len(WHY))), list(WHY), return_dtype=pl.Enum(WHY)), **columns,
        )  # fmt: skip

    def _named(self, water: "Water", shape: tuple[int, ...]) -> pl.DataFrame:
        count = int(np.prod(shape))
        names = {name: getattr(self, name) for name in OUTER}
        told = [pl.repeat(value, count, dtype=pl.Enum(self.axes[name]), eager=True).alias(name)
                for name, value in names.items()]  # fmt: skip
        told.append(pl.repeat(water.rejection, count, dtype=pl.Enum(cooling.REJECTIONS), eager=True).alias("rejection"))
        told += [pl.repeat(getattr(water, one), count, dtype=pl.Float32, eager=True).alias(one) for one in WATER[1:]]
        mesh = np.meshgrid(*(np.asarray(self.axes[name], np.float32) for name in INNER), indexing="ij")
        return pl.DataFrame([*told, *(pl.Series(name, one.ravel()) for name, one in zip(INNER, mesh, strict=True))])


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
