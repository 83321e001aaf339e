import contextlib
import json

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.serve.schemas import RowSchema, json_rows
from aifactory_lab.train.bundle import Feature

SCHEMA = RowSchema([Feature("hour", 0, 23), Feature("distance", 80, 4983)])
GOOD = {"hour": 7, "distance": 200.5}


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        ({"hour": 7}, "distance", "absent"),
        ({**GOOD, "colour": 1}, "colour", "not a feature"),
        ({**GOOD, "hour": "7"}, "hour", "valid number"),
        ({**GOOD, "hour": True}, "hour", "valid number"),
        ({**GOOD, "hour": [7]}, "hour", "valid number"),
        ({**GOOD, "hour": float("inf")}, "hour", "finite"),
        ({**GOOD, "hour": 1e39}, "hour", "too large"),
        ({**GOOD, "hour": -1e39}, "hour", "too large"),
        ({**GOOD, "hour": 10**400}, "hour", "valid number"),
        ([7], "distance", "absent"),
        ([7, 200, 1], None, "2 values"),
        ([7, "far"], "distance", "valid number"),
        ("seven", None, "object by feature name"),
        (None, None, "object by feature name"),
    ],
)
def test_a_bad_row_names_its_field_and_the_others_are_read(bad, field, words):
    parsed = SCHEMA.read([GOOD, bad, [8, None]])
    np.testing.assert_array_equal(parsed.rows, np.array([[7, 200.5], [8, np.nan]], np.float32))
    assert list(parsed.errors) == [1]
    assert parsed.errors[1].field == field
    assert words in parsed.errors[1].message
    assert (parsed.count, parsed.places) == (3, [0, 2])


def test_the_order_in_an_object_does_not_matter():
    np.testing.assert_array_equal(SCHEMA.read([{"distance": 1, "hour": 2}]).rows, [[2, 1]])


def test_a_model_that_cannot_take_gaps_refuses_null():
    parsed = RowSchema([Feature("hour", 0, 23)], takes_missing=False).read([{"hour": None}])
    assert parsed.errors[0].field == "hour"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["hour", "distance", "rows", "x"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
@example({"rows": 3})
@example([[1, 2]])
def test_any_json_is_read_or_refused_row_by_row(value):
    try:
        rows, single = json_rows(json.dumps(value).encode())
    except DataError:
        assert not isinstance(value, dict | list)
        return
    parsed = SCHEMA.read(rows)
    assert parsed.count == len(rows)
    many = isinstance(value, list) or (len(value) == 1 and isinstance(value.get("rows"), list))
    assert single is not many
    assert not np.isinf(parsed.rows).any()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body):
    for read in (json_rows, SCHEMA.read_arrow, SCHEMA.read_float32):
        try:
            read(body)
        except DataError:
            continue


@given(st.lists(st.tuples(*[st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), max_size=5))
def test_the_three_formats_read_the_same_rows(values):
    matrix = np.array(values, np.float32).reshape(-1, 2)
    from_json = SCHEMA.read(json_rows(orjson.dumps({"rows": [list(v) for v in values]}))[0]).rows
    table = pa.table(
        {
            "distance": pa.array([v[1] for v in values], pa.float32()),
            "hour": pa.array([v[0] for v in values], pa.float32()),
        }
    )
    np.testing.assert_array_equal(from_json, matrix)
    np.testing.assert_array_equal(SCHEMA.read_arrow(stream(table)).rows, matrix)
    np.testing.assert_array_equal(SCHEMA.read_float32(matrix.tobytes()).rows, matrix)


def test_infinity_where_python_json_allows_it_is_one_rows_error():
    rows, _ = json_rows(b'[{"hour": 1e400, "distance": 1}, {"hour": 1, "distance": NaN}, {"hour": 1, "distance": 2}]')
    parsed = SCHEMA.read(rows)
    assert [parsed.errors[0].field, parsed.errors[1].field] == ["hour", "distance"]
    assert len(parsed.rows) == 1


def test_an_infinite_value_in_a_binary_body_is_one_rows_error():
    body = np.array([[1, 2], [3, np.inf], [np.nan, 4]], np.float32).tobytes()
    parsed = SCHEMA.read_float32(body)
    assert parsed.places == [0, 2]
    assert parsed.errors[1].to_dict() == {"field": "distance", "message": "is infinite"}


def test_a_torn_float32_body_says_how_long_a_row_is():
    with pytest.raises(DataError, match=r"9 bytes.*rows of 2 float32"):
        SCHEMA.read_float32(b"123456789")


def test_an_arrow_body_with_wrong_columns_is_refused_by_name():
    with pytest.raises(DataError, match="'x', which is not a feature"):
        SCHEMA.read_arrow(stream(pa.table({"hour": [1], "distance": [2], "x": [3]})))
    with pytest.raises(DataError, match="no column 'distance'"):
        SCHEMA.read_arrow(stream(pa.table({"hour": [1]})))
    with pytest.raises(DataError, match="'hour' should hold numbers, found string"):
        SCHEMA.read_arrow(stream(pa.table({"hour": ["7"], "distance": [2]})))
    with pytest.raises(DataError, match="not an Arrow IPC stream"):
        SCHEMA.read_arrow(stream(pa.table({"hour": [1], "distance": [2]}))[:100])


def test_more_rows_than_memory_should_hold_are_refused():
    schema = pa.schema([("hour", pa.null()), ("distance", pa.null())])
    table = pa.Table.from_arrays([pa.nulls(2_000_000), pa.nulls(2_000_000)], schema=schema)
    assert len(stream(table)) < 2_000  # a column of nulls has no bytes
    with pytest.raises(DataError, match="2,000,000 rows, more than 1,000,000"):
        SCHEMA.read_arrow(stream(table))


@given(st.integers(0, 2_000), st.integers(0, 255))
def test_a_damaged_arrow_stream_is_read_or_refused(place, value):
    body = bytearray(stream(pa.table({"hour": [1.0, None], "distance": [2, 3]})))
    body[place % len(body)] = value
    with contextlib.suppress(DataError):
        SCHEMA.read_arrow(bytes(body))


def test_deep_nesting_is_refused_not_fatal():
    with pytest.raises(DataError, match="not JSON"):
        json_rows(b"[" * 100_000)
