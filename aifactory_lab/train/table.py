"""A feature table as training sees it: columns by role, rows by slice of time.

The last part of the training rows *by time* is set aside for validation (early stopping, the threshold); the test
rows are touched only to be scored. Only the columns that a model needs are read. This module does not train.

| slice | rows |
|---|---|
| ``"learn"`` | training rows before the cutoff |
| ``"valid"`` | training rows from the cutoff on |
| ``"train"`` | both |
| ``"test"`` | the test rows |

>>> Rows(np.zeros((3, 2), np.float32), np.array([0, 1, 1], np.int8), np.zeros(3, "datetime64[D]")).take([1]).y
array([1], dtype=int8)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import DataError
from aifactory_lab.etl.features import SPEC, TABLE, FeatureSpec
from aifactory_lab.train.bundle import Feature
from aifactory_lab.workspace import files_hash

Slice = Literal["learn", "valid", "train", "test"]
VALIDATION = 0.15


@dataclass(frozen=True)
class Rows:
    """Features ``x`` of shape (n, d) in float32 with NaN for missing, labels ``y`` (0/1), and their days."""

    x: NDArray[np.float32]
    y: NDArray[np.int8]
    day: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: ArrayLike) -> Self:
        """Return some of the rows."""
        index = np.asarray(index)
        return type(self)(self.x[index], self.y[index], self.day[index])


@dataclass(frozen=True)
class Table:
    """A feature table on disk, the features chosen from it, and where validation begins."""

    folder: Path
    spec: FeatureSpec
    columns: tuple[str, ...]
    cutoff: datetime

    @classmethod
    def open(cls, folder: Path | str, groups: Sequence[str] = (), *, validation: float = VALIDATION) -> Self:
        """Open a feature table.

        Parameters
        ----------
        folder
            Holds `features.parquet` and `features.json`.
        groups
            Feature groups to learn from; by default all honest ones.
        validation
            Share of the training rows, the latest, that is set aside.

        Raises
        ------
        DataError
            If the table lacks a column, a slice is empty, or a slice holds one class only.
        """
        folder = Path(folder)
        spec = FeatureSpec.load(folder)
        if not (folder / TABLE).exists():
            msg = f"{folder} has no {TABLE}"
            raise DataError(msg, mend="etl.run(recipe, raw, out=folder) writes one")
        if not 0 < validation < 1:
            msg = f"validation={validation} is not a share of the training rows; it must be between 0 and 1"
            raise DataError(msg)
        _check_columns(folder, spec)
        table = cls(folder, spec, spec.columns(*groups), _cutoff(folder, spec, validation))
        _check_slices(table)
        return table

    @cached_property
    def lazy(self) -> pl.LazyFrame:
        """The whole table, opened lazily."""
        return pl.scan_parquet(self.folder / TABLE)

    @cached_property
    def content_hash(self) -> str:
        """One sha256 over the table and its specification."""
        return files_hash([self.folder / TABLE, self.folder / SPEC])

    @property
    def bytes(self) -> int:
        """Size of the table on disk."""
        return (self.folder / TABLE).stat().st_size

    def where(self, part: Slice) -> pl.Expr:
        """Return the condition that selects a slice.

        Raises
        ------
        DataError
            If there is no such slice.
        """
        train, early = pl.col(self.spec.split) == "train", pl.col(self.spec.time) < self.cutoff
        slices = {"learn": train & early, "valid": train & ~early, "train": train, "test": ~train}
        if part not in slices:
            msg = f"no slice {part!r}; there are: {', '.join(slices)}"
            raise DataError(msg)
        return slices[part]

    def count(self, part: Slice) -> int:
        """Return how many rows a slice has."""
        return int(self.lazy.select(self.where(part).sum()).collect().item())

    def rows(self, part: Slice, start: int = 0, length: int | None = None) -> Rows:
        """Read one slice, or a piece of it, into memory: 4 bytes per value, ordered by time.

        A streamed table lies on disk in whatever order its pieces were finished, and subsampling sees the order: it
        is fixed here (time, then a hash of the row), so that the same rows always give the same model.
        """
        chosen = [pl.col(name).cast(pl.Float32) for name in self.columns]
        time = pl.col(self.spec.time)
        roles = [pl.col(self.spec.target).cast(pl.Int8).alias("_y"), time.alias("_time"), time.dt.date().alias("_day")]
        piece = self.lazy.filter(self.where(part)).select(*chosen, *roles).slice(start, length)
        frame = piece.collect(engine="streaming")
        frame = frame.sort("_time", pl.struct(pl.all()).hash(seed=0))
        x = np.ascontiguousarray(frame.select(self.columns).to_numpy(), dtype=np.float32)
        return Rows(x, frame["_y"].to_numpy(), frame["_day"].to_numpy())

    def features(self) -> tuple[Feature, ...]:
        """Return each feature with the range and the missing share seen in the training rows."""
        column = pl.col(self.columns).cast(pl.Float32).fill_nan(None)
        train = self.lazy.filter(self.where("train"))
        low, high, missing = pl.collect_all(
            [train.select(column.min()), train.select(column.max()), train.select(column.null_count() / pl.len())],
            engine="streaming",
        )
        return tuple(
            Feature(name, _number(low[name][0]), _number(high[name][0]), float(missing[name][0]), self._say(name))
            for name in self.columns
        )

    def _say(self, name: str) -> str:
        return str(self.spec.descriptions.get(name, ""))


def _cutoff(folder: Path, spec: FeatureSpec, validation: float) -> datetime:
    """Return the instant from which training rows are validation rows."""
    train = pl.scan_parquet(folder / TABLE).filter(pl.col(spec.split) == "train")
    instant = train.select(pl.col(spec.time).quantile(1 - validation, interpolation="nearest")).collect().item()
    if instant is None:
        msg = f"{folder / TABLE} has no training rows ({spec.split} = 'train')"
        raise DataError(msg)
    found: datetime = instant
    return found


def _check_columns(folder: Path, spec: FeatureSpec) -> None:
    present = pl.read_parquet_schema(folder / TABLE)
    wanted = [spec.target, spec.time, spec.split, *(name for group in spec.groups for name in spec.columns(group))]
    if missing := [name for name in wanted if name not in present]:
        msg = f"{folder / TABLE} lacks {missing[0]!r}, which {SPEC} promises"
        raise DataError(msg, mend="make the features again: etl.run(recipe, raw, out=folder)")


def _check_slices(table: Table) -> None:
    target = pl.col(table.spec.target).cast(pl.Float64)
    parts: tuple[Slice, ...] = ("learn", "valid", "test")
    shares = [target.filter(table.where(part)).mean().alias(part) for part in parts]
    for part, share in table.lazy.select(shares).collect().row(0, named=True).items():
        if share is None or not 0 < share < 1:
            found = "no rows" if share is None else f"only {table.spec.target} = {share:.0f}"
            msg = f"the {part} slice of {table.folder / TABLE} holds {found}; a model needs both classes there"
            raise DataError(msg, mend="give more rows, or another validation share")


def _number(value: Any) -> float:
    return 0.0 if value is None else float(value)
