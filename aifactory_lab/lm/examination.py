"""What a model of transformers is worth on held-out pairs and texts: nats per answer, answers, bits per byte.

The output layer is computed for the tokens that count only, since with a vocabulary of 49,152 it is a fifth of a small
model's work. This module does not train.

>>> truth = pl.DataFrame({"path": ["a"], "prompt": ["Why?"], "answer": ["Because."]})
>>> Marks(truth, np.array([3.0]), np.array([2]), ["Because."], np.array([True])).overlap.tolist()
[1.0]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aifactory_lab.lm.comparison import overlap
from aifactory_lab.lm.examples import IGNORED, Example, Window, asked, batch

Floats = NDArray[np.float64]
AT_ONCE = 16  # examples in one forward pass
T = TypeVar("T")


@dataclass(frozen=True)
class Marks:
    """What a model made of held-out pairs.

    Attributes
    ----------
    pairs
        The pairs, (n,) rows with `path`, `prompt`, `answer`.
    nats, tokens
        −log p of each true answer with its end mark, and its length, (n,).
    answers, stopped
        What the model says itself, most likely token by token, and whether it ended its answer.
    """

    pairs: pl.DataFrame
    nats: Floats
    tokens: NDArray[np.int64]
    answers: list[str]
    stopped: NDArray[np.bool_]

    @property
    def overlap(self) -> Floats:
        """ROUGE-L of each answer with the true one, (n,)."""
        found = zip(self.answers, self.pairs["answer"], strict=True)
        return np.array([overlap(answer, truth) for answer, truth in found], dtype=np.float64)


def examine(model: Any, tokenizer: Any, frame: pl.DataFrame, examples: Sequence[Example], *, most: int) -> Marks:
    """Return the marks of a model on held-out pairs.

    Parameters
    ----------
    frame, examples
        The pairs and their ids (`examples.encode`).
    most
        Tokens after which an answer is cut.
    """
    said, stopped = answers(model, tokenizer, examples, most=most)
    tokens = np.array([len(one.answer) for one in examples], dtype=np.int64)
    return Marks(frame, nats(model, examples), tokens, said, stopped)


@torch.inference_mode()
def nats(model: Any, examples: Sequence[Example]) -> Floats:
    """Return −log p of each answer, end mark included, (n,)."""
    found = []
    for part in _parts(examples):
        ids, targets = (tensor.to(model.device) for tensor in batch(part))
        loss = torch.zeros(targets.shape, dtype=torch.float32, device=model.device)
        loss[targets != IGNORED] = answer_losses(model, ids, targets)
        found.append(loss.sum(1).double().cpu().numpy())
    return np.concatenate(found)


@torch.inference_mode()
def text_nats(model: Any, windows: Sequence[Window]) -> Floats:
    """Return −log p of each window, (n,)."""
    texts = [Example(window.ids[:1], window.ids[1:]) for window in windows]
    return nats(model, texts) if texts else np.zeros(0)


@torch.inference_mode()
def answers(
    model: Any, tokenizer: Any, examples: Sequence[Example], *, most: int
) -> tuple[list[str], NDArray[np.bool_]]:
    """Return what the model answers, and whether it ended by itself within so many tokens."""
    end = int(tokenizer.eos_token_id)
    said: list[str] = []
    stopped: list[bool] = []
    for part in _parts(examples):
        ids, mask = (tensor.to(model.device) for tensor in asked(part, end))
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=end
        )
        new = out[:, ids.shape[1] :]
        stopped += [bool(ended) for ended in (new == end).any(1)]
        said += tokenizer.batch_decode(new, skip_special_tokens=True)
    return [text.strip() for text in said], np.array(stopped, dtype=np.bool_)


def answer_losses(model: Any, ids: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of every target that counts, in nats, float32, in the order of the batch."""
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    counts = targets != IGNORED
    logits = model.get_output_embeddings()(hidden[counts]).float()
    return functional.cross_entropy(logits, targets[counts], reduction="none")


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
