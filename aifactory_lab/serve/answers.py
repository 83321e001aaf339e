"""What a request gets back: one result per row, in the format that it came in.

>>> refusal(429, "busy").body
b'{"error":{"field":null,"message":"busy"}}'
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from aifactory_lab.serve.rows import Rows
from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON, Parsed, RowError

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Answer:
    """Status, media type, body and further headers of a response."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Headers = ()


def refusal(status: int, message: str, *, headers: Headers = ()) -> Answer:
    """Return an error that concerns the whole request."""
    return Answer(status, orjson.dumps({"error": RowError(None, message).to_dict()}), headers=headers)


def row(parsed: Parsed, probabilities: Rows, threshold: float, headers: Headers) -> Answer:
    """Return the answer to a single JSON row; 422 if it is wrong."""
    result = results(parsed, probabilities, threshold)[0]
    return Answer(422 if parsed.errors else 200, orjson.dumps(result), headers=headers)


def rows(parsed: Parsed, probabilities: Rows, threshold: float, headers: Headers) -> Answer:
    """Return the answers to a list of JSON rows."""
    return Answer(200, orjson.dumps({"results": results(parsed, probabilities, threshold)}), headers=headers)


def results(parsed: Parsed, probabilities: Rows, threshold: float) -> list[dict[str, Any]]:
    """Return one result per row, in the order of the request."""
    good = [{"probability": p, "decision": p >= threshold} for p in probabilities.tolist()]
    if not parsed.errors:
        return good
    results: list[dict[str, Any]] = [{}] * parsed.count
    for place, result in zip(parsed.places, good, strict=True):
        results[place] = result
    for place, error in parsed.errors.items():
        results[place] = {"error": error.to_dict()}
    return results


def arrow(parsed: Parsed, probabilities: Rows, threshold: float, headers: Headers) -> Answer:
    """Return an Arrow stream of `probability`, `decision` and `error` (null where there is none)."""
    import pyarrow as pa

    values, bad = _spread(parsed, probabilities)
    errors = [None] * parsed.count if not parsed.errors else _messages(parsed)
    columns = {
        "probability": pa.array(values, mask=bad),
        "decision": pa.array(values >= threshold, mask=bad),
        "error": pa.array(errors, type=pa.string()) if parsed.errors else pa.nulls(parsed.count, pa.string()),
    }
    table = pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_batch(table)
    return Answer(200, sink.getvalue().to_pybytes(), ARROW, headers)


def float32(parsed: Parsed, probabilities: Rows, _: float, headers: Headers) -> Answer:
    """Return one little-endian float32 per row; NaN where the row has an infinite value."""
    values, bad = _spread(parsed, probabilities)
    if bad is not None:
        values[bad] = np.nan
    return Answer(200, values.astype("<f4", copy=False).tobytes(), FLOAT32, headers)


def _spread(parsed: Parsed, probabilities: Rows) -> tuple[Rows, NDArray[np.bool_] | None]:
    """Put the probabilities at their rows' places; the mask tells the rows without one."""
    if not parsed.errors:
        return probabilities, None
    values, bad = np.zeros(parsed.count, dtype=np.float32), np.ones(parsed.count, dtype=np.bool_)
    values[parsed.places], bad[parsed.places] = probabilities, False
    return values, bad


def _messages(parsed: Parsed) -> list[str | None]:
    errors = parsed.errors
    return [f"{errors[i].field} {errors[i].message}" if i in errors else None for i in range(parsed.count)]
