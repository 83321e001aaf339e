r"""JSON from elsewhere: parsed within bounds, and made into values of the types that a dataclass declares.

What Python's own reader lets through, and trips over later, ends here: nests without an end, halves of characters,
integers of thousands of digits. A number that is not finite is null, since JSON has none (RFC 8259, 6). The checking is
pydantic's, in its lax mode: the text ``"5"`` is the number 5. This module does not know what is decoded.

>>> from aifactory_lab.telemetry.journal import Event
>>> decode(Event, b'{"kind": "begin", "station": "etl", "run": "7.1", "time": "5", "unknown": 0}').time
5.0
>>> decode(Event, b'{"kind": "begin", "station": ["etl"], "run": "7.1"}')
Traceback (most recent call last):
ValueError: station: Input should be a valid string (found ['etl'])
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

Value = TypeVar("Value")
LARGEST = 2**63 - 1  # what columns and arrays hold
LAST_MOMENT = 1e11  # seconds since the epoch, in the year 5138: what lies beyond is no time that anybody noted
LONGEST = 60  # characters of a value that is quoted


def decode(kind: type[Value], text: bytes | str, *, nans: bool = False) -> Value:
    """Return JSON as a value of a type.

    Parameters
    ----------
    kind
        A dataclass, or any other type that pydantic knows; fields that it lacks are passed over.
    nans
        Whether numbers that are not finite, which Python writes into JSON, stay what they are.

    Raises
    ------
    ValueError
        If it is not JSON, or does not fit; the message names the field and the value.
    """
    return fit(kind, parse(text, nans=nans))


def parse(text: bytes | str, *, nans: bool = False) -> Any:
    """Return JSON as plain values: numbers finite and within 64 bits, text that can be written again.

    Raises
    ------
    ValueError
        If it is not JSON, nests more than 200 deep, or holds an integer beyond 64 bits.
    """
    from pydantic_core import from_json

    try:
        return _plain(from_json(text), nans)
    except UnicodeEncodeError as error:  # halves of characters, in text that came as str
        msg = f"no text that can be written: {error.reason}"
        raise ValueError(msg) from error


def table(text: bytes | str, *, nans: bool = False) -> dict[str, Any]:
    """Return a JSON object.

    Raises
    ------
    ValueError
        As `parse`, and if it is JSON of another kind.
    """
    found = parse(text, nans=nans)
    if not isinstance(found, dict):
        msg = f"a JSON object is wanted (found {_short(found)})"
        raise ValueError(msg)  # noqa: TRY004 - of a document, not of a caller
    return found


def fit(kind: type[Value], values: Any) -> Value:
    """Return plain values as a value of a type; errors as in `decode`."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(values)  # type: ignore[no-any-return, arg-type]
    except ValidationError as error:
        raise ValueError(_words(error)) from error


def lines(text: bytes) -> Iterator[Any]:
    """Yield the objects of JSON lines; what is torn, or no object, is passed over."""
    for line in text.splitlines():
        try:
            yield table(line)
        except ValueError:
            continue


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _plain(value: Any, nans: bool) -> Any:
    if isinstance(value, float):
        return value if nans or math.isfinite(value) else None
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        msg = f"an integer of {len(str(value))} digits"
        raise ValueError(msg)
    if isinstance(value, list):
        return [_plain(one, nans) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one, nans) for name, one in value.items()}
    return value


def _words(error: Any) -> str:
    """Say the first of what does not fit."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))[:LONGEST]
    found = "" if first["type"] == "missing" else f" (found {_short(first['input'])})"
    return f"{place or 'the document'}: {first['msg']}{found}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
