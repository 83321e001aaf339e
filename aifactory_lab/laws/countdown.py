r"""Countdown: make a number out of three others. Small enough to learn in a minute, and every answer can be checked.

A puzzle is answered by an expression that uses each number once, or by a chain: its two steps, each with its result.
``"25 7 3=54:"`` asks for the one and ``"25 7 3=54?"`` for the other. The verifier is exact and knows no model. Whoever
guesses is often right after enough guesses, so `guess` stands beside every model: an answer of the right form drawn at
random. Puzzles to learn from and puzzles to be judged on never share their numbers and target.

>>> puzzle = Puzzle((25, 7, 3), 54)
>>> verify(puzzle, "(25-7)*3"), verify(puzzle, "25-7=18,18*3=54"), verify(puzzle, "25+7+3"), verify(puzzle, "54")
(True, True, False, False)
>>> puzzle.prompt(chain=True)
'25 7 3=54?'
"""

import ast
import hashlib
import operator
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HIGHEST, LEAST, MOST = 25, 10, 99  # numbers up to; targets from, to
OPERATORS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
NODES: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
LONGEST = 32  # characters of an answer that is looked at
HELD_OUT = 8  # one of so many puzzles is never learned from


@dataclass(frozen=True)
class Puzzle:
    """Three numbers, and the one to make of them."""

    numbers: tuple[int, int, int]
    target: int

    def prompt(self, *, chain: bool = False) -> str:
        """Return what a model reads."""
        return f"{' '.join(map(str, self.numbers))}={self.target}{'?' if chain else ':'}"

    @property
    def held_out(self) -> bool:
        """Whether it is kept for judging: by a hash of its numbers, in any order, and its target."""
        key = f"{sorted(self.numbers)} {self.target}"
        return hashlib.sha256(key.encode()).digest()[0] % HELD_OUT == 0


@dataclass(frozen=True)
class Solution:
    """Two steps: ``first`` on two of the numbers, then ``second`` on its result and the third."""

    first: tuple[int, str, int]
    second: tuple[int, str, int]
    result_first: bool = True

    def expression(self) -> str:
        """Return it as one expression."""
        inner = "({}{}{})".format(*self.first)
        a, sign, b = self.second
        return f"{inner}{sign}{b}" if self.result_first else f"{a}{sign}{inner}"

    def chain(self) -> str:
        """Return it step by step."""
        return ",".join(f"{a}{sign}{b}={OPERATORS[sign](a, b)}" for a, sign, b in (self.first, self.second))


def puzzles(seed: int, *, held_out: bool) -> Iterator[tuple[Puzzle, Solution]]:
    """Yield puzzles without end, each with the solution that it was made from.

    Parameters
    ----------
    seed
        The same gives the same.
    held_out
        Those for judging, or those to learn from.
    """
    draws = random.Random(seed)  # noqa: S311 (puzzles, no secrets)
    while True:
        numbers = tuple(draws.randint(1, HIGHEST) for _ in range(3))
        solution, target = _drawn(numbers, draws)
        puzzle = Puzzle((numbers[0], numbers[1], numbers[2]), target)
        if LEAST <= target <= MOST and puzzle.held_out == held_out:
            yield puzzle, solution


def some(count: int, seed: int = 0) -> list[Puzzle]:
    """Return different held-out puzzles, to judge on."""
    endless, found = puzzles(seed, held_out=True), dict[Puzzle, None]()
    while len(found) < count:
        found[next(endless)[0]] = None
    return list(found)


def guess(puzzle: Puzzle, draws: random.Random) -> Solution:
    """Return a random answer of the right form: the control. It knows the numbers, and not the target."""
    return _drawn(puzzle.numbers, draws)[0]


def verify(puzzle: Puzzle, answer: str) -> bool:
    """Tell whether an answer, an expression or a chain, is right; whatever cannot be read is wrong."""
    answer = answer.strip()
    if not answer or len(answer) > LONGEST:
        return False
    try:
        with warnings.catch_warnings():  # Python warns of "12and 3", which is no answer anyway
            warnings.simplefilter("ignore", SyntaxWarning)
            return _follow(puzzle, answer) if "=" in answer else _value(puzzle, answer)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False


def _drawn(numbers: tuple[int, ...], draws: random.Random) -> tuple[Solution, int]:
    """Return a random solution and what it makes; as on television no step goes below zero."""
    while True:
        a, b, c = draws.sample(numbers, 3)
        inner, outer = draws.choice("+-*"), draws.choice("+-*")
        middle = OPERATORS[inner](a, b)
        first = draws.random() < 0.5
        left, right = (middle, c) if first else (c, middle)
        made = OPERATORS[outer](left, right)
        if middle >= 0 and made >= 0:
            return Solution((a, inner, b), (left, outer, right), first), made


def _value(puzzle: Puzzle, text: str) -> bool:
    used: list[int] = []
    made = _computed(ast.parse(text, mode="eval").body, used)
    return made == puzzle.target and sorted(used) == sorted(puzzle.numbers)


def _computed(node: ast.expr, used: list[int]) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        used.append(node.value)
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in NODES:
        left, right = _computed(node.left, used), _computed(node.right, used)
        return OPERATORS[NODES[type(node.op)]](left, right)
    msg = "neither a number nor one of + - *"
    raise ValueError(msg)


def _follow(puzzle: Puzzle, text: str) -> bool:
    """Take every step with what is left; all must be used, and the last result be the target."""
    left = list(puzzle.numbers)
    for step in text.split(","):
        sum_, _, result = step.partition("=")
        used: list[int] = []
        node = ast.parse(sum_, mode="eval").body
        if not (isinstance(node, ast.BinOp) and _computed(node, used) == int(result) and len(used) == 2):
            return False
        for number in used:
            left.remove(number)  # ValueError: not one of those that are left
        left.append(int(result))
    return left == [puzzle.target]
