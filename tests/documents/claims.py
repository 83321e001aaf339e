"""The numbers that the README says, each beside the code that finds it again.

To add one: copy the words around the number, put `{}` where the number stands, and give what computes its text.
What only a measurement can say belongs in a section that has its date and its command (see `unregistered`).

>>> [claim.words for claim in CLAIMS][:1]
['takes {} real flight records']
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import nbformat
import polars as pl

from aifactory_lab import datasets, measure, twin
from aifactory_lab.laws import chinchilla, runs
from tests.documents import commands
from tests.documents.texts import ROOT, Document

WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBER = re.compile(r"(?<![\w.,/:#-])\d(?:[\d.,]*\d)?(?![\w-]|\.\w)")
DATE = re.compile(r"20\d\d-\d\d-\d\d")


@dataclass(frozen=True)
class Claim:
    """Words with `{}` for each number, and what finds the numbers again, as they are written."""

    words: str
    again: Callable[[], tuple[str, ...]]
    measurements: bool = False  # needs what others measured, in $AIFACTORY_DATA

    def pattern(self) -> re.Pattern[str]:
        """Return what matches the words, however the lines are broken."""
        parts = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in self.words.split("{}")]
        return re.compile(r"([\d.,]*\d|[a-z]+)".join(parts))


@cache
def _card() -> dict[str, float]:
    return {row["check"]: row["error"] for row in twin.validation.card().rows(named=True)}


def _percent(*checks: str, digits: int = 0) -> tuple[str, ...]:
    mean = sum(_card()[check] for check in checks) / len(checks)
    return (f"{100 * mean:.{digits}f}",)


@cache
def _lesson(number: str) -> tuple[str, str]:
    """Return a lesson's code and what it printed; strict nbval holds the second to the first."""
    cells = nbformat.read(next((ROOT / "notebooks" / "solutions").glob(f"{number}_*")), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    return "\n".join(cell.source for cell in code), "\n".join(str(o.get("text", "")) for c in code for o in c.outputs)


def _said(number: str, pattern: str) -> tuple[str, ...]:
    found = re.search(pattern, "\n".join(_lesson(number)))
    return found.groups() if found else ()


@cache
def _forecast() -> tuple[Any, float]:
    """Return the README's forecast of a larger run, and what that run came to."""
    sweep = runs.read(runs.kept("pretraining"))
    fit = chinchilla.fit(runs.below(sweep, 3e12)[0])
    asked = (1.75e6, 8e5)
    off = (pl.col("parameters") / asked[0] - 1).abs() + (pl.col("tokens") / asked[1] - 1).abs()
    return fit.predict(*asked), sweep.sort(off)["loss"][0]


def _forecast_said() -> tuple[str, ...]:
    forecast, came = _forecast()
    return tuple(f"{value:.2f}" for value in (forecast.loss, forecast.low, forecast.high, came))


def _largest_board() -> tuple[str, ...]:
    from tests.benchmarks.plant import boards

    return (f"{max(boards.SIZES):,}",)


def _flights() -> tuple[str, ...]:
    return (f"{datasets.load('flights')['flights'].select(pl.len()).collect().item():,}",)


def _designs() -> tuple[str, ...]:
    count = math.prod(len(values) for values in twin.sweep.GRID.values())
    return ("million" if 950_000 <= count < 1_150_000 else f"{count:,}",)


def _sampled() -> tuple[str, ...]:
    gpus = _said("10", r"about\((\d+_000)")
    return (f"{int(*gpus):,}",)


CLAIMS = (
    Claim("takes {} real flight records", _flights),
    Claim("needs Python {} or newer", lambda: (str(commands.project()["requires-python"]).removeprefix(">="),)),
    Claim("brings RAPIDS {}", lambda: tuple(re.findall(r"'cuml-cu12\S*?==(\d+\.\d+)", str(commands.project())))),
    Claim("a day of {} million requests", lambda: (f"{float(*_said('10', r'([0-9.]+) million requests')):.0f}",)),
    Claim("requests with {} incidents", lambda: (WORDS[_lesson("10")[0].split("]\n")[0].count("Incident(")],)),
    Claim("a sample of {} GPUs", _sampled),
    Claim("# a {} designs in seconds", _designs),
    Claim("with its errors, a {} designs", _designs),
    Claim("1 to {} GPUs as a heat map", _largest_board),
    Claim("recomputes {} published numbers", lambda: (str(len(twin.validation.CHECKS)),)),
    Claim("is off by {} % (B200)", lambda: _percent("Dense models on B200", digits=1), measurements=True),
    Claim("and {} % (H200) on average", lambda: _percent("Dense models on H200", digits=1), measurements=True),
    Claim(
        "mixtures of experts' by about {} %",
        lambda: _percent("Mixtures of experts on H200", "Mixtures of experts on B200"),
        measurements=True,
    ),
    Claim("while serving is off by {} %", lambda: _percent("Power of GPUs that serve: mean error"), measurements=True),
    Claim("# {} small trainings", lambda: (str(runs.read(runs.kept("pretraining")).height),)),
    Claim("before it was trained: {} [{}, {}]; it came out at {}", _forecast_said),
    Claim("an assumption ({}, an AWS", lambda: (str(measure.DOLLARS_PER_CORE_HOUR),)),
)
"""What the README says. A phrase that it no longer has fails, as a number that is no longer true does."""

GIVEN = {
    "(about 7 GB)": "pip's own sum, which only a download of 7 GB would find again",
    "joules per 1,000": "a unit",
    "A simulated hall of 36 NVL72 racks": "what the picture shows",
    "a plant of 1,080 GB200": "what the picture shows",
    "Apache-2.0": "a licence",
    "and gives exit code 3": "what tests/blueprints hold it to",
    "or {column: delay, above: 15}": "an example",
}
"""What no code can find again, and why."""


def unregistered(document: Document) -> Iterator[tuple[int, str, str]]:
    """Yield (line, number, line's text) of numbers that nothing here vouches for.

    A number is vouched for by a claim, by `GIVEN`, or by its section, if that has a date and a command that measures.
    Numbers in code are not claims; what stands in comments beside the code is.
    """
    text = _claimed_away(_comments_kept(document.text))
    section: list[str] = []
    lines = list(enumerate(text.splitlines(), 1))
    starts = [number for number, line in lines if line.startswith("## ")] + [len(lines) + 1]
    for start, end in zip([1, *starts], starts, strict=False):
        section = [line for _, line in lines[start - 1 : end - 1]]
        if _measured("\n".join(document.text.splitlines()[start - 1 : end - 1])):
            continue
        for at, line in enumerate(section, start):
            for found in NUMBER.finditer(line):
                yield at, found[0], document.text.splitlines()[at - 1].strip()


def _measured(section: str) -> bool:
    """Tell whether a section says when its numbers were measured, and by which command."""
    return bool(
        DATE.search(section)
        and re.search(r"`(?:make [a-z-]+|aifactory [^`]+|(?:\.venv/bin/)?python -m [\w.]+[^`]*)`", section)
    )


def _comments_kept(text: str) -> str:
    def fence(found: re.Match[str]) -> str:
        comments = [line.partition("# ")[1] + line.partition("# ")[2] for line in found[0].splitlines()]
        return "\n".join(comments)

    return re.sub(r"^```.*?^```", fence, text, flags=re.MULTILINE | re.DOTALL)


def _claimed_away(text: str) -> str:
    for claim in CLAIMS:
        text = claim.pattern().sub(_without_digits, text)
    for words in GIVEN:
        text = re.sub(r"\s+".join(map(re.escape, words.split())), _without_digits, text)
    for harmless in (r"`[^`]*`", r"\]\([^)]*\)", r"^\| \d+ \|", r"[Ll]essons? \d+", DATE.pattern):
        text = re.sub(harmless, _without_digits, text, flags=re.MULTILINE)
    return text


def _without_digits(found: re.Match[str]) -> str:
    return re.sub(r"\d", "", found[0])
