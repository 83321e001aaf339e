"""A day of a plant as tables of the report: its totals with their units, and what became of each incident.

>>> from aifactory_lab.twin.operations import operate, traffic
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.service import Service
>>> day = operate(Plant(gpus=16, chassis="dgx-h100"), Service(tp=8), traffic.steady(2.0), hours=0.1)
>>> totals(day).columns, incidents(day).rows
(['figure', 'value', 'unit'], [])
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aifactory_lab.report import TextTable
from aifactory_lab.twin_report.kpis import number, span

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import Day
    from aifactory_lab.twin.sampling import Estimate

# By figure of `Day.totals`: what it is called, its unit, and how many of ours make one of it.
TOTALS: dict[str, tuple[str, str, float]] = {
    "asked": ("requests that came", "", 1),
    "served": ("requests answered", "", 1),
    "rejected": ("requests turned away", "", 1),
    "resent": ("requests sent again", "", 1),
    "good": ("within the objectives", "% of requests", 100),
    "tokens_per_second": ("tokens written", "1/s, on average", 1),
    "ttft_p50": ("TTFT, half of the requests within", "ms", 1e3),
    "ttft_p99": ("TTFT, 99 of 100 within", "ms", 1e3),
    "itl_p50": ("time between tokens, half within", "ms", 1e3),
    "itl_p99": ("time between tokens, 99 of 100 within", "ms", 1e3),
    "site_kwh": ("energy from the grid", "MWh", 1e-3),
    "pue": ("PUE, not validated", "", 1),
    "water_m3": ("water drawn, not validated", "m³", 1),
    "joules_per_token": ("energy of a token", "J", 1),
    "dollars_per_mtoken": ("price of a million tokens", "USD", 1),
    "kg_co2e_per_mtoken": ("carbon of a million tokens", "kg CO₂e", 1),
}
# Of each incident, by figure of `Day.incidents`: how many of ours make one of it.
COMPARED = {
    "tokens/s": ("tokens_per_second", 1),
    "TTFT p99, ms": ("ttft_p99", 1e3),
    "good, %": ("good", 100),
    "site, MW": ("site_watts", 1e-6),
    "clock, %": ("clock", 100),
    "GPUs, °C": ("gpu_celsius", 1),
}


def totals(day: "Day") -> TextTable:
    """Return the figures of a day; money and carbon with their range."""
    found = day.totals()
    rows = [_total(name, found, *how) for name, how in TOTALS.items() if name in found]
    return TextTable(["figure", "value", "unit"], rows, ["unit"])


def incidents(day: "Day") -> TextTable:
    """Return what became of each incident: figures of the half hour before, and of the time that it lasted."""
    rows = [_incident(row) for row in day.incidents.iter_rows(named=True)]
    return TextTable(["what", "effect", *COMPARED], rows, ["what", "effect"])


def sampled(estimate: "Estimate") -> TextTable:
    """Return what a sample of replicas says of them all, between which ends."""
    rows = [
        [row["figure"].replace("_", " "), number(row["value"]), span(row["low"], row["high"]), row["unit"]]
        for row in estimate.figures.iter_rows(named=True)
    ]
    told = f"{estimate.simulated:,} of {estimate.replicas:,} replicas"
    return TextTable([told, "value", f"{estimate.confidence:.0%} interval", "unit"], rows, ["unit"])


def _total(name: str, found: Mapping[str, float], label: str, unit: str, factor: float) -> list[str]:
    ends = [found.get(f"{name}_{end}", math.nan) for end in ("low", "high")]
    known = not any(map(math.isnan, ends))
    between = f" ({span(*(factor * end for end in ends))})" if known else ""
    return [label, number(factor * found[name]) + between, unit]


def _incident(row: Mapping[str, Any]) -> list[str]:
    changes = [
        f"{number(factor * row[f'{name}_before'])} → {number(factor * row[f'{name}_during'])}"
        for name, factor in COMPARED.values()
    ]
    return [row["what"], row["effect"], *changes]
