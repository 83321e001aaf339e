"""Prompts of wanted lengths, cut from real text: the words are real, so their tokens are as a server will see them.

A cut is a window of a text's tokens, taken back to characters; since the ends of a cut may be split otherwise when read
again, windows are tried until one has exactly the wanted count. This module does not know servers.

>>> from aifactory_lab.lm import tokenizer
>>> some = tokenizer.train(["the quick brown fox jumps over the lazy dog " * 40], vocabulary=300)
>>> cuts = of_lengths(["the quick brown fox jumps over the lazy dog " * 40], some, [5, 9])
>>> [len(some.encode(cut)) for cut in cuts]
[5, 9]
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from aifactory_lab.errors import DataError

TRIES = 40  # windows looked at before the nearest is taken


class Tokenizer(Protocol):
    """What turns text into tokens and back: `lm.tokenizer.Tokenizer` does."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        ...


def of_lengths(texts: Iterable[str], tokenizer: Tokenizer, lengths: Iterable[int], *, seed: int = 0) -> list[str]:
    """Return one prompt per length, cut from the texts at random places.

    Parameters
    ----------
    texts
        Where the words are from.
    tokenizer
        The tokenizer of the model that will be asked.
    lengths
        Tokens of each prompt, without what a server puts before them.
    seed
        The same seed gives the same cuts.

    Raises
    ------
    DataError
        If the texts have fewer tokens than one prompt needs.
    """
    wanted = [int(length) for length in lengths]
    ids = tokenizer.encode("\n".join(texts))
    if wanted and len(ids) <= max(wanted):
        msg = f"a prompt of {max(wanted)} tokens cannot be cut from texts of {len(ids)}"
        raise DataError(msg, mend="give longer texts, or scale the lengths down")
    random = np.random.default_rng(seed)
    return [_cut(ids, tokenizer, length, random) for length in wanted]


def _cut(ids: list[int], tokenizer: Tokenizer, length: int, random: np.random.Generator) -> str:
    """Return a window of exactly `length` tokens when it is read again, or the nearest of those tried."""
    best, off = "", length + 1
    for _ in range(TRIES):
        begin = int(random.integers(0, len(ids) - length))
        text = tokenizer.decode(ids[begin : begin + length])
        distance = abs(len(tokenizer.encode(text)) - length)
        if distance < off and "�" not in text:  # a window that begins within a character is no text
            best, off = text, distance
        if off == 0:
            break
    return best
