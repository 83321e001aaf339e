"""Slices of time: a recipe over any number of rows in a bounded amount of memory.

A recipe that says how far its rows look around themselves (`Reach`) can be run slice by slice: each slice is
computed from its own rows and those within reach, and gives exactly the rows that the whole run would give.
This module does not know what the recipe computes.

>>> from aifactory_lab import datasets
>>> from aifactory_lab.etl import recipes
>>> [str(part) for part in plan(recipes.flights(), datasets.load("flights"), rows=200_000)]
['until 2013-07-03 (167,979 flights)', 'from 2013-07-03 (168,797 flights)']
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.etl.recipes import Recipe, Tables

ROWS = 1_000_000  # a slice of flights takes about 1 GiB of memory
FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Slice:
    """Rows from one day up to another (UTC); None is open. `rows` counts those of the recipe's raw table."""

    start: date | None
    end: date | None
    rows: int
    table: str

    def __str__(self) -> str:
        edges = [f"{word} {day}" for word, day in (("from", self.start), ("until", self.end)) if day]
        return f"{' '.join(edges) or 'all'} ({self.rows:,} {self.table})"

    def query(self, recipe: Recipe, raw: Tables) -> pl.LazyFrame:
        """Return the recipe's query over the rows within reach, cut to the slice."""
        reach = recipe.reach
        if reach is None or (self.start is None and self.end is None):
            return recipe.query(raw, hold)
        low = None if self.start is None else (_midnight(self.start) - reach.before).strftime(FORMAT)
        high = None if self.end is None else (_midnight(self.end) + reach.after).strftime(FORMAT)
        near = {name: _between(raw[name], reach.column, low, high) for name in reach.tables if name in raw}
        start, end = (None if day is None else _midnight(day) for day in (self.start, self.end))
        minute = None if start is None else int((start - reach.near).timestamp()) // 60
        query = recipe.query({**raw, **near}, hold, lambda held: hold(_between(held, reach.minute, minute, None)))
        return _between(query, recipe.spec.time, start, end)


def hold(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Compute a table now and keep it in memory: cheaper than to compute it again for every step that reads it."""
    return frame.collect(engine="streaming").lazy()


def plan(recipe: Recipe, raw: RawMaterial, rows: int = ROWS) -> list[Slice]:
    """Cut the recipe's raw table into slices of whole days with about `rows` rows each.

    A recipe without a reach, and a table that is small enough, give one slice without edges.
    """
    table = raw[recipe.table]
    if recipe.reach is None or (total := table.select(pl.len()).collect().item()) <= rows:
        return [Slice(None, None, raw[recipe.table].select(pl.len()).collect().item(), recipe.table)]
    day = pl.col(recipe.reach.column).str.slice(0, 10).alias("day")
    days = table.group_by(day).agg(pl.len().cast(pl.Int64).alias("n")).sort("day").collect(engine="streaming")
    number = -(-total // rows)
    part = ((pl.col("n").cum_sum() - 1) * number // total).alias("part")
    parts = days.group_by(part, maintain_order=True).agg(pl.col("day").first(), pl.col("n").sum())
    edges = [None, *(date.fromisoformat(text) for text in parts["day"][1:]), None]
    return [Slice(*edge, n, recipe.table) for edge, n in zip(pairwise(edges), parts["n"], strict=True)]


def write(recipe: Recipe, raw: RawMaterial, slices: list[Slice], path: Path) -> Iterator[int]:
    """Compute slice after slice, append each to one Parquet file, and yield the raw rows that are done."""
    parts = (part.query(recipe, raw.tables).collect(engine="streaming").to_arrow() for part in slices)
    return join(parts, [part.rows for part in slices], path)


def join(parts: Iterable[Any], rows: Iterable[int], path: Path) -> Iterator[int]:
    """Append Arrow tables to one Parquet file; after each yield the raw rows that it was made of."""
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    try:
        for features, count in zip(parts, rows, strict=True):
            writer = writer or pq.ParquetWriter(path, features.schema, compression="zstd")
            writer.write_table(features)
            yield count
    finally:
        if writer is not None:
            writer.close()


Edge = str | int | datetime | None


def _between(frame: pl.LazyFrame, column: str, low: Edge, high: Edge) -> pl.LazyFrame:
    frame = frame if low is None else frame.filter(pl.col(column) >= low)
    return frame if high is None else frame.filter(pl.col(column) < high)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
