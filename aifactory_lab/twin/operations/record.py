"""A day of a plant while it is written down, a window after another.

What the figures mean, `day` says; how they come about is `operation`'s to know.

>>> COMPARED[:3]
('tokens_per_second', 'ttft_p99', 'good')
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from aifactory_lab.twin import site
from aifactory_lab.twin.activity import Activity
from aifactory_lab.twin.operations import buckets, windows
from aifactory_lab.twin.operations.day import COLUMNS, Day, Racks
from aifactory_lab.twin.operations.effects import effect
from aifactory_lab.twin.operations.incidents import Incident
from aifactory_lab.twin.operations.places import Flags, Places, Reals
from aifactory_lab.twin.operations.prices import Prices
from aifactory_lab.twin.operations.router import Served
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.service import Service

BEFORE_HOURS = 0.5  # with which an incident's time is compared
COMPARED = ("tokens_per_second", "ttft_p99", "good", "site_watts", "clock", "gpu_celsius")


class Record:
    """A day while it is written, a window after another."""

    def __init__(
        self, places: Places, service: Service, notes: tuple[str, str], incidents: Sequence[Incident],
        window_seconds: float, hours: float,
    ) -> None:  # fmt: skip
        plant = places.plant
        self.places, self.service, self.notes, self.incidents = places, service, notes, incidents
        edges = np.append(np.arange(0, hours * 3600 * (1 - 1e-12), window_seconds), hours * 3600)
        self.spans = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        self.columns = {name: np.full(len(self.spans), np.nan) for name in COLUMNS}
        self.columns["seconds"][:] = edges[1:]
        self.racks = Racks(*(np.zeros((len(self.spans), plant.rack_count), np.float32) for _ in range(4)))
        self.counts = np.zeros((2, windows.BUCKETS))
        self.sums, self.joules = np.zeros((len(places), windows.SUMS)), np.zeros(len(places))
        self.prices = Prices.of(plant)
        self.kelvin = site.kelvin_per_watt(plant)
        self.unkept: list[int] = []
        chassis = np.arange(plant.chassis_count)
        self.rack_of = chassis // plant.chassis_per_rack

    def put(self, number: int, **figures: float) -> None:
        """Write figures of a window."""
        for name, value in figures.items():
            self.columns[name][number] = value

    def plant_row(self, number: int, gpus_watts: float, chassis: int, air: dict[str, float]) -> site.Site:
        """Write what the plant draws in a window when its GPUs draw so much, and return it."""
        dry, wet = air["dry_celsius"], air["wet_celsius"]
        found = site.site(self.places.plant, gpus_watts, powered=chassis, dry_celsius=dry, wet_celsius=wet)
        water = float(found.cooled.water_kg_s)
        self.put(
            number, gpu_watts=gpus_watts, it_watts=float(found.it_watts), site_watts=float(found.watts),
            heat_watts=float(found.heat_watts), pue=float(found.pue), water_kg_s=water,
            water_celsius=float(found.cooled.water_celsius),
            dollars_per_hour=float(self.prices.dollars(found.watts, water)[1]),
            kg_co2e_per_hour=float(self.prices.kg_co2e(found.watts)[1]),
        )  # fmt: skip
        return found

    def requests_row(self, number: int, served: Served) -> None:
        """Write what became of a window's requests."""
        begin, end = self.spans[number]
        done, good = served.total(windows.SERVED), served.total(windows.GOOD)
        over = done + served.rejected
        figures = {
            f"{name}_p{share}": buckets.percentile(served.counts[row], share / 100)
            for row, name in enumerate(("ttft", "itl"))
            for share in (50, 99)
        }
        self.put(
            number, asked=served.asked, served=done, rejected=served.rejected, queued=served.queued,
            resent=served.resent, tokens_per_second=served.total(windows.TOKENS) / (end - begin),
            good=good / over if over else math.nan, **figures,
        )  # fmt: skip
        self.counts += served.counts
        self.sums += served.sums

    def gpus_row(
        self, number: int, did: Activity, served: Served, watts: Reals, *, clock: float, coolant: float
    ) -> None:
        """Write what the serving GPUs did in a window; `watts` are those of one of each simulated replica's."""
        weight = served.weight * served.up
        many = max(float(weight.sum()), 1e-300)
        begin, end = self.spans[number]
        self.joules += served.up * watts * self.places.tp * (end - begin)
        mean = float(weight @ watts) / many if weight.any() else 0.0
        self.put(
            number, gpu_activity=float(weight @ did.total) / many, clock=clock, coolant_celsius=coolant,
            gpu_celsius=coolant + self.kelvin * mean, replicas_up=float(weight.sum()),
        )  # fmt: skip

    def racks_row(self, number: int, each: Reals, tokens: Reals, gone: Flags, trained: float) -> None:
        """Write the racks of a window.

        Parameters
        ----------
        each, tokens
            Watts and tokens per second of every replica of the plant, (count,).
        gone
            Which GPUs are lost, (gpus,).
        trained
            Watts of a GPU that trains.
        """
        plant, places = self.places.plant, self.places
        rows = gone.reshape(plant.chassis_count, -1)
        up, per = (~rows).sum(axis=1), places.per_chassis
        watts = up * idle_watts(plant.gpu)
        serving, standing = each.reshape(-1, per), places.standing(gone).reshape(-1, per).sum(axis=1) * places.tp
        watts[: places.serving_chassis] += serving.sum(axis=1) - standing * idle_watts(plant.gpu)
        whole = (up == plant.gpus_per_chassis) & (np.arange(plant.chassis_count) >= places.serving_chassis)
        watts[whole] = plant.gpus_per_chassis * trained
        power = plant.node_power
        drawn = np.where(up > 0, power.base_watts + power.slope * watts, 0.0)
        written = np.zeros(plant.chassis_count)
        written[: places.serving_chassis] = tokens.reshape(-1, per).sum(axis=1)
        for kept, values in zip(self.racks, (drawn, written, up, watts), strict=True):
            kept[number] = np.bincount(self.rack_of, values, plant.rack_count)
        warmer = self.kelvin * self.racks.celsius[number] / np.maximum(self.racks.gpus[number], 1)
        self.racks.celsius[number] = self.columns["coolant_celsius"][number] + warmer
        self.put(number, gpus_up=float(up.sum()))

    def day(self) -> Day:
        """Return the day."""
        columns = {name: self.columns[name] for name in COLUMNS}
        whole = ("asked", "served", "rejected", "queued", "resent", "gpus_up", "replicas_up")
        told = pl.DataFrame(columns | {"note": self._notes()})
        if len(self.places) == self.places.count:
            told = told.with_columns(pl.col(*whole).round().cast(pl.Int64))
        return Day(
            self.places.plant, self.service, self.notes, told, self._incidents(), self.counts, self.sums, self.joules,
            self.places, self.prices, self.racks,
        )  # fmt: skip

    def _notes(self) -> list[str]:
        """Return what began and what was mended, in the window in which it took effect."""
        found: list[list[str]] = [[] for _ in self.spans]
        begins = np.array([begin for begin, _ in self.spans])
        for one in self.incidents:
            for moment, said in ((one.begins, f"{one}: {effect(self.places, one)}"), (one.ends, f"mended: {one}")):
                row = int(np.searchsorted(begins, moment))
                if row < len(found):
                    found[row].append(said)
        for row in self.unkept:
            found[row].append("GPUs are at their least clock and still draw more than they may")
        return ["; ".join(notes) for notes in found]

    def _incidents(self) -> pl.DataFrame:
        """Return what became of each incident."""
        rows = [self._incident(one) for one in self.incidents]
        schema = {"kind": pl.String, "begins_hours": pl.Float64, "ends_hours": pl.Float64, "what": pl.String}
        schema |= {"effect": pl.String, "resent": pl.Float64}
        schema |= {f"{name}_{when}": pl.Float64 for name in COMPARED for when in ("before", "during")}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _incident(self, one: Incident) -> dict[str, object]:
        begins = np.array([begin for begin, _ in self.spans])
        during = (begins >= one.begins) & (begins < one.ends)
        before = (begins >= one.begins - BEFORE_HOURS * 3600) & (begins < one.begins)
        found: dict[str, object] = {
            "kind": one.kind, "begins_hours": one.at_hours, "ends_hours": one.at_hours + one.for_hours,
            "what": str(one), "effect": effect(self.places, one), "resent": float(self.columns["resent"][during].sum()),
        }  # fmt: skip
        for name in COMPARED:
            for when, rows in (("before", before), ("during", during)):
                values = self.columns[name][rows]
                values = values[np.isfinite(values)]
                found[f"{name}_{when}"] = float(values.mean()) if len(values) else math.nan
        return found
