"""Pairs and texts as token ids: what a fine-tuning learns from, and what it is judged on.

A pair becomes the question as the model's own chat template renders it, then the answer and the mark that ends it; only
the answer is learned. A text becomes windows whose bytes are counted, for bits per byte. Tokenizers are those of
transformers, so any model's will do. This module does not know a model.

>>> one = Example(prompt=(5, 6), answer=(7, 0))
>>> ids, targets = batch([one])
>>> ids.tolist(), targets.tolist()
([[5, 6, 7, 0]], [[-100, 7, 0, -100]])
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from aifactory_lab.errors import DataError, ModelError
from aifactory_lab.lm import pairs

IGNORED = -100  # PyTorch's mark for a target that does not count
MANY = 16  # documents to read of: some of many rather than all of a few


@dataclass(frozen=True)
class Example:
    """A question and its answer as ids; the answer ends with the model's end mark."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Window:
    """A piece of text as ids, the mark between documents before it; `bytes` of it are to be predicted."""

    ids: tuple[int, ...]
    bytes: int
    document: str


def encode(frame: pl.DataFrame, tokenizer: Any, longest: int) -> tuple[pl.DataFrame, list[Example]]:
    """Return the pairs that fit into `longest` tokens, and their ids.

    Raises
    ------
    ModelError
        If the tokenizer has no chat template or no end mark.
    DataError
        If no pair fits.
    """
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        msg = "the base's tokenizer has no chat template or no end mark, so it cannot be asked anything"
        raise ModelError(msg, mend="take a checkpoint of lm.pretrain, or an instruction-tuned model")
    asked = [
        tokenizer.apply_chat_template(pairs.turns(prompt), tokenize=False, add_generation_prompt=True)
        for prompt in frame["prompt"]
    ]
    prompts, answers = _ids(tokenizer, asked), _ids(tokenizer, frame["answer"].to_list())
    end = int(tokenizer.eos_token_id)
    made = [Example(tuple(p), (*a, end)) for p, a in zip(prompts, answers, strict=True)]
    fits = [len(example) <= longest for example in made]
    if not any(fits):
        msg = f"none of {frame.height} pairs fits into {longest} tokens"
        raise DataError(msg, mend="give shorter pairs, or a base with a longer context")
    return frame.filter(pl.Series(fits, dtype=pl.Boolean)), [one for one, fit in zip(made, fits, strict=True) if fit]


def batch(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Return (ids, targets), int64 of shape (examples, longest), filled up on the right; only answers count."""
    longest = max(map(len, examples))
    ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    targets = torch.full_like(ids, IGNORED)
    for row, one in enumerate(examples):
        ids[row, : len(one)] = torch.tensor(one.prompt + one.answer)
        targets[row, len(one.prompt) - 1 : len(one) - 1] = torch.tensor(one.answer)
    return ids, targets


def asked(examples: Sequence[Example], fill: int) -> tuple[Tensor, Tensor]:
    """Return (ids, mask) of the questions alone, filled up on the left: a model goes on where all of them end."""
    longest = max(len(one.prompt) for one in examples)
    ids = torch.tensor([[fill] * (longest - len(one.prompt)) + list(one.prompt) for one in examples])
    mask = torch.tensor([[0] * (longest - len(one.prompt)) + [1] * len(one.prompt) for one in examples])
    return ids, mask


def shuffled(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Yield batches without end; every example once an epoch, in an order that the seed and the epoch decide."""
    epoch, waiting = 0, list[int]()
    while True:
        while len(waiting) < size:
            order = np.random.default_rng((seed, epoch)).permutation(len(examples))
            waiting, epoch = [*waiting, *order.tolist()], epoch + 1
        yield [examples[number] for number in waiting[:size]]
        waiting = waiting[size:]


def windows(documents: pl.DataFrame, tokenizer: Any, longest: int, tokens: int, seed: int = 0) -> list[Window]:
    """Return about so many tokens of the documents, drawn by the seed, cut into windows of at most `longest`.

    Parameters
    ----------
    documents
        `id` and `text`.
    """
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    order = np.random.default_rng(seed).permutation(documents.height)
    each = max(longest, tokens // min(MANY, documents.height))
    made: list[Window] = []
    for number in order.tolist():
        name, text = documents["id"][number], documents["text"][number]
        coded = tokenizer(text[: 8 * each], add_special_tokens=False, return_offsets_mapping=True)
        ids, starts = coded["input_ids"][:each], [start for start, _ in coded["offset_mapping"]]
        for at in range(0, len(ids), longest - 1):
            stop = min(at + longest - 1, len(ids))
            until = starts[stop] if stop < len(starts) else len(text[: 8 * each])
            size = len(text[starts[at] : until].encode())
            made.append(Window((int(first), *ids[at:stop]), size, str(name)))
        tokens -= len(ids)
        if tokens <= 0:
            break
    return made


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])
