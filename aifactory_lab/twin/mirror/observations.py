"""What a machine did under loads: one row for each load test, in seconds, with the model that was served.

A row comes of a `serve.load.tokens` report: how many requests at once, how long they were, and the means of TTFT and of
the time from token to token. Beside them stands what the telemetry saw meanwhile. Nothing is fitted here.

>>> from aifactory_lab.serve.load.records import Record
>>> from aifactory_lab.serve.load.token_report import TokenReport
>>> times = {"start": 0, "end": 9, "chunks": (500_000_000, 2_500_000_000)}
>>> record = Record(0, outcome="200", input_tokens=8, output_tokens=3, **times)
>>> observe([TokenReport("m", (record,))], model="llama-3-8b").cells.select("isl", "osl", "ttft", "tpot").row(0)
(8.0, 3.0, 0.5, 1.0)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.telemetry.history import History
from aifactory_lab.twin import models
from aifactory_lab.twin.mirror import watts
from aifactory_lab.twin.shape import Model

SCHEMA = {
    "at": pl.Float64,
    "concurrency": pl.Float64,
    "isl": pl.Float64,
    "osl": pl.Float64,
    "requests": pl.Int64,
    "seconds": pl.Float64,
    "ttft": pl.Float64,
    "tpot": pl.Float64,
    "tokens_per_second": pl.Float64,
    "uneven": pl.Float64,
    "cores": pl.Float64,
    "host_busy": pl.Float64,
}
FIGURES = ("ttft", "tpot", "tokens_per_second")


@dataclass(frozen=True)
class Observations:
    """What was seen of one model on one machine.

    Attributes
    ----------
    cells
        A row a load: ``at`` (seconds since the epoch), ``concurrency``, ``isl`` and ``osl`` (mean tokens), ``requests``
        answered, ``seconds``, ``ttft`` and ``tpot`` (mean seconds), ``tokens_per_second``, ``uneven`` (deviation of the
        logarithm of the requests' times from token to token), ``cores`` (processor seconds of the server a second) and
        ``host_busy`` (share of the machine's processors, 0 to 1); the last two are null where nobody looked.
    model
        The shape of what was served.
    slots
        Sequences that the server decodes together at most.
    power
        Activity and watts, where the telemetry had them.
    power_note
        What the power is of, or why there is none.
    """

    cells: pl.DataFrame
    model: Model
    slots: int = 8
    power: pl.DataFrame | None = None
    power_note: str = ""

    def __len__(self) -> int:
        return len(self.cells)

    def __add__(self, other: Self) -> Self:
        return replace(self, cells=pl.concat([self.cells, other.cells]))

    def where(self, *conditions: pl.Expr) -> Self:
        """Return the loads that meet conditions on `cells`."""
        return replace(self, cells=self.cells.filter(*conditions))

    def windows(self, size: int) -> Iterator[Self]:
        """Yield the loads in the order of time, so many at once; the last may be fewer."""
        ordered = self.cells.sort("at", maintain_order=True)
        for start in range(0, len(ordered), size):
            yield replace(self, cells=ordered.slice(start, size))


def observe(
    reports: Sequence[TokenReport] | TokenReport,
    seen: watts.Seen | None = None,
    *,
    model: Model | str,
    slots: int = 8,
) -> Observations:
    """Return what load tests found, with what the telemetry saw meanwhile.

    Parameters
    ----------
    reports
        Closed-loop tests (`serve.load.tokens` with ``concurrency=``) of one server; prompts that the server had in a
        cache would look free, so they must be sent with ``extra={"cache_prompt": False}`` or be different.
    seen
        What the telemetry saw meanwhile: a sampler, a recording, or its history.
    model
        The shape of what is served, or its name in the table (`twin.models`).
    slots
        Sequences that the server decodes together at most.

    Raises
    ------
    TwinError
        If a report is of an open loop, nothing was answered whole, or every answer came in one piece.

    Notes
    -----
    A load whose answers all came in one piece, as they do to clients that had to wait for a processor, says nothing of
    the time between tokens and is left out.
    """
    given = [reports] if isinstance(reports, TokenReport) else list(reports)
    shape = models.model(model) if isinstance(model, str) else model
    history = None if seen is None else watts.history_of(seen)
    cells = pl.DataFrame([_cell(report, history) for report in given], schema=SCHEMA)
    cells = cells.filter(pl.col("tpot") > 0, pl.col("ttft") > 0)
    if given and not len(cells):
        msg = f"all answers of {len(given)} load tests came in one piece: nothing is known of the time between tokens"
        raise TwinError(msg, mend="serve.load.tokens(server, prompts, concurrency=4, max_tokens=32, seconds=5)")
    power, note = watts.samples(history) if history is not None else (None, "power not measured here: no telemetry")
    return Observations(cells, shape, slots, power, note)


def _uneven(report: TokenReport) -> float | None:
    gaps = [one.itl_ms for one in report.records if one.ok and one.itl_ms]
    return float(np.std(np.log(gaps))) if gaps else None


def _cell(report: TokenReport, history: History | None) -> dict[str, float | int | None]:
    if report.offered is not None:
        msg = f"{report.model} was tested in an open loop of {report.offered:.3g} arrivals/s: a fit needs steady loads"
        raise TwinError(msg, mend="serve.load.tokens(server, prompts, concurrency=4)")
    spread, totals = report.distributions, report.totals
    if not spread["inter_token_latency"].count:
        msg = f"none of {len(report.records)} requests was answered with two tokens or more: {report.statuses}"
        raise TwinError(msg, mend="serve.load.tokens(server, prompts, concurrency=4, max_tokens=32)")
    start = report.origin_ns / 1e9
    used = report.cost.server_cpu_seconds
    return {
        "at": start,
        "concurrency": float(report.concurrency),
        "isl": spread["input_sequence_length"].avg,
        "osl": spread["output_sequence_length"].avg,
        "requests": int(totals["request_count"]),
        "seconds": report.seconds,
        "ttft": report.ttft.avg / 1e3,
        "tpot": report.itl.avg / 1e3,
        "tokens_per_second": report.tokens_per_second,
        "uneven": _uneven(report),
        "cores": None if used is None else used / report.seconds,
        "host_busy": None if history is None else watts.busy(history, start, start + report.seconds),
    }
