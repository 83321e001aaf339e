r"""What is wrong with a blueprint: every problem at once, each with its line, the text of it, and a caret.

This module does not know how they were found.

>>> print(Problem("b.yaml", Spot(2, 11, 2), "slo.p99_ms", "should be greater than 0, is -5", "  p99_ms: -5"))
b.yaml:2: slo.p99_ms: should be greater than 0, is -5
    2 |   p99_ms: -5
      |           ^^
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aifactory_lab.errors import DataError

WIDEST = 100  # characters of a line that are shown
MOST = 20  # problems that one message tells


@dataclass(frozen=True)
class Spot:
    """A place in a text: line and column, from 1, and how many characters are meant."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    file, spot, source
        Where: the file as it was named, the place, and that line of it.
    field
        Which setting, by its way: ``"decisions.slo.p99_ms"``; empty if it is none.
    what, mend
        What is wrong, with the value; what to write instead.
    """

    file: str
    spot: Spot
    field: str
    what: str
    source: str = ""
    mend: str = ""

    def __str__(self) -> str:
        head = f"{self.file}:{self.spot.line}: {f'{self.field}: ' if self.field else ''}{self.what}"
        if not self.source.strip():
            return head
        shown = "".join(letter if letter.isprintable() else " " for letter in self.source)[:WIDEST]
        number, indent = f"{self.spot.line:>5} | ", f"{'':>5} | "
        if self.spot.column > len(shown):
            return f"{head}\n{number}{shown}"
        carets = "^" * min(self.spot.length, len(shown) - self.spot.column + 1)
        return f"{head}\n{number}{shown}\n{indent}{' ' * (self.spot.column - 1)}{carets}"


class BlueprintError(DataError):
    """A blueprint does not describe a line; `problems` lists how, in the order of the text."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: (each.spot.line, each.spot.column)))
        told = [str(each) for each in self.problems[:MOST]]
        if more := len(self.problems) - len(told):
            told.append(f"… and {more} more")
        mends = "\n        ".join(dict.fromkeys(each.mend for each in self.problems[:MOST] if each.mend))
        super().__init__("\n".join(told), mend=mends or f"aifactory run --check {name}")
