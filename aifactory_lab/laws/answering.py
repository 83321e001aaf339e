"""A model answers puzzles, many times each; a guesser answers the same ones. What comes back is samples.

>>> from aifactory_lab.laws import countdown
>>> told = guesses(countdown.some(3), answers=4)
>>> told.columns, told.height
(['question', 'answer', 'correct', 'tokens'], 12)
"""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from aifactory_lab.errors import require
from aifactory_lab.laws import countdown
from aifactory_lab.laws.countdown import Puzzle

if TYPE_CHECKING:
    from aifactory_lab.lm.model import Llama
    from aifactory_lab.lm.tokenizer import Tokenizer

SLOTS, LONGEST = 128, 24  # requests at once, tokens of an answer
SCHEMA = {"question": pl.Int64, "answer": pl.String, "correct": pl.Boolean, "tokens": pl.Int64}


def ask(
    model: "Llama",
    tokenizer: "Tokenizer",
    puzzles: Sequence[Puzzle],
    *,
    answers: int = 16,
    chain: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Have a model answer every puzzle several times.

    Parameters
    ----------
    answers
        For each puzzle.
    chain
        Whether to ask for steps instead of an expression.
    temperature
        1 draws as the model believes; 0 takes the likeliest, so that one answer is enough.

    Returns
    -------
    DataFrame
        ``question`` (number of the puzzle), ``answer``, ``correct``, ``tokens`` (written, the end included).
    """
    sampler = require("aifactory_lab.lm.slots", extra="lm").Sampler(model, tokenizer, slots=SLOTS)
    prompts = [puzzle.prompt(chain=chain) for puzzle in puzzles for _ in range(answers)]
    written = sampler.generate(prompts, max_tokens=LONGEST, temperature=temperature, seed=seed)
    asked = [number for number in range(len(puzzles)) for _ in range(answers)]
    return _frame(puzzles, asked, [one.text for one in written], [len(one.tokens) for one in written])


def guesses(puzzles: Sequence[Puzzle], *, answers: int = 16, chain: bool = False, seed: int = 0) -> pl.DataFrame:
    """Answer every puzzle with random guesses: the control; its tokens are counted as a model's would be."""
    draws = random.Random(seed)  # noqa: S311 (guesses, no secrets)
    asked = [number for number in range(len(puzzles)) for _ in range(answers)]
    made = [countdown.guess(puzzles[number], draws) for number in asked]
    texts = [one.chain() if chain else one.expression() for one in made]
    return _frame(puzzles, asked, texts, [len(text) + 1 for text in texts])


def _frame(puzzles: Sequence[Puzzle], asked: list[int], texts: list[str], tokens: list[int]) -> pl.DataFrame:
    correct = [countdown.verify(puzzles[number], text) for number, text in zip(asked, texts, strict=True)]
    return pl.DataFrame({"question": asked, "answer": texts, "correct": correct, "tokens": tokens}, schema=SCHEMA)
