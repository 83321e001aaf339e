"""A day of a plant, written down: a row a window, the state of every rack, what became of each incident, the totals.

How it is written is `record`'s to know.

>>> [name for name in COLUMNS if name.startswith("ttft")]
['ttft_p50', 'ttft_p99']
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.operations import buckets, windows
from aifactory_lab.twin.operations.places import Places, Reals
from aifactory_lab.twin.operations.prices import Prices
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.service import Service

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
        ended = found["served"] + found["rejected"]
        found |= {
            "tokens": tokens,
            "tokens_per_second": tokens / float(ends[-1]),
            "good": float(weighed[windows.GOOD]) / ended if ended else math.nan,
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
