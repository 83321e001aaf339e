import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aifactory_lab.errors import DataError
from aifactory_lab.serve.rows import from_arrow, from_frame, infinite


def test_nulls_of_every_number_type_become_nan():
    table = pa.table(
        {
            "i": pa.array([1, None], pa.int64()),
            "f": pa.array([0.5, None], pa.float64()),
            "b": pa.array([True, None], pa.bool_()),
            "n": pa.nulls(2),
            "d": pa.array([None, 2.25]).cast(pa.decimal128(6, 2)),
        }
    )
    rows = from_arrow(table, ["d", "n", "b", "f", "i"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[np.nan, np.nan, 1, 0.5, 1], [2.25, np.nan, np.nan, np.nan, np.nan]])


def test_a_double_beyond_float32_is_infinite():
    assert infinite(from_arrow(pa.table({"a": [1e300, 1.0, -1e39]}), ["a"])).tolist() == [True, False, True]


def test_polars_and_pandas_frames_give_the_same_rows(flights, rows):
    names = flights.columns[1:11]
    np.testing.assert_array_equal(from_frame(flights, names), rows)
    np.testing.assert_array_equal(from_frame(flights.to_pandas(), names), rows)


@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
def test_an_absent_column_is_named(kind):
    with pytest.raises(DataError, match="no column 'b'; it has: a"):
        from_frame(kind({"a": [1.0]}), ["a", "b"])


def test_text_is_refused_by_column_and_type():
    with pytest.raises(DataError, match="column 'a' should hold numbers, found string"):
        from_arrow(pa.table({"a": ["x"]}), ["a"])


def test_a_column_that_is_there_twice_is_refused():
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    with pytest.raises(DataError, match="column 'a' more than once"):
        from_arrow(table, ["a"])


def test_what_is_no_frame_is_refused():
    with pytest.raises(DataError, match="found str"):
        from_frame("rows", ["a"])


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1), elements=st.floats(width=32)))
def test_infinite_rows_are_found(rows):
    np.testing.assert_array_equal(infinite(rows), np.isinf(rows).any(axis=1))
