"""The terms in which a contract is written: columns, tables, and the defects of material that does not keep it.

Plain declarations; `contracts` holds those of our own datasets and judges material by them.

>>> Column("hour", "integer", minimum=0, maximum=23).limits
'0 to 23'
>>> print(Defect("weather.parquet", "hour", "integer", "String"))
weather.parquet: column 'hour': expected integer, found String
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import polars as pl

Kind = Literal["integer", "number", "text", "time", "boolean", "category"]
KINDS: dict[str, Callable[[pl.DataType], bool]] = {
    "integer": lambda dtype: dtype.is_integer(),
    "number": lambda dtype: dtype.is_numeric(),
    "text": lambda dtype: dtype == pl.String,
    "time": lambda dtype: dtype.is_temporal(),
    "boolean": lambda dtype: dtype == pl.Boolean,
    "category": lambda dtype: dtype in (pl.String, pl.Boolean) or dtype.is_integer(),
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    kind
        Its family of types.
    nullable
        Whether it may miss values.
    minimum, maximum
        The closed range of the values that it has; `None` for no limit.
    format
        For text that is a time: how it is written, in the words of `strptime`.
    """

    name: str
    kind: Kind
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    format: str = ""

    @property
    def limits(self) -> str:
        """The range in words."""
        low = "-∞" if self.minimum is None else f"{self.minimum:g}"
        high = "∞" if self.maximum is None else f"{self.maximum:g}"
        return f"{low} to {high}"

    @property
    def limited(self) -> bool:
        """Whether a range is stated."""
        return self.minimum is not None or self.maximum is not None

    def fits(self, dtype: pl.DataType) -> bool:
        """Whether a column of this type can stand for it; one of nothing but nulls can if nulls may be."""
        return KINDS[self.kind](dtype) or (self.nullable and dtype == pl.Null)

    def holds(self, minimum: float, maximum: float) -> bool:
        """Whether values between these two are all in the range."""
        low = self.minimum is None or minimum >= self.minimum
        return low and (self.maximum is None or maximum <= self.maximum)


@dataclass(frozen=True)
class Table:
    """One table of the material.

    Attributes
    ----------
    key
        Columns that together name a row: no two rows of the table are equal in all of them.
    time, within, tolerance
        The column by which a file must not run backwards by more than `tolerance`, each row compared with the
        one before it that is equal in `within`. Text times are ISO 8601, so that text order is time order.
    required
        Whether the recipe cannot do without the table.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    time: str = ""
    within: tuple[str, ...] = ()
    tolerance: timedelta = timedelta(0)
    required: bool = True


@dataclass(frozen=True)
class Contract:
    """The tables that a recipe takes."""

    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Defect:
    """One way in which the material is not as agreed; `file` is the material's name if a table is missing."""

    file: str
    column: str
    expected: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        column = f"column {self.column!r}: " if self.column else ""
        return f"{self.file}: {column}expected {self.expected}, found {self.found}"
