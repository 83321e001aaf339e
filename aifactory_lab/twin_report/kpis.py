"""The figures of a design that a reader should leave with: each with its range, and whether anything measured backs it.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> found = kpis(evaluate(Plant(gpus=72, chassis="gb200-nvl72"), Service(requests_per_second=50)))
>>> [one.label for one in found if not one.backed]
['PUE']
"""

import math
from dataclasses import dataclass
from typing import Any

from aifactory_lab.twin.outcome import Outcome

# By figure of `Outcome.table`: what people call it, and how many of the table's unit make one of the shown.
SHOWN = {
    "tokens per second": "tokens/s",
    "time to first token": "ms TTFT",
    "time per token": "ms TPOT",
    "power from the grid": "MW of the site",
    "PUE": "PUE",
    "price of a million tokens": "$ / Mtoken",
    "carbon of a million tokens": "kg CO₂e / Mtoken",
    "tokens per joule": "tokens a joule",
}
BACKED = {"PUE": False}  # the grid's power rests on the GPUs' more than on cooling; the PUE on cooling alone
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Kpi:
    """One figure as text.

    Attributes
    ----------
    value, label
        The figure and what it is, with its unit.
    range
        Where it is to be expected; empty where no band is known.
    rests_on
        What it rests on.
    backed
        Whether anything that was measured stands behind it.
    """

    value: str
    label: str
    range: str
    rests_on: str
    backed: bool = True


def kpis(outcome: Outcome) -> list[Kpi]:
    """Return the figures of a design, in reading order."""
    rows = {row["figure"]: row for row in outcome.table().iter_rows(named=True)}
    return [_kpi(rows[figure], label) for figure, label in SHOWN.items()]


def _kpi(row: dict[str, Any], label: str) -> Kpi:
    told = span(row["low"], row["high"])
    return Kpi(number(row["value"]), label, told, row["rests_on"], BACKED.get(row["figure"], True))


def number(value: float | None) -> str:
    """Return a number that a person can say: three figures, and a prefix from ten thousand on.

    >>> number(12.0), number(9876.0), number(999_999.0), number(0.0001234), number(float("inf")), number(None)
    ('12', '9,876', '1 M', '0.000123', 'no end', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "no end"
    rounded = float(f"{value:.3g}")
    if 1e3 <= abs(rounded) < 1e4:
        return f"{value:,.0f}"
    for size, name in PREFIXES:
        if size <= abs(rounded) < 1e3 * size:
            return f"{rounded / size:.3g} {name}"
    return f"{value:.3g}"


def span(low: float | None, high: float | None) -> str:
    """Return a range, empty where there is none."""
    return "" if low is None or high is None else f"{number(low)} – {number(high)}"
