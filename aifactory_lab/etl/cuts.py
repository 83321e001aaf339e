"""Which steps of a recipe distribute, what they compute twice, and why: told before anything is computed.

On CPU workers a recipe runs in slices of time. A step that works row by row is cut and nothing more; one that looks
at other rows computes those within the recipe's reach again in every slice; one without a table in time is computed
whole in every slice. This is read off the steps' own (empty) query plans. On GPUs cudf-polars cuts tables by rows
instead, and says itself which steps collapse onto one GPU: ``etl.gpu_check(recipe, ranks=2)``.

>>> from aifactory_lab.etl import recipes
>>> distribution(recipes.flights(), datasets.load("flights")).row(1)
('times', 'flights', 'by slice', datetime.timedelta(days=141), 'row by row: looks at no other row of its table')
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from aifactory_lab import datasets
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.etl.recipes import Reach, Recipe
from aifactory_lab.etl.slices import Slice

SLICED, WHOLE, ONE = "by slice", "whole, in every slice", "on one worker"
# Words of Polars' plans → what they mean here; the first that is found counts.
LOOKS = {
    ".over(": "a running sum or a shift over a key: needs the earlier rows of that key",
    "AGGREGATE": "sums by group: needs all rows of the group",
    "UNIQUE": "distinct values: needs the rows that they may come from",
}
ROW_BY_ROW = "row by row: looks at no other row of its table"
SCHEMA = {"step": pl.String, "makes": pl.String, "on CPU workers": pl.String, "again": pl.Duration, "why": pl.String}


def distribution(recipe: Recipe, raw: RawMaterial | None = None) -> pl.DataFrame:
    """Tell how each step runs on CPU workers.

    Parameters
    ----------
    raw
        Tables whose columns the steps read; by default the catalogue's of the recipe's name.

    Returns
    -------
    polars.DataFrame
        step; makes; on CPU workers (by slice; whole, in every slice; on one worker); again: the time before a slice
        whose rows are computed again for it; why.
    """
    raw = raw or datasets.load(recipe.name)
    tables = {name: _empty(table) for name, table in raw.tables.items()}
    reach = recipe.reach
    spans = dict.fromkeys(reach.tables, reach.before) if reach else {}
    rows = []
    for step in recipe.steps:
        seen = _Seen(tables)
        made = step.function(seen)
        read = {name: spans[name] for name in seen.read if name in spans}
        if reach and read:
            spans[step.makes] = reach.before if step.far else read.get(recipe.table, max(read.values()))
        rows.append((step.name, step.makes, *_told(made, recipe.reach, spans.get(step.makes) if read else None)))
        tables[step.makes] = _empty(made)
        if reach and step.shared and step.makes == recipe.table:
            spans[step.makes] = reach.near  # held now, and cut for the steps that are not far: `Slice.query`
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def overlap(recipe: Recipe, raw: RawMaterial, parts: Sequence[Slice]) -> float:
    """Return how often a row of the raw table is read by all slices together: 1.0 if none reads another's rows."""
    if recipe.reach is None or len(parts) == 1:
        return 1.0
    day = pl.col(recipe.reach.column).str.slice(0, 10).str.to_date()
    days = raw[recipe.table].select(day).collect(engine="streaming").to_series()
    read = [_within(days, part, recipe.reach) for part in parts]
    return sum(read) / len(days)


def _within(days: pl.Series, part: Slice, reach: Reach) -> int:
    low = date.min if part.start is None else part.start - reach.before
    high = date.max if part.end is None else part.end + reach.after
    return int(((days >= low) & (days < high)).sum())


def _told(made: pl.LazyFrame, reach: Reach | None, again: timedelta | None) -> tuple[str, timedelta, str]:
    if reach is None:
        return ONE, timedelta(0), "the recipe does not say how far its rows look (no reach)"
    if again is None:
        return WHOLE, timedelta(0), "reads only tables without a time to cut by"
    plan = made.explain(optimized=False)
    return SLICED, again, next((why for word, why in LOOKS.items() if word in plan), ROW_BY_ROW)


def _empty(table: pl.LazyFrame) -> pl.LazyFrame:
    return pl.LazyFrame(schema=table.collect_schema())


class _Seen(dict[str, Any]):
    """Tables that remember which of them a step has read."""

    def __init__(self, tables: dict[str, Any]) -> None:
        super().__init__(tables)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)
