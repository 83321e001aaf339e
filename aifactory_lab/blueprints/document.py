r"""A blueprint's text: YAML read safely, and the place of every key and value in it.

Nothing is constructed but text, numbers, truth values, lists and mappings. What a plain description of a line has no
use for is refused with its line: tags, anchors and aliases (a few lines of them unfold into gigabytes), several
documents, keys that occur twice, and words that YAML 1.1 reads as another number than they look. This module does not
know what a blueprint may say.

>>> found = parse("name: night\ndata:\n  copies: 2\n")
>>> found.values, found.spots["data", "copies"].line
({'name': 'night', 'data': {'copies': 2}}, 3)
"""

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from aifactory_lab.blueprints.problems import BlueprintError, Problem, Spot

MOST_BYTES = 64 << 10
DEEPEST = 16
TABS = "YAML indents with spaces; a tab cannot stand here"
PREFIX = "tag:yaml.org,2002:"
TEXTS = ("str", "timestamp", "value")  # a time stays as it is written: who wants one reads it
ODD_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|0b[01_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")
Path = tuple[Hashable, ...]


@dataclass(frozen=True)
class Document:
    """The values of a text, and where they stand.

    Attributes
    ----------
    name
        What the text is called in messages: its file.
    lines
        The text, line by line.
    values
        Plain values.
    spots, keys
        The place of each value, and of each key, by the way to it: ``("decisions", "slo", "p99_ms")``.
    """

    name: str
    lines: tuple[str, ...]
    values: Any = None
    spots: dict[Path, Spot] = field(default_factory=dict)
    keys: dict[Path, Spot] = field(default_factory=dict)

    def nearest(self, way: Path) -> Path:
        """Return as much of a way as the text has."""
        found: Path = ()
        for part in way:
            if (*found, part) in self.spots:
                found = (*found, part)
        return found

    def problem(self, spot: Spot, what: str, *, at: Path = (), mend: str = "") -> Problem:
        """Return a problem at a place, with the line of the text."""
        source = self.lines[spot.line - 1] if spot.line <= len(self.lines) else ""
        return Problem(self.name, spot, ".".join(map(str, at)), what, source, mend)


def parse(text: bytes | str, name: str = "blueprint.yaml") -> Document:
    """Read a text.

    Raises
    ------
    BlueprintError
        If it is too large, not UTF-8, not YAML, or holds what a blueprint has no use for; with every such place.
    """
    plain = _decoded(text, name)
    found = Document(name, tuple(plain.splitlines()))
    try:
        problems = list(_foreign(found, plain))
        if problems:
            raise BlueprintError(name, problems)
        node = yaml.compose(plain, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BlueprintError(name, [_syntax(found, error)]) from error
    if node is None:
        raise BlueprintError(name, [found.problem(Spot(1, 1), "nothing is written here", mend="aifactory run --new")])
    wrong: list[Problem] = []
    values = _value(found, node, (), wrong)
    if wrong:
        raise BlueprintError(name, wrong)
    return Document(name, found.lines, values, found.spots, found.keys)


def _decoded(text: bytes | str, name: str) -> str:
    given = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(given) > MOST_BYTES:
        what = f"{len(given):,} bytes; a blueprint has at most {MOST_BYTES:,}"
        raise BlueprintError(name, [Problem(name, Spot(1, 1), "", what)])
    try:
        return given.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = given[: error.start].decode(errors="replace")
        spot = Spot(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        what = f"byte {given[error.start]:#04x} is not UTF-8"
        mend = f"iconv -f WINDOWS-1252 -t UTF-8 {name} > utf8.yaml"
        raise BlueprintError(name, [Problem(name, spot, "", what, mend=mend)]) from error


def _foreign(found: Document, text: str) -> Iterator[Problem]:
    """Yield what is refused before anything is built; events come one by one, however deep the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        spot = _spot(event)
        if anchor := getattr(event, "anchor", ""):
            mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
            yield found.problem(spot, f"{mark}{anchor}: anchors and aliases are refused; write the value out")
        if (tag := getattr(event, "tag", None)) and not isinstance(event, yaml.DocumentStartEvent):
            yield found.problem(spot, f"tag {tag!r}: a blueprint holds plain values only; take the tag away")
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.DocumentStartEvent) and documents == 2:
            yield found.problem(spot, "a second document (---); a blueprint is one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            yield found.problem(spot, f"more than {DEEPEST} levels of nesting")
            return


def _value(found: Document, node: yaml.Node, way: Path, wrong: list[Problem]) -> Any:
    """Return a node's plain value; note its place, and what is wrong with it."""
    found.spots[way] = _spot(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(found, each, (*way, number), wrong) for number, each in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return _mapping(found, node, way, wrong)
    kind = node.tag.removeprefix(PREFIX)
    if kind in TEXTS:
        return node.value
    if trap := _trap(node.value, kind):
        wrong.append(found.problem(_spot(node), trap, at=way))
        return None
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (ValueError, OverflowError, yaml.YAMLError):
        wrong.append(found.problem(_spot(node), f"{_short(node.value)} is no {kind} that can be read", at=way))
        return None


def _mapping(found: Document, node: yaml.MappingNode, way: Path, wrong: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        spot = _spot(key)
        word = key.value if isinstance(key, yaml.ScalarNode) else ""
        at = (*way, word)
        if not word or key.tag == f"{PREFIX}merge":
            wrong.append(found.problem(spot, "a key is one word before a colon", at=way))
        elif at in found.keys:
            first = found.keys[at].line
            wrong.append(found.problem(spot, f"stands here a second time; the first is in line {first}", at=at))
        else:
            found.keys[at] = spot
            values[word] = _value(found, value, at, wrong)
    return values


def _trap(text: str, kind: str) -> str:
    """Say what YAML 1.1 makes of a number that looks like another; empty if it is what it looks like."""
    plain = text.replace("_", "")
    if kind in ("int", "float") and ODD_NUMBER.fullmatch(text) and plain.strip("+-") != "0":
        read = yaml.safe_load(text) if len(text) < 40 else "another number"
        if str(read) != plain.lstrip("+"):
            return f"{text} is {read} to YAML 1.1; write {read}, or {text!r} in quotes if it is a word"
    if kind == "float" and plain.lower().strip("+-.") in ("inf", "nan"):
        return f"{text} is no number that a line can use"
    return ""


def _syntax(found: Document, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        said = " ".join(part for part in (getattr(error, "problem", ""), getattr(error, "context", "")) if part)
        spot = Spot(mark.line + 1, mark.column + 1)
        line = found.lines[mark.line] if mark.line < len(found.lines) else ""
        tab = "\t" in line[: mark.column + 1]
        return found.problem(spot, f"this is not YAML: {said}", mend=TABS if tab else "")
    position = int(getattr(error, "position", 0))  # a character that no YAML may hold
    before = "\n".join(found.lines)[:position]
    spot = Spot(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    return found.problem(spot, f"this is not YAML: {str(error).splitlines()[0]}")


def _spot(thing: Any) -> Spot:
    start, end = thing.start_mark, thing.end_mark  # of a node or an event
    length = end.column - start.column if end.line == start.line else 1
    return Spot(start.line + 1, start.column + 1, max(1, length))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"
