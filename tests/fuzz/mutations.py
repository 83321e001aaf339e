r"""How a good document goes bad: cut, flipped, doubled, and with the values that parsers stumble over.

Half of the mutations know bytes only, half know JSON and put a value of another type, an endless number or a deep nest
where the document has something else. All choices come from one function, ``pick(n)``, a number from 0 to n - 1, so
that hypothesis and atheris draw from the same mutations.

>>> from random import Random
>>> mutated(b'{"a": 1}\n{"a": 2}\n', Random(1).randrange) != b'{"a": 1}\n{"a": 2}\n'
True
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from pydantic_core import from_json

Pick = Callable[[int], int]
DEEP = 1_100  # beyond Python's recursion limit, and beyond orjson's
NASTY_BYTES = (
    b"",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\\ud800",
    b'"',
    b"{",
    b"}",
    b",",
    b"=",
    b"|",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"0",
    b"1.5",
    b"9" * 25,
    b"9" * 5_000,
    b"null",
    b"[]",
    b"{}",
    b"\xe2\x80\xa8",
    "²".encode(),
    "٣".encode(),
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"A" * 70_000,
)


class Raw(str):
    """JSON as it stands: what `json.dumps` would not write."""

    __slots__ = ()


NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**53 + 1,
    2**64,
    10**30,
    Raw("9" * 400),
    Raw("9" * 5_000),
    1.5,
    -0.0,
    5e-324,
    1.7e308,
    Raw("1e999"),
    Raw("-1e999"),
    Raw("NaN"),
    "",
    "x",
    "1",
    "\x00",
    "a/b",
    "../../etc/passwd",
    Raw('"\\ud800"'),
    "é" * 300,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": []}},
    [1, "2", None],
    Raw("[" * DEEP + "]" * DEEP),
    Raw('{"a":' * DEEP + "1" + "}" * DEEP),
)


def mutated(document: bytes, pick: Pick, words: Sequence[bytes] = ()) -> bytes:
    """Return a document with one to four mutations."""
    for _ in range(1 + pick(4)):
        changed = _json_mutated(document, pick) if pick(2) else None
        document = _bytes_mutated(document, pick, words) if changed is None else changed
    return document


@st.composite
def documents(draw: Any, seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """Return a strategy of mutated documents."""
    pick = lambda n: draw(st.integers(0, max(0, n - 1)))  # noqa: E731
    return mutated(seeds[pick(len(seeds))], pick, words)


def _bytes_mutated(data: bytes, pick: Pick, words: Sequence[bytes]) -> bytes:
    start = pick(len(data) + 1)
    stop = min(len(data), start + (1, 2, 8, 64, 1 << 20)[pick(5)])
    kind = pick(6)
    if kind == 0:
        return data[:start]
    if kind == 1 and start < len(data):
        return data[:start] + bytes([data[start] ^ 1 << pick(8)]) + data[start + 1 :]
    if kind == 2:
        return data[:start] + data[stop:]
    if kind == 3:
        return data[:stop] + data[start:]
    nasty = (*NASTY_BYTES, *words)
    if kind == 4:
        return data[:start] + nasty[pick(len(nasty))] + data[start:]
    return _word_replaced(data, start, nasty[pick(len(nasty))])


def _word_replaced(data: bytes, start: int, word: bytes) -> bytes:
    """Put a word in the place of the one that stands there: of what has neither space nor punctuation around it."""
    ends = b" \t\r\n,;:=|\"'{}[]()"
    first = last = start
    while first > 0 and data[first - 1] not in ends:
        first -= 1
    while last < len(data) and data[last] not in ends:
        last += 1
    return data[:first] + word + data[last:]


def _json_mutated(data: bytes, pick: Pick) -> bytes | None:
    """Change a value of a JSON document, or of a line of a file of lines; `None` if there is none."""
    lines = data.split(b"\n")
    whole = _loaded(data)
    if whole is not None:
        return _dumped(_changed(whole, pick))
    places = [place for place, line in enumerate(lines[:200]) if b"{" in line or b"[" in line]
    if not places:
        return None
    place = places[pick(len(places))]
    brace = min(at for at in (lines[place].find(b"{"), lines[place].find(b"[")) if at >= 0)
    value = _loaded(lines[place][brace:])
    if value is None:
        return None
    lines[place] = lines[place][:brace] + _dumped(_changed(value, pick))
    return b"\n".join(lines)


def _loaded(text: bytes) -> Any:
    try:
        found = from_json(text)  # of 200 levels at most, wherever the stack begins
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _changed(value: Any, pick: Pick) -> Any:
    """Go down to some value and put a nasty one in its place, take it away, or put it in twice."""
    if isinstance(value, dict) and value and pick(8):
        name = list(value)[pick(len(value))]
        if pick(12) == 0:
            return {key: one for key, one in value.items() if key != name}
        return {**value, name: _changed(value[name], pick)}
    if isinstance(value, list) and value and pick(8):
        place = pick(len(value))
        if pick(12) == 0:
            return value[:place] + value[place + 1 :]
        if pick(12) == 0:
            return value[: place + 1] + value[place:]
        return [*value[:place], _changed(value[place], pick), *value[place + 1 :]]
    return NASTY_VALUES[pick(len(NASTY_VALUES))]


def _dumped(value: Any) -> bytes:
    """Write JSON in which raw pieces stand as they are."""
    if isinstance(value, Raw):
        return value.encode()
    if isinstance(value, dict):
        return b"{" + b", ".join(json.dumps(str(k)).encode() + b": " + _dumped(v) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b", ".join(map(_dumped, value)) + b"]"
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return b"null"
