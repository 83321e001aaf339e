r"""Read a blueprint, and say of everything that is wrong in which line it stands and what to write instead.

The text is parsed (`document`), then held against the models; what pydantic finds is put into words here, with the
traps of YAML named where they bite. This module runs nothing.

>>> parse("name: night\ndecisions:\n  model:\n    estimater: xgboost\n", "night.yaml")
Traceback (most recent call last):
aifactory_lab.blueprints.problems.BlueprintError: night.yaml:4: decisions.model.estimater: no such word here; did ...
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aifactory_lab.blueprints import document, words
from aifactory_lab.blueprints.document import Document
from aifactory_lab.blueprints.models import Blueprint
from aifactory_lab.blueprints.problems import BlueprintError, Problem
from aifactory_lab.errors import DataError

FLOAT = re.compile(r"[-+]?\d[\d_]*(?:\.\d*)?[eE][-+]?\d+")  # 1e3: a number everywhere but in YAML 1.1
LOGICAL = {"yes", "no", "on", "off", "true", "false", "y", "n"}
LETTERS = "should be of letters, digits, '.', '_' and '-', and begin with a letter or a digit"
UNSAID = ("Input ", "Value error, ", "List ", "Dictionary ", "String ")


def read(path: Path | str) -> Blueprint:
    """Read and check a blueprint file.

    Raises
    ------
    BlueprintError
        With every problem, each with its line; a `DataError`.
    DataError
        If there is no such file.

    Examples
    --------
    >>> from aifactory_lab import blueprints
    >>> read(blueprints.path("flights")).decisions.data.dataset
    'flights'
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(document.MOST_BYTES + 1)
    except OSError as error:
        msg = f"the blueprint {path} cannot be read: {error.strerror or error}"
        raise DataError(msg, mend="aifactory run --new > blueprint.yaml") from error
    return parse(text, str(path), folder=path.parent)


def parse(text: bytes | str, name: str = "blueprint.yaml", *, folder: Path | str = "") -> Blueprint:
    """Read a blueprint from its text, under the name that errors give it; relative paths start in a folder.

    Raises
    ------
    BlueprintError
        With every problem, each with its line.
    """
    found = document.parse(text, name)
    try:
        return Blueprint.model_validate_json(json.dumps(found.values)).read_from(found, Path(folder))
    except ValidationError as error:
        raise BlueprintError(name, list(_problems(found, error))) from None


def _problems(found: Document, error: ValidationError) -> Iterator[Problem]:
    for each in error.errors(include_url=False):
        way = found.nearest(each["loc"])
        below = each.get("ctx", {}).get("at", "")
        way = (*way, below) if (*way, below) in found.spots else way
        kind = each["type"]
        if kind == "missing":
            yield _missing(found, way, str(each["loc"][-1]))
        elif kind == "extra_forbidden":
            yield _unknown(found, way)
        else:
            yield _wrong(found, way, each)


def _missing(found: Document, way: document.Path, word: str) -> Problem:
    spot = found.keys.get(way, found.spots[way])
    return found.problem(spot, f"{word} is missing", at=way, mend=f"write a line {word}: …")


def _unknown(found: Document, way: document.Path) -> Problem:
    there = _known(way[:-1])
    word = str(way[-1])
    meant = words.near(word, there)
    hint = f"did you mean {meant!r}? There" if meant else "there"
    what = f"no such word here; {hint} are: {', '.join(there)}"
    return found.problem(found.keys[way], what, at=way, mend=f"write {meant} for {word}" if meant else "")


def _wrong(found: Document, way: document.Path, error: Any) -> Problem:
    """Say what pydantic refused, the value as it is written, and what YAML made of it if that is why."""
    spot, given = found.spots[way], _at(found.values, way)
    if error["type"] == "blueprint":
        context = error["ctx"]
        return found.problem(spot, error["msg"], at=way, mend=context["mend"])
    what = LETTERS if error["type"] == "string_pattern_mismatch" else error["msg"]
    for word in UNSAID:
        what = what.removeprefix(word)
    told = "" if isinstance(given, dict | list) else f", is {_shown(given)}"
    trap = _trap(found, way, error["type"], given)
    return found.problem(spot, f"{what[:1].lower()}{what[1:]}{told}{'; ' if trap else ''}{trap}", at=way)


def _trap(found: Document, way: document.Path, kind: str, given: Any) -> str:
    """Return what YAML 1.1 did to the value, if that is what is wrong; an empty text if not."""
    spot = found.spots[way]
    written = found.lines[spot.line - 1][spot.column - 1 :][: spot.length]
    if kind == "string_type" and isinstance(given, bool) and written.lower() in LOGICAL:
        return f"{written} without quotes is {_shown(given)} to YAML; write {json.dumps(written)}"
    if kind == "string_type" and isinstance(given, int | float):
        return f"a number without quotes; write {json.dumps(written)}"
    if given is None:
        return "nothing stands after the colon"
    if kind in ("int_type", "float_type") and isinstance(given, str) and FLOAT.fullmatch(given):
        return f"{given} without a point and a sign is text to YAML 1.1; write {float(given.replace('_', '')):g}"
    if kind in ("int_type", "float_type") and isinstance(given, str) and written[:1] in "\"'":
        return "it is text in quotes; write it without"
    return ""


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _at(values: Any, way: document.Path) -> Any:
    for part in way:
        values = values[part]
    return values


def _known(way: document.Path) -> list[str]:
    """Return the words that may stand at a place."""
    model: type[BaseModel] = Blueprint
    for part in way:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation such as ``Slo | None`` speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)
