r"""Tokens on disk: documents encoded once, packed end to end, mapped into memory for training.

`train.bin` and `valid.bin` are bare little-endian integers, two bytes a token where the vocabulary allows; each
document is followed by the end token. `shards.json` says which tokenizer made them and proves that they are whole.
A batch is a pure function of seed, step and rank, so a resumed run sees what it would have seen. This module does not
know the model.

>>> import tempfile, polars as pl
>>> from aifactory_lab.lm import tokenizer
>>> documents = pl.DataFrame({"split": ["train", "valid"], "text": ["a = 1\n" * 40, "b = 2\n" * 9]})
>>> shards = write(documents, tokenizer.train(documents["text"], vocabulary=257), tempfile.mkdtemp())
>>> shards.tokens("train"), shards.bytes("train"), shards.batch("train", 0, batch=2, context=8, seed=0)[0].shape
(241, 240, torch.Size([2, 8]))
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from aifactory_lab import decoding, measure
from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.errors import DataError
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.workspace import file_hash

FORMAT = 1
MANIFEST = "shards.json"
SPLITS = ("train", "valid")
AT_ONCE = 512  # documents encoded in one call: enough for all cores, little memory


@dataclass(frozen=True)
class Shard:
    """One split on disk: how much text became how many tokens, and the hash of the file."""

    documents: int
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Shards:
    """The packed tokens of a corpus.

    Attributes
    ----------
    folder
        Where the files lie.
    vocabulary, end
        Of the tokenizer that made them.
    tokenizer_sha256
        Which tokenizer that was.
    splits
        What is in ``"train"`` and ``"valid"``.
    """

    folder: Path
    vocabulary: int
    end: int
    tokenizer_sha256: str
    splits: dict[str, Shard]

    @property
    def dtype(self) -> np.dtype[Any]:
        """How a token is written: uint16 up to 65,536 tokens, else uint32."""
        return _dtype(self.vocabulary)

    @cached_property
    def train(self) -> NDArray[Any]:
        """All tokens to learn from, mapped into memory."""
        return self.stream("train")

    @cached_property
    def valid(self) -> NDArray[Any]:
        """All held-out tokens, mapped into memory."""
        return self.stream("valid")

    def stream(self, split: str) -> NDArray[Any]:
        """Return all tokens of a split, (tokens,), mapped into memory."""
        if not self._of(split).tokens:
            return np.empty(0, self.dtype)
        return np.memmap(_file(self.folder, split), self.dtype, mode="r")

    def tokens(self, split: str) -> int:
        """Return how many tokens a split has, ends included."""
        return self._of(split).tokens

    def bytes(self, split: str) -> int:
        """Return how many UTF-8 bytes of text a split has: what bits per byte are divided by."""
        return self._of(split).bytes

    def check(self, tokenizer: Tokenizer) -> Self:
        """Return the same shards if this tokenizer made them.

        Raises
        ------
        DataError
            If another did: its ids would mean other text.
        """
        if tokenizer.sha256 != self.tokenizer_sha256:
            msg = (
                f"the tokens in {self.folder} were made by another tokenizer"
                f" ({self.tokenizer_sha256[:12]}… of {self.vocabulary:,} tokens, not {tokenizer.sha256[:12]}…"
                f" of {tokenizer.vocabulary:,})"
            )
            raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)")
        return self

    def batch(
        self, split: str, step: int, *, batch: int, context: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets of one step, the same whenever it is asked for.

        Windows of `context` tokens tile the stream from a random start and come in random order, so that every token
        is seen once before any is seen again. Ranks share a step: together they see what one rank with
        `batch` × `ranks` would.

        Parameters
        ----------
        split
            ``"train"`` or ``"valid"``.
        step, seed
            Which step of which run.
        batch, context
            Windows for this rank, and tokens in each.
        rank, ranks
            Which of how many processes asks.

        Returns
        -------
        tuple of Tensor
            Inputs and targets, int64, each (batch, context); a target is the token after its input.

        Raises
        ------
        DataError
            If the split is shorter than one window.
        """
        stream = self.train if split == "train" else self.valid if split == "valid" else self.stream(split)
        windows = (len(stream) - 1) // context
        if windows < 1:
            msg = f"the {split} split of {self.folder} has {len(stream):,} tokens, a window needs {context + 1:,}"
            raise DataError(msg, mend="take more documents, or a smaller context")
        first = (step * ranks + rank) * batch
        places = [_start(len(stream), context, seed, number) for number in range(first, first + batch)]
        cut = np.stack([stream[place : place + context + 1] for place in places]).astype(np.int64)
        both = torch.from_numpy(cut)
        return both[:, :-1], both[:, 1:]

    @classmethod
    def load(cls, folder: Path | str, tokenizer: Tokenizer | None = None) -> Self:
        """Open shards after reading them once to see that they are whole.

        Parameters
        ----------
        folder
            Where `write` put them.
        tokenizer
            If given, the one that must have made them.

        Raises
        ------
        DataError
            If there are none, they are damaged, or another tokenizer made them.
        """
        folder = Path(folder)
        values = _manifest(folder)
        try:
            own = decoding.fit(cls, {**values, "folder": folder})
        except ValueError as error:
            msg = f"{folder / MANIFEST} is no shards' manifest: {error}"
            raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)") from error
        for name, shard in own.splits.items():
            path = _file(folder, name)
            found = file_hash(path) if name in SPLITS and path.exists() else "no file"
            if found != shard.sha256:
                msg = f"{path} is damaged: its sha256 should be {shard.sha256[:12]}…, found {found[:12]}…"
                raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)")
            if path.stat().st_size != shard.tokens * own.dtype.itemsize or own.vocabulary < 1:
                msg = f"{path} does not hold the {shard.tokens:,} tokens that {MANIFEST} says"
                raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)")
        return own if tokenizer is None else own.check(tokenizer)

    def _of(self, split: str) -> Shard:
        if split not in self.splits:
            msg = f"there is no split {split!r}; there are: {', '.join(self.splits)}"
            raise DataError(msg)
        return self.splits[split]


