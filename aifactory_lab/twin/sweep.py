"""A million designs at once: every combination of a grid, with what it writes, draws and costs; and the best of them.

Closed loops: each replica keeps the concurrency of its row, and decodes together as many as fit its memory. The same
formulas as `design.evaluate`, over arrays; what does not depend on the water's temperature is reckoned once for all of
its values. What cannot be is a row, too, with the reason. Which of the best suits whom is not known here.

>>> frame = sweep({"chassis": ["dgx-h100", "dgx-b200"], "tp": [1, 4, 8], "concurrency": [1, 16, 128]})
>>> len(frame), frame.filter(frame["why"] == "").height
(18, 18)
>>> pareto(frame)["tpot"].is_sorted()
True
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import inference, models
from aifactory_lab.twin.combinations import FIGURES, INNER, OUTER, WATER, WHY, Group, prices

__all__ = ["FIGURES", "GRID", "WHY", "pareto", "reasons", "sweep"]
GRID: dict[str, Sequence[Any]] = {
    "chassis": ("dgx-h100", "dgx-h200", "dgx-b200", "dgx-b300", "gb200-nvl72", "gb300-nvl72"),
    "model": ("llama-3-70b", "qwen3-32b", "qwen3-235b-a22b", "gpt-oss-120b"),
    "precision": ("fp8", "fp4"),
    "rejection": ("tower", "dry"),
    "water_celsius": (24.0, 32.0, 40.0, 45.0, 50.0),
    "tp": (1, 2, 4, 8),
    "isl": (1024.0,),
    "osl": (256.0, 1024.0),
    "concurrency": tuple(float(number) for number in np.geomspace(1, 512, 28).round(2)),
    "cap_share": (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.0),
    "dry_celsius": (25.0,),
    "humidity": (0.5,),
}


NAMED = (*OUTER, "rejection")  # axes of names; all others are of numbers


def sweep(grid: Mapping[str, Iterable[Any]] | None = None, *, assume: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Reckon every combination of a grid.

    Parameters
    ----------
    grid
        Values by name; what is not named has the first value of `GRID`, and without a grid all of `GRID` is swept, a
        million. `cap_share` is a GPU's power cap as a share of its TDP.
    assume
        Of money and carbon: see `cost.per_mtoken`; the usual value of each is taken, at full load.

    Returns
    -------
    polars.DataFrame
        A row a combination: its values; ``why``, which is empty or says why it cannot be; and `FIGURES`, in seconds,
        watts and degrees, NaN where it cannot be.

    Raises
    ------
    TwinError
        If there is no such name or value, or a value is not a positive number.
    """
    axes = _axes({name: GRID[name][:1] for name in GRID} | dict(grid) if grid is not None else GRID)
    each = prices(assume)
    groups = [Group(one[0], one[1], one[2], axes) for one in itertools.product(*(axes[name] for name in OUTER))]
    told = [group.figures(each) for group in groups]
    why = pl.Series(WHY, dtype=pl.Enum(WHY)).gather(np.concatenate([codes for codes, _ in told]))
    figures = [pl.Series(name, np.concatenate([found[name] for _, found in told])) for name in FIGURES]
    return pl.DataFrame([*_columns(axes), why.alias("why"), *figures])


def _columns(axes: Mapping[str, list[Any]]) -> list[pl.Series]:
    """Return the values of every axis in the order of all combinations: the last axis turns fastest."""
    names, columns = (*OUTER, *WATER, *INNER), []
    shape = [len(axes[name]) for name in names]
    for place, name in enumerate(names):
        before, after = math.prod(shape[:place]), math.prod(shape[place + 1 :])
        values = [str(one) for one in axes[name]] if name in NAMED else axes[name]
        kind = pl.Enum(values) if name in NAMED else pl.Float32
        codes = np.tile(np.repeat(np.arange(len(values), dtype=np.uint32), after), before)
        columns.append(pl.Series(name, values, dtype=kind).gather(codes))
    return columns


def reasons(frame: pl.DataFrame) -> pl.DataFrame:
    """Return how many combinations cannot be, by reason; the empty reason counts those that can."""
    return frame["why"].cast(pl.String).value_counts(sort=True, name="configurations")


def pareto(
    frame: pl.DataFrame,
    *,
    latency: str = "tpot",
    value: str = "tokens_per_second_per_mw",
    by: Sequence[str] = (),
) -> pl.DataFrame:
    """Return the rows that no other beats in both, in order of latency, with the band of held-out measurements.

    Parameters
    ----------
    frame
        Of `sweep`.
    latency, value
        What should be small, and large.
    by
        Columns: the best for each of their values.

    Returns
    -------
    polars.DataFrame
        With ``{latency}_low``, ``{latency}_high``, ``{value}_low``, ``{value}_high``: where eight of ten measurements
        of the model's kind are to be expected. The error of the GPUs' power is not in them.

    Raises
    ------
    TwinError
        If there is no such column.
    """
    for name in (latency, value, *by):
        if name not in frame.columns:
            msg = f"the frame has no column {name!r}; there are: {', '.join(frame.columns)}"
            raise TwinError(msg, mend='sweep.pareto(frame, latency="tpot", value="tokens_per_second_per_mw")')
    can = frame.filter(pl.col("why") == "").sort(latency, value, descending=[False, True])
    best = pl.col(value).cum_max().shift(1).fill_null(-np.inf)
    front = can.filter(pl.col(value) > (best.over(by) if by else best)).sort(*by, latency)
    return _banded(front, latency, value)


def _banded(front: pl.DataFrame, latency: str, value: str) -> pl.DataFrame:
    """Add the bands: a latency's own; of a value by time, the inverse of TPOT's."""
    bands = inference.fitted().bands
    kinds = {name: bands["moe" if models.model(name).experts else "dense"] for name in front["model"].unique()}
    own = "ttft" if latency == "ttft" else "tpot"

    def factor(name: str, end: int, *, inverse: bool = False) -> pl.Expr:
        told = {model: (1 / kind[name][1 - end] if inverse else kind[name][end]) for model, kind in kinds.items()}
        return pl.col("model").cast(pl.String).replace_strict(told, default=None, return_dtype=pl.Float64)

    ends = {"low": 0, "high": 1}
    slow = {f"{latency}_{name}": pl.col(latency) * factor(own, end) for name, end in ends.items()}
    falls = value.startswith("tokens") or value == "requests_per_second"
    much = {f"{value}_{name}": pl.col(value) * factor("tpot", end, inverse=falls) for name, end in ends.items()}
    return front.with_columns(**slow, **much)


def _axes(grid: Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    axes = {name: list(values) for name, values in grid.items()}
    for name, values in axes.items():
        if name not in GRID:
            msg = f"no axis {name!r} to sweep over; there are: {', '.join(GRID)}"
            raise TwinError(msg, mend='sweep({"tp": [1, 2, 4, 8]})')
        wrong = [value for value in values if name in INNER and not (np.isfinite(value) and value > 0)]
        if not values or wrong or len(set(values)) < len(values):
            msg = f"{name}={values!r} must be values that differ" + (", all positive" if name in INNER else "")
            raise TwinError(msg, mend=f"{name}={list(GRID[name])!r}")
    return axes
