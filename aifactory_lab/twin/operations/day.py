"""A day of a plant, written down: a row a window, the state of every rack, what became of each incident, the totals.

How it came about is `operation`'s to know.

>>> [name for name in COLUMNS if name.startswith("ttft")]
['ttft_p50', 'ttft_p99']
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import site
from aifactory_lab.twin.activity import Activity
from aifactory_lab.twin.operations import buckets, windows
from aifactory_lab.twin.operations.effects import effect
from aifactory_lab.twin.operations.incidents import Incident
from aifactory_lab.twin.operations.places import Flags, Places, Reals
from aifactory_lab.twin.operations.prices import Prices
from aifactory_lab.twin.operations.router import Served
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.service import Service

BEFORE_HOURS = 0.5  # with which an incident's time is compared

# What a window says. Requests count in the window in which they end.
COLUMNS = {
    "seconds": "since the start, at the window's end",
    "asked": "requests that came for the first time",
    "served": "requests that ended",
    "rejected": "requests turned away",
    "queued": "requests that wait or run, at the end",
    "resent": "requests sent again, from replicas that fell out",
    "tokens_per_second": "written",
    "ttft_p50": "seconds",
    "ttft_p99": "seconds",
    "itl_p50": "seconds",
    "itl_p99": "seconds",
    "good": "share of those served or rejected that kept the SLO",
    "gpu_activity": "of a serving GPU: share of the way from idle to TDP at full clock",
    "gpu_watts": "of all GPUs",
    "it_watts": "at the UPS's output",
    "site_watts": "from the grid",
    "heat_watts": "that left the site",
    "pue": "site ÷ IT",
    "water_kg_s": "drawn for the towers",
    "water_celsius": "of the cooling water",
    "coolant_celsius": "at the GPUs",
    "gpu_celsius": "of a serving GPU, on average",
    "clock": "of serving GPUs, share of the boost clock",
    "dollars_per_hour": "USD, usual assumptions",
    "kg_co2e_per_hour": "usual assumptions",
    "gpus_up": "not lost",
    "replicas_up": "that stand",
    "training_share": "of the training job's full speed; NaN without one",
}


class Racks(NamedTuple):
    """By window and rack: watts, tokens per second, and GPUs that are not lost."""

    watts: NDArray[np.float32]
    tokens: NDArray[np.float32]
    gpus: NDArray[np.float32]
    celsius: NDArray[np.float32]


@dataclass(frozen=True)
class Day:
    """What happened.

    Attributes
    ----------
    plant, service
        What was operated.
    notes
        What came, and what the air was.
    timeline
        A row a window: `COLUMNS`, and ``note``: what began or ended.
    incidents
        A row an incident: ``kind``, ``begins_hours``, ``ends_hours``, ``what``, ``effect``, and tokens per second, the
        99th percentile of the TTFT, the share that was good and the site's watts, each before and during.
    counts
        Requests by bucket of their TTFT and of their ITL over the day, (2, buckets).
    sums
        Of each simulated replica over the day, (n, figures): see `windows`.
    joules
        Of each simulated replica's GPUs, (n,).
    places
        Which replicas were simulated.
    prices
        What an hour costs.
    """

    plant: Plant
    service: Service
    notes: tuple[str, str]
    timeline: pl.DataFrame
    incidents: pl.DataFrame
    counts: Reals
    sums: Reals
    joules: Reals
    places: Places
    prices: Prices
    _racks: Racks

    def racks(self, at_hours: float) -> pl.DataFrame:
        """Return the racks at an hour: ``rack``, ``state``, ``watts``, ``celsius``, ``tokens_per_second``, ``gpus_up``.

        A rack is ``"up"``, ``"degraded"`` (some of its GPUs are lost) or ``"down"``; ``celsius`` is its GPUs' mean.

        Raises
        ------
        TwinError
            If the day has no such hour.
        """
        ends = self.timeline["seconds"].to_numpy() / 3600
        if not 0 <= at_hours <= ends[-1]:
            msg = f"at_hours={at_hours!r} is not of this day, which has {ends[-1]:g} hours"
            raise TwinError(msg, mend=f"at_hours={ends[-1] / 2:g}")
        row = int(np.searchsorted(ends, at_hours, side="right").clip(0, len(ends) - 1))
        racks = self.plant.racks()
        watts, tokens, gpus, celsius = (one[row].astype(np.float64) for one in self._racks)
        there = racks["gpus"].to_numpy()
        state = np.where(watts == 0, "down", np.where(gpus < there, "degraded", "up"))
        return pl.DataFrame(
            {
                "rack": racks["rack"], "state": state.tolist(), "watts": watts, "celsius": celsius,
                "tokens_per_second": tokens, "gpus_up": gpus.astype(np.int64),
            }
        )  # fmt: skip

    def totals(self) -> dict[str, float]:
        """Return the day's figures; money and carbon by the usual assumptions, per million tokens with their range."""
        told, ends = self.timeline, self.timeline["seconds"].to_numpy()
        length = np.diff(ends, prepend=0.0)
        hours = length / 3600
        found = {name: float(told[name].sum()) for name in ("asked", "served", "rejected", "resent")}
        found["queued"] = float(told["queued"][-1])
        tokens = float(told["tokens_per_second"].to_numpy() @ length)
        weighed = self.places.weight @ self.sums
        ended = max(found["served"] + found["rejected"], 1.0)
        found |= {
            "tokens": tokens,
            "tokens_per_second": tokens / ends[-1],
            "good": float(weighed[windows.GOOD]) / ended,
        }
        for row, name in enumerate(("ttft", "itl")):
            found |= {f"{name}_p{share:g}": buckets.percentile(self.counts[row], share / 100) for share in (50, 99)}
        kwh = {name: float(told[f"{name}_watts"].to_numpy() @ hours) / 1e3 for name in ("gpu", "it", "site")}
        found |= {f"{name}_kwh": value for name, value in kwh.items()}
        found |= {"pue": kwh["site"] / kwh["it"], "water_m3": float(told["water_kg_s"].to_numpy() @ length) / 1e3}
        found["joules_per_token"] = kwh["site"] * 3.6e6 / tokens if tokens else math.nan
        return found | self._money(hours, tokens / 1e6)

    def _money(self, hours: Reals, mtokens: float) -> dict[str, float]:
        watts, water = self.timeline["site_watts"].to_numpy(), self.timeline["water_kg_s"].to_numpy()
        spent = {"dollars": self.prices.dollars(watts, water) @ hours, "kg_co2e": self.prices.kg_co2e(watts) @ hours}
        found = {name: float(usual) for name, (_, usual, _) in spent.items()}
        for name, values in spent.items():
            for kind, value in zip(("_low", "", "_high"), values.tolist(), strict=True):
                found[f"{name}_per_mtoken{kind}"] = value / mtokens if mtokens else math.nan
        return found


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


COMPARED = ("tokens_per_second", "ttft_p99", "good", "site_watts", "clock", "gpu_celsius")