def write(documents: pl.DataFrame, tokenizer: Tokenizer, folder: Path | str) -> Shards:
    """Encode documents and write them as shards; what is half written is never believed.

    Parameters
    ----------
    documents
        Columns `split` (``"train"`` or ``"valid"``) and `text`; the order is kept.
    tokenizer
        Trained.
    folder
        Made if it is not there; shards in it are replaced.

    Raises
    ------
    DataError
        If a column is missing, a split is of another name, or there is nothing to learn from.
    """
    _checked(documents)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    splits = {
        name: _write(documents.filter(pl.col("split") == name)["text"], tokenizer, folder, name) for name in SPLITS
    }
    own = Shards(folder, tokenizer.vocabulary, tokenizer.end, tokenizer.sha256, splits)
    values = {name: value for name, value in asdict(own).items() if name != "folder"}
    write_text(folder / MANIFEST, json.dumps(values | {"format": FORMAT}, indent=1))
    return own


def _write(texts: pl.Series, tokenizer: Tokenizer, folder: Path, split: str) -> Shard:
    tokens = size = 0
    with write_aside(_file(folder, split)) as aside, aside.open("wb") as stream:
        for some in _slices(texts):
            encoded = tokenizer.encode_batch(some)
            packed = np.concatenate([[*ids, tokenizer.end] for ids in encoded]).astype(_dtype(tokenizer.vocabulary))
            stream.write(packed.tobytes())
            tokens += len(packed)
            size += sum(len(text.encode()) for text in some)
            measure.progress(len(packed))
    return Shard(len(texts), tokens, size, file_hash(_file(folder, split)))


def _slices(texts: pl.Series) -> Iterator[list[str]]:
    for first in range(0, len(texts), AT_ONCE):
        yield texts[first : first + AT_ONCE].to_list()


def _start(length: int, context: int, seed: int, number: int) -> int:
    """Return where a run's window of this number starts: a shuffled tiling, begun elsewhere in each epoch."""
    windows = (length - 1) // context
    epoch, place = divmod(number, windows)
    shift, order = _order(windows, (length - 1) % context, seed, epoch)
    return shift + int(order[place]) * context


@lru_cache(maxsize=8)
def _order(windows: int, spare: int, seed: int, epoch: int) -> tuple[int, NDArray[np.int64]]:
    random = np.random.default_rng((seed, epoch))
    # A tiling may begin anywhere that leaves the same number of whole windows.
    return int(random.integers(spare + 1)), random.permutation(windows)


def _file(folder: Path, split: str) -> Path:
    return folder / f"{split}.bin"


def _dtype(vocabulary: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def _checked(documents: pl.DataFrame) -> None:
    missing = {"split", "text"} - set(documents.columns)
    if missing:
        msg = f"documents have no column {', '.join(sorted(missing))}; there are: {', '.join(documents.columns)}"
        raise DataError(msg, mend="documents = lm.corpus.standard_library()")
    names = set(documents["split"].unique())
    if names - set(SPLITS) or "train" not in names:
        msg = f"documents are of split {', '.join(sorted(map(repr, names))) or 'none'}: 'train' and 'valid' are known"
        raise DataError(msg, mend="documents = lm.corpus.standard_library()")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        msg = f"{folder} holds no shards: no {MANIFEST} in it"
        raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)")
    try:
        values = decoding.table(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise DataError(msg) from error
    if values.pop("format", None) != FORMAT:
        msg = f"{path} is not of format {FORMAT}"
        raise DataError(msg, mend="lm.shards.write(documents, tokenizer, folder)")
    return values
