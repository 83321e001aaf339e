"""What a request may say: rows as JSON, as an Arrow stream or as raw float32, and which rows are wrong and why.

A bad row gets an error that names its field; the other rows of the request are read all the same. JSON rows
are objects (every feature by name, `null` for a missing value) or lists in the order of the features, and are
validated by pydantic's core: numbers only, no text, no booleans, nothing infinite, no unknown and no absent
fields. This module does not predict.

>>> from aifactory_lab.train.bundle import Feature
>>> schema = RowSchema([Feature("hour", 0, 23), Feature("distance", 80, 4983)])
>>> parsed = schema.read([{"hour": 7, "distance": None}, {"hour": "seven", "distance": 200}])
>>> parsed.rows, parsed.errors
(array([[ 7., nan]], dtype=float32), {1: RowError(field='hour', message='Input should be a valid number')})
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json

from aifactory_lab.errors import DataError
from aifactory_lab.serve import arrow_bodies
from aifactory_lab.serve.rows import Rows, from_arrow, infinite
from aifactory_lab.train.bundle import Feature

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
FLOAT32 = "application/octet-stream"
MOST_ROWS = 1_000_000
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class RowError:
    """Why a row gets no answer; `field` is `None` where the row as a whole is wrong."""

    field: str | None
    message: str

    def to_dict(self) -> dict[str, str | None]:
        """Return plain values for JSON."""
        return {"field": self.field, "message": self.message}


@dataclass(frozen=True)
class Parsed:
    """The readable rows of a request, and the errors of the others by their place in the request."""

    rows: Rows
    errors: Mapping[int, RowError] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rows the request holds, good and bad."""
        return len(self.rows) + len(self.errors)

    @property
    def places(self) -> list[int]:
        """The places of the readable rows in the request."""
        return [place for place in range(self.count) if place not in self.errors]


class RowSchema:
    """The rows that a model can read.

    Parameters
    ----------
    features
        The model's inputs in order.
    takes_missing
        Whether `null` (missing) is allowed.
    """

    def __init__(self, features: Sequence[Feature], *, takes_missing: bool = True) -> None:
        self.names = [feature.name for feature in features]
        self.takes_missing = takes_missing
        number: Any = core_schema.float_schema(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)
        value = core_schema.nullable_schema(number) if takes_missing else number
        fields = {name: core_schema.typed_dict_field(value) for name in self.names}
        self._named = SchemaValidator(core_schema.typed_dict_schema(fields, extra_behavior="forbid"))
        self._listed = SchemaValidator(core_schema.tuple_schema([value] * len(self.names)))

    def read(self, rows: Sequence[Any]) -> Parsed:
        """Validate JSON rows; the order of the features in an object does not matter."""
        _check_count(len(rows))
        values, errors = [], {}
        for place, row in enumerate(rows):
            try:
                values.append(self._values(row))
            except ValidationError as error:
                errors[place] = self._explain(error)
        matrix = np.array(values, dtype=np.float32).reshape(len(values), len(self.names))
        return Parsed(matrix, errors)

    def read_arrow(self, body: bytes) -> Parsed:
        """Read an Arrow IPC stream; null and NaN are missing values.

        Raises
        ------
        DataError
            If it is no Arrow stream, is compressed, lacks a feature, or has an unknown or non-numeric column.
        """
        import pyarrow as pa

        try:
            table = arrow_bodies.read(body)
            columns = table.column_names
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            msg = f"the body is not an Arrow IPC stream: {str(error).splitlines()[0] if str(error) else error!r}"
            raise DataError(msg) from error
        _check_count(table.num_rows)  # a column of nulls has no bytes, however long it claims to be
        if unknown := sorted(set(columns) - set(self.names)):
            msg = f"the request has column {unknown[0]!r}, which is not a feature of the model"
            raise DataError(msg, mend=f"send these columns: {', '.join(self.names[:40])}")
        return self._finite(from_arrow(table, self.names, where="the request"))

    def read_float32(self, body: bytes) -> Parsed:
        """Read little-endian float32 rows, row after row; NaN is a missing value.

        Raises
        ------
        DataError
            If the length is not a whole number of rows.
        """
        width = len(self.names)
        if len(body) % (4 * width):
            msg = f"the body has {len(body)} bytes, which is not a whole number of rows of {width} float32 values"
            raise DataError(msg, mend=f"send 4 × {width} = {4 * width} bytes per row")
        return self._finite(np.frombuffer(body, dtype="<f4").reshape(-1, width))

    def _values(self, row: Any) -> list[float | None]:
        if isinstance(row, list):
            return self._listed.validate_python(row)  # type: ignore[no-any-return]
        return list(self._named.validate_python(row).values())

    def _explain(self, error: ValidationError) -> RowError:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = first["loc"][0] if first["loc"] else None
        name = self.names[place] if isinstance(place, int) and place < len(self.names) else place
        return RowError(None if name is None else str(name), self._words(str(first["type"]), first["msg"]))

    def _words(self, kind: str, message: str) -> str:
        """Say it in the words of this service where pydantic's speak of Python."""
        return {
            "missing": "is absent; send null if the value is missing",
            "extra_forbidden": "is not a feature of the model",
            "dict_type": f"a row is an object by feature name, or a list of {len(self.names)} numbers",
            "too_long": f"a row has {len(self.names)} values",
            "less_than_equal": "is too large for float32",
            "greater_than_equal": "is too large for float32",
        }.get(kind, message)

    def _finite(self, rows: Rows) -> Parsed:
        bad = infinite(rows) if self.takes_missing else ~np.isfinite(rows).all(axis=1)
        if not bad.any():
            return Parsed(rows)
        errors = {int(place): self._locate(rows[place]) for place in np.flatnonzero(bad)}
        return Parsed(np.ascontiguousarray(rows[~bad]), errors)

    def _locate(self, row: Rows) -> RowError:
        wrong = np.isinf(row) if self.takes_missing else ~np.isfinite(row)
        message = "is infinite" if self.takes_missing else "is infinite or missing"
        return RowError(self.names[int(np.flatnonzero(wrong)[0])], message)


def _check_count(count: int) -> None:
    if count > MOST_ROWS:
        msg = f"the request has {count:,} rows, more than {MOST_ROWS:,}"
        raise DataError(msg, mend="send fewer rows per request, or score files with serve.score")


def json_rows(body: bytes) -> tuple[list[Any], bool]:
    """Return the rows of a JSON body, and whether it was a single one.

    A body is ``{"rows": [row, …]}``, a bare list of rows, or one row as an object.

    Raises
    ------
    DataError
        If it is not JSON, or is neither an object nor a list.

    Examples
    --------
    >>> json_rows(b'{"rows": [{"hour": 7}]}'), json_rows(b'{"hour": 7}')
    (([{'hour': 7}], False), ([{'hour': 7}], True))
    """
    content = _json(body)
    if isinstance(content, dict):
        rows = content.get("rows")
        if isinstance(rows, list) and len(content) == 1:
            return rows, False
        return [content], True
    if isinstance(content, list):
        return content, False
    msg = f'the body should be {{"rows": [row, …]}}, a list of rows, or one row; found {type(content).__name__}'
    raise DataError(msg)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # This reader also takes NaN, Infinity and 1e400: then only the row that has one is refused.
        try:
            return from_json(body)
        except ValueError:
            msg = f"the body is not JSON: {error}"
            raise DataError(msg) from error
