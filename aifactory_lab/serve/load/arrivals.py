"""When requests come: a Poisson process, or a window of a real service's trace, scaled to the machine.

The trace is Azure's of 2023 (Patel et al., "Splitwise", ISCA 2024; CC-BY-4.0): when each request to a service came, how
many tokens its prompt had and how many were written. It holds no text. A small machine cannot take its load, so a
window of it is slowed down and its lengths are shortened, by factors that `Arrivals.note` says. This module does not
know prompts or servers.

>>> trace = poisson(rate=10.0, n=1_000, seed=1)
>>> len(trace), round(trace.rate, 1)
(1000, 9.9)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import DataError

if TYPE_CHECKING:
    import polars as pl

TRACES = {"conv": "azure-llm", "code": "azure-llm-code"}


@dataclass(frozen=True)
class Arrivals:
    """Requests to come.

    Attributes
    ----------
    times
        Seconds since the start, ascending, (n,).
    input_tokens, output_tokens
        Tokens of each prompt and of each answer, (n,); `None` where the caller decides.
    note
        Where they are from, with the factors of scale.
    """

    times: NDArray[np.float64]
    input_tokens: NDArray[np.int64] | None = None
    output_tokens: NDArray[np.int64] | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[float]:
        return iter(self.times.tolist())

    @property
    def rate(self) -> float:
        """Arrivals per second, on average."""
        return len(self) / float(self.times[-1]) if len(self) and self.times[-1] > 0 else float("nan")

    @property
    def frame(self) -> "pl.DataFrame":
        """Columns time, input_tokens, output_tokens."""
        import polars as pl

        columns = {"time": self.times, "input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return pl.DataFrame({name: values for name, values in columns.items() if values is not None})


def poisson(rate: float, n: int, seed: int = 0) -> Arrivals:
    """Return arrivals that know nothing of each other: exponential gaps.

    Parameters
    ----------
    rate
        Arrivals per second, on average.
    n
        How many.
    seed
        The same seed gives the same times.

    Raises
    ------
    DataError
        If the rate is not positive.
    """
    if not rate > 0:
        msg = f"rate={rate!r}: arrivals per second must be positive"
        raise DataError(msg, mend="arrivals.poisson(rate=5.0, n=100)")
    times = np.random.default_rng(seed).exponential(1 / rate, size=n).cumsum()
    return Arrivals(times, note=f"Poisson, {rate:g} arrivals/s")


def azure(
    kind: str = "conv",
    *,
    start: float = 0.0,
    seconds: float = 60.0,
    pace: float = 1.0,
    length: float = 1.0,
    context: int | None = None,
    folder: Path | str | None = None,
) -> Arrivals:
    """Return a window of the Azure LLM inference trace 2023, scaled.

    Parameters
    ----------
    kind
        ``"conv"`` (conversation, 5.5 requests/s, 1,155 tokens in and 211 out on average) or ``"code"`` (short answers).
    start, seconds
        The window, in seconds of the trace since its first request.
    pace
        Speed of replay: at 0.1 the window takes ten times as long, and a tenth of the requests come per second.
    length
        Factor for prompts and answers; at least one token of each is left.
    context
        The most tokens of a prompt with its answer: longer prompts are cut, then longer answers.
    folder
        Where a download goes, see `datasets.load`.

    Raises
    ------
    DataError
        If there is no such trace, it cannot be fetched, nothing came in the window, or a factor is not positive.

    Notes
    -----
    ``azure("conv", seconds=60, pace=0.1, length=1 / 8, context=256)`` spreads one minute of the trace over ten.
    """
    if not (pace > 0 and length > 0):
        msg = f"pace={pace!r}, length={length!r}: factors of scale must be positive"
        raise DataError(msg, mend='arrivals.azure("conv", pace=0.1, length=0.125)')
    table = _window(kind, start, seconds, folder)
    read, written = (_scaled(table[column].to_numpy(), length) for column in ("ContextTokens", "GeneratedTokens"))
    cut = 0
    if context is not None:
        cut = int((read + written > context).sum())
        read = np.minimum(read, np.maximum(context - written, context // 2))
        written = np.minimum(written, context - read)
    note = (
        f"Azure LLM inference trace 2023, {kind}, {start:g}–{start + seconds:g} s: {len(table)} requests,"
        f" pace × {pace:g}, lengths × {length:g}" + (f", {cut} cut to {context} tokens" if context else "")
    )
    return Arrivals((table["time"].to_numpy() - start) / pace, read, written, note)


def _window(kind: str, start: float, seconds: float, folder: Path | str | None) -> "pl.DataFrame":
    import polars as pl

    from aifactory_lab import datasets

    if kind not in TRACES:
        msg = f"no trace {kind!r}; there are: {', '.join(TRACES)}"
        raise DataError(msg, mend='arrivals.azure("conv")')
    moment = pl.col("TIMESTAMP").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns")
    table = datasets.load(TRACES[kind], folder=folder)["requests"].with_columns(
        time=(moment - moment.min()).dt.total_nanoseconds() / 1e9
    )
    found = table.filter(pl.col("time").is_between(start, start + seconds, closed="left")).collect()
    if not len(found):
        msg = f"nothing came from {start:g} s to {start + seconds:g} s of the trace {kind!r}"
        raise DataError(msg, mend=f"arrivals.azure({kind!r}, start=0, seconds=60)")
    return found


def _scaled(tokens: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    scaled: NDArray[np.int64] = np.maximum(1, np.rint(tokens * factor)).astype(np.int64)
    return scaled
