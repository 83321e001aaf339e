"""Shell commands of the documents, parsed by who would run them: the Makefile, typer, pip, Python. Nothing is run.

>>> complaint("make run")
>>> complaint("make coffee")
"make: no target 'coffee'"
>>> complaint("aifactory run --line decisions --copies 3")
>>> complaint("aifactory run --lines tokens")
'aifactory run: No such option: --lines (Possible options: ...--line...)'
"""

import importlib.util
import itertools
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import typer

from aifactory_lab import dash
from tests.documents.texts import ROOT, Document

PROGRAMS = ("make ", "aifactory ", "python ", "python3 ", "pip ", "uv ", "jupyter ", ".venv/bin/")
Check = Callable[[list[str]], str | None]


def of(document: Document) -> Iterator[tuple[int, str]]:
    """Yield (line, command) of every shell command in a document: in blocks, and in backticks."""
    for block in document.blocks("bash"):
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            if line.split("#")[0].strip():
                yield number, line.split(" #")[0].strip()
    for line, span in document.spans():
        if span.startswith(PROGRAMS) and len(span.split()) > 1:
            yield line, span


def complaint(command: str) -> str | None:
    """Return what its program would say against a command; None if it would run it.

    `a|b` is a list of names, without their arguments; `…`, and what stands in capitals (FILE), the reader fills in.
    """
    listed = "|" in command
    for words in _alternatives(shlex.split(command)):
        program = words[0].removeprefix(".venv/bin/")
        check = CHECKS.get(program)
        if check is None:
            return f"{program}: nobody here knows this program"
        if (said := check([word for word in words[1:] if word != "…"])) and not (listed and "Missing arg" in said):
            return said
    return None


def alternatives(command: str) -> list[str]:
    """Return a command once for each of its `a|b`.

    >>> alternatives("aifactory twin design|day --help")
    ['aifactory twin design --help', 'aifactory twin day --help']
    """
    return [shlex.join(words) for words in _alternatives(shlex.split(command))] if "|" in command else [command]


def _alternatives(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]  # NAME=value in front of a command
    return map(list, itertools.product(*[word.split("|") for word in words]))


@cache
def targets() -> dict[str, str]:
    """Return the Makefile's targets that explain themselves, with what they say."""
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return dict(found)


def _make(words: list[str]) -> str | None:
    unknown = [word for word in words if "=" not in word and word not in targets()]
    return f"make: no target {unknown[0]!r}" if unknown else None


@cache
def program() -> Any:
    """Return our command line as click sees it (typer brings a click of its own)."""
    from aifactory_lab.cli import app

    return typer.main.get_command(app)


def _aifactory(words: list[str]) -> str | None:
    try:
        return _parse(program(), "aifactory", words)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        where = error.ctx.command_path if getattr(error, "ctx", None) else "aifactory"
        return None if type(error).__name__ == "NoArgsIsHelpError" else f"{where}: {error.format_message()}"


def _parse(command: Any, name: str, words: list[str], parent: Any = None) -> str | None:
    filled = ["README.md" if re.fullmatch(r"[A-Z]{3,}", word) else word for word in words]
    context = command.make_context(name, filled, parent=parent)
    if context.command_path == "aifactory dash" and context.params["board"] not in dash.boards():
        return f"aifactory dash: no board {context.params['board']!r}"
    left = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and (left or not command.invoke_without_command):
        called, inner, left = command.resolve_command(context, left)
        return _parse(inner, called, left, context)
    return None


def _python(words: list[str]) -> str | None:
    if words[:1] != ["-m"]:
        return None if (ROOT / words[0]).is_file() else f"python: no file {words[0]!r}"
    if words[1] == "pip":
        return _pip(words[2:])
    if not importlib.util.find_spec(words[1]):
        return f"python -m: no module {words[1]!r}"
    if words[1] == "tests.benchmarks":
        known = {path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "benchmarks").glob("bench_*.py")}
        unknown = [word for word in words[2:] if word not in {*known, "--quick"}]
        return f"tests.benchmarks: no benchmark {unknown[0]!r}" if unknown else None
    return None


@cache
def project() -> dict[str, object]:
    """Return what pyproject.toml says of the project."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def extras() -> set[str]:
    """Return the project's extras."""
    found = project()["optional-dependencies"]
    assert isinstance(found, dict)
    return set(found)


def _pip(words: list[str]) -> str | None:
    named = {each.strip() for word in words for found in re.findall(r"\[(.*?)\]", word) for each in found.split(",")}
    ours = any(word.startswith((".", "aifactory")) for word in words)
    unknown = sorted(named - extras()) if ours else []
    return f"pip install: no extra {unknown[0]!r}" if unknown else None


def _jupyter(words: list[str]) -> str | None:
    missing = [word for word in words[1:] if not word.startswith("-") and not (ROOT / word).exists()]
    return f"jupyter: no {missing[0]!r}" if missing else None


CHECKS: dict[str, Check] = {
    "make": _make,
    "aifactory": _aifactory,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "uv": lambda words: _pip(words[1:]),
    "jupyter": _jupyter,
}
