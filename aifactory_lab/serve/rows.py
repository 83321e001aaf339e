"""From columns to rows: named columns of any number type become the float32 matrix that a model reads.

Nulls become NaN, which is how every model here is told that a value is missing. Nothing is filled in and
nothing is guessed: a column that is absent or holds text is refused by name.

>>> import polars as pl
>>> from_frame(pl.DataFrame({"b": [1, None], "a": [2.5, 3.5]}), ["a", "b"])
array([[2.5, 1. ],
       [3.5, nan]], dtype=float32)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

Rows: TypeAlias = NDArray[np.float32]
MEND = "serve the columns that the model was trained on: Bundle.load(folder).names"


def from_arrow(table: "pa.Table | pa.RecordBatch", names: Sequence[str], *, where: str = "the table") -> Rows:
    """Return float32 rows of the named columns of an Arrow table or record batch.

    Parameters
    ----------
    names
        Columns in the order that the model expects.
    where
        What to call the table in an error: a file name, "the request", …

    Raises
    ------
    DataError
        If a column is absent or is not made of numbers.
    """
    check_schema(table.schema, names, where=where)
    rows = np.empty((table.num_rows, len(names)), dtype=np.float32)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is then refused as such
        for place, name in enumerate(names):
            rows[:, place] = _numbers(table.column(table.schema.get_field_index(name)))
    return rows


def check_schema(schema: "pa.Schema", names: Sequence[str], *, where: str = "the table") -> None:
    """Refuse a schema that lacks one of the columns or has it in a type that is not a number.

    Raises
    ------
    DataError
        Naming the table, the column, what was expected and what was found.
    """
    for name in names:
        place = schema.get_field_index(name)
        if place < 0:
            again = " more than once" if name in schema.names else ""
            found = f"has column {name!r}{again}" if again else f"has no column {name!r}"
            msg = f"{where} {found}; it has: {', '.join(schema.names[:40])}"
            raise DataError(msg, mend=MEND)
        if not _is_number(kind := schema.field(place).type):
            msg = f"{where}: column {name!r} should hold numbers, found {kind}"
            raise DataError(msg, mend=MEND)


def from_frame(frame: Any, names: Sequence[str]) -> Rows:
    """Return float32 rows of the named columns of a Polars or pandas frame.

    Raises
    ------
    DataError
        If a column is absent or is not made of numbers, or this is no frame.
    """
    import polars as pl
    import pyarrow as pa

    if isinstance(frame, pl.DataFrame):
        return _from_polars(frame, names)
    if hasattr(frame, "to_records") and hasattr(frame, "columns"):
        kept = frame[[name for name in names if name in frame.columns]]
        return from_arrow(pa.Table.from_pandas(kept, preserve_index=False), names, where="the frame")
    msg = f"rows must be a float32 array [n, {len(names)}] or a frame, found {type(frame).__name__}"
    raise DataError(msg, mend="predictor(frame)")


def infinite(rows: Rows) -> NDArray[np.bool_]:
    """Tell for each row whether one of its values is infinite (those get no prediction).

    Examples
    --------
    >>> infinite(np.array([[1, np.nan], [np.inf, 0]], dtype=np.float32)).tolist()
    [False, True]
    """
    # One pass without a mask of all the values: the sum is finite only if every value is.
    with np.errstate(invalid="ignore"):
        if np.isfinite(np.sum(rows, dtype=np.float64)):
            return np.zeros(len(rows), dtype=np.bool_)
    return np.asarray(np.isinf(rows).any(axis=1))


def _from_polars(frame: "pl.DataFrame", names: Sequence[str]) -> Rows:
    kept = frame.select(name for name in names if name in frame.columns)
    return from_arrow(kept.to_arrow(), names, where="the frame")


def _numbers(column: Any) -> NDArray[Any]:
    """Return one Arrow column as numpy, nulls as NaN."""
    import pyarrow as pa

    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float32() if not pa.types.is_decimal(column.type) else pa.float64(), safe=False)
    copying = {} if isinstance(column, pa.ChunkedArray) else {"zero_copy_only": False}
    return np.asarray(column.to_numpy(**copying))


def _is_number(kind: "pa.DataType") -> bool:
    from pyarrow import types

    tests = (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)
