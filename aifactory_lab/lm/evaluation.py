"""How good a language model is: bits per byte of held-out text, beside what simpler things reach on the same bytes.

A loss per token depends on how much text a token holds; bits per byte (the metric of nanochat) does not, and a file
compressor has one too, for a model that predicts is a model that compresses (Delétang et al. 2023, arXiv 2309.10668).
So gzip, xz and counting n-grams stand beside it, and say what the number means. This module does not train.

>>> baselines = {"unigram": 2.93, "gzip": 1.92, "bigram": 1.85, "xz": 1.66}
>>> verdict(1.69, baselines)
'1.69 bits per byte: better than bigram (1.85), gzip (1.92), unigram (2.93); not as good as xz (1.66)'
"""

import lzma
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from aifactory_lab.errors import DataError
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.shards import Shards
from aifactory_lab.lm.slots import Sampler
from aifactory_lab.lm.tokenizer import Tokenizer

LIMIT = 1 << 20  # held-out tokens that are read at most: some 40 seconds for a million parameters
WINDOWS = 8  # at once
STRENGTHS = (1.0, 10.0, 100.0)
PROMPTS = ("def __init__(self", "import", "class")  # no space at the end: a token begins with it
TEMPERATURE = 0.8
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class HeldOut:
    """Held-out text as tokens and as bytes: what models and compressors are both judged on.

    Attributes
    ----------
    ids
        Tokens, (n,).
    lengths
        UTF-8 bytes of each of the vocabulary's tokens, (vocabulary,).
    text
        The same text, without document ends.
    """

    ids: Ids
    lengths: Ids
    text: bytes

    @classmethod
    def of(cls, shards: Shards, tokenizer: Tokenizer, *, limit: int = LIMIT) -> "HeldOut":
        """Return the first tokens of the valid split, all of it where it is shorter than the limit.

        Raises
        ------
        DataError
            If nothing is held out.
        """
        ids = np.asarray(shards.valid[:limit], dtype=np.int64)
        if len(ids) < 2:
            msg = f"{shards.folder} holds out {len(ids)} tokens: nothing to be judged on"
            raise DataError(msg, mend="give some documents the split 'valid'")
        return cls(ids, tokenizer.lengths, tokenizer.decode(ids[ids != tokenizer.end].tolist()).encode())


@dataclass(frozen=True)
class Score:
    """How well held-out text was predicted.

    Attributes
    ----------
    nats_per_token, bits_per_byte
        Mean cross-entropy; document ends are predicted too, and are no bytes.
    tokens, bytes
        How many were predicted.
    """

    nats_per_token: float
    bits_per_byte: float
    tokens: int
    bytes: int


@torch.inference_mode()
def score(model: Llama, held_out: HeldOut, *, context: int | None = None, most: int | None = None) -> Score:
    """Predict held-out text in windows side by side, each without knowledge of the one before.

    Parameters
    ----------
    model
        On any device, in any dtype.
    context
        Tokens of a window; by default all that the model can see.
    most
        If given, only about so many tokens are predicted, in windows spread evenly: an estimate, for a quick look.
    """
    device = next(model.parameters()).device
    lengths = torch.from_numpy(held_out.lengths)
    nats, tokens, size = 0.0, 0, 0
    for inputs, targets in _windows(held_out.ids, context or model.shape.context, most):
        logits = model(inputs.to(device)).float()
        nats += functional.cross_entropy(logits.flatten(0, 1), targets.to(device).flatten(), reduction="sum").item()
        tokens += targets.numel()
        size += int(lengths[targets].sum())
    return Score(nats / tokens, nats / math.log(2) / size, tokens, size)


def _windows(ids: Ids, context: int, most: int | None) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return inputs and targets that cover a stream once, the last window shorter; or some of the whole windows."""
    stream = torch.from_numpy(ids)
    whole = (len(ids) - 1) // context * context
    rows = stream[:whole].view(-1, context), stream[1 : whole + 1].view(-1, context)
    rest = stream[whole:-1][None], stream[whole + 1 :][None]
    if most is not None and most < len(ids) and whole:
        chosen = torch.linspace(0, len(rows[0]) - 1, max(1, most // context)).long()
        rows, rest = (rows[0][chosen], rows[1][chosen]), (stream[:0][None], stream[:0][None])
    pairs = zip(*(torch.split(part, WINDOWS) for part in rows), strict=True)
    return [pair for pair in (*pairs, rest) if pair[0].numel()]


def baselines(shards: Shards, held_out: HeldOut) -> dict[str, float]:
    """Return bits per byte of what needs no network, on the same held-out text.

    ``unigram`` and ``bigram`` count the training split's tokens (all of it, which is more than a short run sees): each
    token by itself, and each by the one before, smoothed toward the unigram by as many pseudo-counts as suit the
    bigram best (a Dirichlet prior: MacKay & Peto 1995). ``gzip`` and ``xz`` compress the held-out text by itself, at
    their strongest.
    """
    train = np.asarray(shards.train, dtype=np.int64)
    size = held_out.lengths[held_out.ids[1:]].sum()
    unigram, bigram = _counted(train, held_out.ids, shards.vocabulary)
    text = held_out.text
    return {
        "unigram": float(unigram / size),
        "bigram": float(bigram / size),
        "gzip": 8 * len(zlib.compress(text, 9)) / len(text),
        "xz": 8 * len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)) / len(text),
    }


def _counted(train: Ids, ids: Ids, vocabulary: int) -> tuple[float, float]:
    """Return the bits that unigram and bigram need for all tokens but the first."""
    singles = np.bincount(train, minlength=vocabulary) + 1.0  # a token that was never seen may come
    alone = singles / singles.sum()
    pairs, counts = np.unique(train[:-1] * vocabulary + train[1:], return_counts=True)
    wanted = ids[:-1] * vocabulary + ids[1:]
    at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[at] == wanted, counts[at], 0)
    before = np.bincount(train[:-1], minlength=vocabulary)[ids[:-1]]
    follows = [(seen + s * alone[ids[1:]]) / (before + s) for s in STRENGTHS]
    return _bits(alone[ids[1:]]), min(map(_bits, follows))


def _bits(probabilities: NDArray[np.float64]) -> float:
    return float(-np.log2(probabilities).sum())


def verdict(bits_per_byte: float, beside: Mapping[str, float]) -> str:
    """Say in words where a model stands among baselines."""
    ordered = sorted(beside.items(), key=lambda item: item[1])
    worse = [f"{name} ({value:.2f})" for name, value in ordered if value > bits_per_byte]
    better = [f"{name} ({value:.2f})" for name, value in ordered if value <= bits_per_byte]
    parts = [f"better than {', '.join(worse)}"] * bool(worse) + [f"not as good as {', '.join(better)}"] * bool(better)
    return f"{bits_per_byte:.2f} bits per byte" + (": " + "; ".join(parts) if parts else "")


def samples(
    model: Llama,
    tokenizer: Tokenizer,
    prompts: Sequence[str] = PROMPTS,
    *,
    tokens: int = 48,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> list[str]:
    """Return what the model writes after each prompt, prompt included: the same for the same seed.

    Parameters
    ----------
    prompts
        Beginnings.
    tokens
        Most tokens that are added; a document's end or the end of the context stops earlier.
    temperature
        1 draws as the model believes, less draws more often what it finds likely.
    """
    sampler = Sampler(model, tokenizer, slots=len(prompts))
    written = sampler.generate(prompts, max_tokens=tokens, temperature=temperature, seed=seed)
    return [prompt + completion.text for prompt, completion in zip(prompts, written, strict=True)]
