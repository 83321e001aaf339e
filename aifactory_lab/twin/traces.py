"""Requests to come to a plant: real traces and made ones, checked before anything is simulated.

Azure's trace of 2023 is read by `serve.load.arrivals`; Mooncake's (Qin et al. 2024, arXiv 2407.00079; Apache-2.0) says
also which blocks of 512 tokens its prompts share. Neither holds text. This module does not know models or GPUs.

>>> trace = Trace.of([0.0, 0.5, 2.0], [100, 200, 300], [10, 20, 30])
>>> len(trace), trace.seconds, int(trace.osl.sum())
(3, 2.0, 60)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.datasets.remote import RemoteFile, fetch
from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load.arrivals import Arrivals

MOONCAKE = RemoteFile(
    "conversation_trace.jsonl",
    "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces/conversation_trace.jsonl",
    bytes=3_029_533,
    sha256="b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
)
BLOCK = 512


@dataclass(frozen=True)
class Trace:
    """Requests in order of their arrival; made by `of`, which checks them.

    Attributes
    ----------
    times
        Seconds of arrival, ascending, (n,).
    isl, osl
        Tokens of each prompt and of each answer, (n,).
    blocks, starts
        Numbers of the blocks of all prompts, and where each prompt's begin, (n + 1,); two prompts that begin with the
        same numbers begin with the same text. Empty, and zeros, where nothing is known of that.
    block_tokens
        Tokens of a block.
    note
        Where the requests are from.
    """

    times: NDArray[np.float64]
    isl: NDArray[np.int64]
    osl: NDArray[np.int64]
    blocks: NDArray[np.int32]
    starts: NDArray[np.int64]
    block_tokens: int = BLOCK
    note: str = ""

    @classmethod
    def of(
        cls,
        times: ArrayLike,
        isl: ArrayLike,
        osl: ArrayLike,
        *,
        blocks: Sequence[Sequence[int]] | None = None,
        block_tokens: int = BLOCK,
        note: str = "",
    ) -> Self:
        """Check requests and make a trace of them.

        Parameters
        ----------
        times
            Seconds, not before 0 and never running backwards.
        isl, osl
            Tokens of each prompt and answer: whole numbers from 1; one number stands for all.
        blocks
            For each prompt the numbers of its blocks, from 0.

        Raises
        ------
        TwinError
            If there is no request, time runs backwards, or a value cannot be; the message names it.
        """
        when = np.require(times, np.float64, ["C", "W"])
        if when.ndim != 1 or not len(when):
            msg = f"the trace is empty: its times have the shape {when.shape}"
            raise TwinError(msg, mend="Trace.of([0.0, 0.5], isl=100, osl=10)")
        _check_times(when)
        read, written = (_tokens(value, len(when), name) for value, name in ((isl, "isl"), (osl, "osl")))
        numbers, starts = _blocks(blocks, len(when))
        return cls(when, read, written, numbers, starts, block_tokens, note)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """Seconds to the last arrival."""
        return float(self.times[-1])

    def until(self, seconds: float) -> Self:
        """Return the requests that come before a moment."""
        kept = int(np.searchsorted(self.times, seconds))
        cut = self.blocks[: self.starts[kept]], self.starts[: kept + 1]
        if not kept:
            msg = f"nothing comes before {seconds!r} s: the first request comes at {self.times[0]:g} s"
            raise TwinError(msg, mend=f"trace.until({self.seconds:g})")
        return type(self)(self.times[:kept], self.isl[:kept], self.osl[:kept], *cut, self.block_tokens, self.note)

    def hit_rate(self) -> float:
        """Return the share of blocks that came before, in this trace: the most that any cache can spare."""
        return 1 - len(np.unique(self.blocks)) / len(self.blocks) if len(self.blocks) else 0.0


def from_arrivals(arrivals: Arrivals, *, isl: ArrayLike | None = None, osl: ArrayLike | None = None) -> Trace:
    """Return a trace of arrivals: ``arrivals.azure("conv", seconds=600)``, ``arrivals.poisson(5.0, 100)``, ….

    Parameters
    ----------
    isl, osl
        Tokens, where the arrivals do not say.

    Raises
    ------
    TwinError
        If lengths are given nowhere.
    """
    lengths = {"isl": (arrivals.input_tokens, isl), "osl": (arrivals.output_tokens, osl)}
    chosen = {name: given if said is None else said for name, (said, given) in lengths.items()}
    missing = [name for name, value in chosen.items() if value is None]
    if missing:
        msg = f"the arrivals ({arrivals.note}) do not say how long requests are: {' and '.join(missing)}"
        raise TwinError(msg, mend="traces.from_arrivals(arrivals, isl=1024, osl=256)")
    return Trace.of(arrivals.times, **chosen, note=arrivals.note)  # type: ignore[arg-type]


def mooncake(path: Path | str | None = None, *, seconds: float = float("inf")) -> Trace:
    """Return Mooncake's trace of conversations: 12,031 requests in an hour, 12,035 tokens in and 343 out on average.

    Parameters
    ----------
    path
        The file; by default it is looked for under ``$AIFACTORY_DATA``, then downloaded.
    seconds
        Only what comes before.

    Raises
    ------
    DataError, TwinError
        If it cannot be fetched, or what it holds is not such a trace.
    """
    file = Path(path) if path else fetch(MOONCAKE)
    try:
        table = pl.read_ndjson(file).sort("timestamp", maintain_order=True)
        columns = [table[name] for name in ("timestamp", "input_length", "output_length", "hash_ids")]
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{file} is not a trace of Mooncake's: {error}"
        raise TwinError(msg, mend=f"download {MOONCAKE.url}") from error
    _check_types(file, columns)
    times, isl, osl, blocks = columns
    trace = Trace.of(times.to_numpy() / 1e3, isl, osl, blocks=blocks.to_list(), note="Mooncake, conversation trace")
    return trace if seconds > trace.seconds else trace.until(seconds)


def _check_types(file: Path, columns: Sequence[pl.Series]) -> None:
    """Refuse columns that hold anything but whole numbers within 64 bits, and lists of them."""
    *numbers, blocks = columns
    known = (pl.Int64, pl.UInt64, pl.Float64)
    wrong = [one.name for one in numbers if one.dtype not in known or one.null_count()]
    listed = isinstance(blocks.dtype, pl.List) and blocks.dtype.inner in (pl.Int64, pl.Null)
    if not listed or blocks.null_count() or blocks.explode(empty_as_null=False).null_count():
        wrong.append(blocks.name)
    if wrong:
        msg = f"{file} is not a trace of Mooncake's: {wrong[0]} is not a whole number, or numbers, in every line"
        raise TwinError(msg, mend=f"download {MOONCAKE.url}")


def _check_times(times: NDArray[np.float64]) -> None:
    wrong = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
    if len(wrong):
        msg = f"request {wrong[0]} comes at {times[wrong[0]]!r} s, which is not a moment from 0 on"
        raise TwinError(msg, mend="times in seconds since the start of the trace")
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        at = int(back[0])
        msg = f"time runs backwards: request {at + 1} comes at {times[at + 1]:g} s, after one at {times[at]:g} s"
        raise TwinError(msg, mend="sort the requests by their times first")


def _tokens(value: ArrayLike, count: int, name: str) -> NDArray[np.int64]:
    found = np.asarray(value)
    if found.ndim == 0:
        found = np.full(count, found)
    if found.shape != (count,):
        msg = f"{name} has the shape {found.shape}, for {count} requests"
        raise TwinError(msg, mend=f"one number, or {count}")
    wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 1) & (found < 2**53) & (found == np.floor(found))))
    if len(wrong):
        msg = f"request {wrong[0]} has {name}={found[wrong[0]]!r}: tokens are whole numbers from 1"
        raise TwinError(msg, mend=f"{name}=max(1, tokens)")
    return np.require(found, np.int64, ["C", "W"])  # a read-only view would be compiled for anew


def _blocks(blocks: Sequence[Sequence[int]] | None, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    if blocks is None:
        return np.empty(0, np.int32), np.zeros(count + 1, np.int64)
    if len(blocks) != count:
        msg = f"blocks are given for {len(blocks)} prompts, of {count}"
        raise TwinError(msg, mend="one list of numbers for each request; [] where nothing is known")
    numbers = np.array([number for one in blocks for number in one], np.int64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < 2**31 - 1:
        msg = f"blocks are numbered from {numbers.min()} to {numbers.max()}"
        raise TwinError(msg, mend="number blocks from 0, closely: numpy.unique(hashes, return_inverse=True)[1]")
    starts = np.concatenate([[0], np.cumsum([len(one) for one in blocks])])
    return numbers.astype(np.int32), starts.astype(np.int64)
