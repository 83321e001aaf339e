"""When which job ran, and on which GPUs: the spans of a Gantt chart, from the frames of a fleet seen one after another.

A scheduler tells only the last attempt of a job. Whoever looks again and again knows the earlier ones too: a job that
was preempted, waited and ran again has two spans. This module asks no engine and draws nothing.

>>> seen = Timeline()
>>> job = {"id": "1", "state": "RUNNING", "started": datetime(2026, 1, 1, tzinfo=UTC), "devices": ["n1:0"]}
>>> seen.observe(frames.frame(frames.JOBS, [job]), now=datetime(2026, 1, 1, 0, 1, tzinfo=UTC).timestamp())
>>> seen.observe(frames.frame(frames.JOBS, [{**job, "state": "REQUEUED"}]), now=1_767_225_720.0)
>>> [(span.job, span.end - span.start, span.devices) for span in seen.spans()]
[('1', 120.0, ('n1:0',))]
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from aifactory_lab.fleet import frames

KEEP_SECONDS = 4 * 3600.0
MOST_SPANS = 400
SAME_SECONDS = 2.0  # that two tellings of one start may differ: one by the scheduler, one by the job


@dataclass(frozen=True)
class Span:
    """A job from one start to its end, or to its preemption.

    Attributes
    ----------
    job
        Its id.
    start, end
        Seconds since the epoch; no end while it runs.
    devices
        The GPUs that it had, as ``node:index``.
    borrowed
        Whether it ran beyond its project's quota.
    state
        How the span ended: one of `frames.STATES`.
    """

    job: str
    start: float
    end: float | None
    devices: tuple[str, ...]
    borrowed: bool
    state: str


class Timeline:
    """The spans of all jobs that were seen."""

    def __init__(self) -> None:
        self._spans: dict[str, list[Span]] = {}

    def observe(self, jobs: pl.DataFrame, now: float) -> None:
        """Take in the frame of jobs at one moment (`now`: seconds since the epoch)."""
        columns = ("id", "state", "started", "ended", "devices", "borrowed")
        for row in jobs.select(columns).iter_rows(named=True):
            if row["started"] is not None:
                known = self._spans.setdefault(row["id"], [])
                self._spans[row["id"]] = _joined(known, _span(row, now), now)
        stands = pl.col("state").is_in(["RUNNING", *frames.ENDED]) & pl.col("started").is_not_null()
        self._close(set(jobs.filter(stands)["id"]), now)
        self._forget(now - KEEP_SECONDS)

    def spans(self) -> list[Span]:
        """Return the spans in the order of their starts, the newest `MOST_SPANS` of them."""
        every = [span for spans in self._spans.values() for span in spans]
        return _clipped(sorted(every, key=lambda span: (span.start, span.job)))[-MOST_SPANS:]

    def _close(self, told: set[str], now: float) -> None:
        """End the spans of jobs that wait again, or that the scheduler no longer tells of."""
        for job, spans in self._spans.items():
            if job not in told and spans[-1].end is None:
                spans[-1] = replace(spans[-1], end=now, state="REQUEUED")

    def _forget(self, before: float) -> None:
        kept = {job: [s for s in spans if s.end is None or s.end > before] for job, spans in self._spans.items()}
        self._spans = {job: spans for job, spans in kept.items() if spans}


def spans(jobs: pl.DataFrame, now: float) -> list[Span]:
    """Return what one frame alone tells: the last attempt of each job that has started."""
    seen = Timeline()
    seen.observe(jobs, now)
    return seen.spans()


def _clipped(spans: list[Span]) -> list[Span]:
    """Return spans in order; a preemption is seen late, so such a span ends where the next one on its GPUs begins."""
    taken: dict[str, float] = {}
    found: list[Span] = []
    for span in reversed(spans):
        if span.state == "REQUEUED" and span.end is not None:
            ends = [span.end, *(taken[device] for device in span.devices if device in taken)]
            found.append(replace(span, end=max(span.start, min(ends))))
        else:
            found.append(span)
        taken |= dict.fromkeys(span.devices, span.start)
    return found[::-1]


def _span(row: dict[str, Any], now: float) -> Span:
    runs = row["state"] == "RUNNING"
    end = None if runs else _seconds(row["ended"]) if row["ended"] is not None else now
    devices = tuple(row["devices"] or ())
    return Span(row["id"], _seconds(row["started"]), end, devices, bool(row["borrowed"]), row["state"])


def _joined(known: list[Span], new: Span, now: float) -> list[Span]:
    """Return a job's spans with the newest telling of it."""
    if not known or new.start > known[-1].start + SAME_SECONDS:
        closed = [replace(s, end=min(now, new.start), state="REQUEUED") if s.end is None else s for s in known]
        return [*closed, new]
    last = known[-1]
    if last.end is not None and new.state not in frames.ENDED:
        return known  # it waits again; what ended has been told
    devices = new.devices or last.devices  # a job that has ended may have lost them
    kept = replace(new, start=last.start, devices=devices, borrowed=new.borrowed or last.borrowed)
    if last.end is not None and last.state == new.state:
        kept = replace(kept, end=last.end)
    return [*known[:-1], kept]


def _seconds(moment: datetime) -> float:
    return round(moment.astimezone(UTC).timestamp(), 3)
