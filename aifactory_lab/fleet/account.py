"""The fleet as a board tells it: queue and reasons, projects and quota, nodes and GPUs, hours, a Gantt chart; as JSON.

Boards do no maths and ask no scheduler, so it is done here, from the frames that every engine returns. Everything is
bounded: five hundred jobs that wait are counted, not listed. This module keeps nothing between two looks.

>>> from aifactory_lab.fleet import Fleet
>>> told = words(Fleet("inline"))
>>> told["engine"]["name"], told["engine"]["limits"][:8]
('inline', 'no queue')
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import polars.selectors as cs

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import places, timeline
from aifactory_lab.fleet.engines import Engine
from aifactory_lab.fleet.idleness import Idle
from aifactory_lab.fleet.rendezvous import dashboard
from aifactory_lab.fleet.timeline import Span

WAITS = ("PENDING", "REQUEUED")
JOBS_SINCE = timedelta(hours=4)
USAGE_SINCE = timedelta(days=7)
EXPLAINED = 4  # of the jobs that wait, those sent first
MOST_ROWS = 64  # GPUs: with more there is no chart by GPU, and bars need not say which they had
MOST_GANGS = 8
MOST_WAITING, MOST_RUNNING, MOST_ENDED = 60, 60, 40
QUEUE = (
    "id",
    "name",
    "kind",
    "project",
    "user",
    "priority",
    "state",
    "reason",
    "gpus",
    "nodes",
    "borrowed",
    "attempts",
)
TIMES = ("submitted", "started", "ended")


@dataclass(frozen=True)
class Answers:
    """What an engine answered at one moment: its four frames, and when (seconds since the epoch)."""

    jobs: pl.DataFrame
    nodes: pl.DataFrame
    projects: pl.DataFrame
    usage: pl.DataFrame
    time: float


def ask(engine: Engine, usage: pl.DataFrame | None = None) -> Answers:
    """Ask an engine everything; its usage only if none is given, for that is a long question."""
    now = datetime.now(UTC)
    hours = engine.usage(now - USAGE_SINCE) if usage is None else usage
    jobs = engine.jobs(now - JOBS_SINCE)
    return Answers(jobs, engine.nodes(), engine.projects(), hours, time.time())


def words(fleet: Any) -> dict[str, Any]:
    """Return what a board shows of a fleet or an engine, asked now: a few kB of JSON.

    Raises
    ------
    FleetError
        If the engine does not answer.
    """
    engine = engine_of(fleet)
    answers = ask(engine)
    reasons = explained(engine, waiting(answers.jobs))
    return told(engine, answers, timeline.spans(answers.jobs, answers.time), reasons)


def engine_of(fleet: Any) -> Engine:
    """Return the engine of a fleet, or the engine itself."""
    engine: Engine = getattr(fleet, "engine", fleet)
    if not hasattr(engine, "jobs") or not hasattr(engine, "limits"):
        msg = f"{fleet!r} is neither a fleet nor an engine"
        raise FleetError(msg, mend="fleet.Fleet()")
    return engine


def waiting(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the jobs that wait, those that were sent first before the others."""
    return jobs.filter(pl.col("state").is_in(WAITS)).sort("submitted", "id", nulls_last=True)


def explained(engine: Engine, jobs: pl.DataFrame) -> dict[str, str]:
    """Return the engine's sentence for each of the first jobs that wait; its limits stand on the board once."""
    found = {}
    for job_id in jobs["id"].head(EXPLAINED):
        try:
            found[job_id] = engine.explain(job_id).removesuffix(f"; {engine.limits}")
        except FleetError as error:  # it has ended since
            found[job_id] = error.what
    return found


def told(
    engine: Engine,
    answers: Answers,
    spans: Sequence[Span],
    reasons: Mapping[str, str] | None = None,
    idle: Sequence[Idle] = (),
) -> dict[str, Any]:
    """Return answers as JSON for a board.

    Parameters
    ----------
    spans
        The bars of the Gantt chart.
    reasons
        By job's id, the sentence why it waits.
    idle
        GPUs that are allocated and do nothing.
    """
    jobs = answers.jobs
    nodes, more = places.nodes(answers.nodes, jobs)
    few = sum(len(node["cells"]) for node in nodes) <= MOST_ROWS
    return {
        "engine": {name: getattr(engine, name) for name in ("name", "reason", "limits", "pretend")},
        "dashboards": dashboards(engine, jobs),
        "totals": totals(answers),
        "queue": queue(jobs, reasons or {}),
        "projects": projects(answers),
        "nodes": nodes,
        "nodes_more": more,
        "usage": _rows(answers.usage.sort("gpu_hours", descending=True).head(24)),
        "usage_days": USAGE_SINCE.days,
        "spans": [_bar(span, devices=few) for span in spans],
        "jobs": holders(jobs, spans),
        "idle": [asdict(one) for one in idle],
    }


def totals(answers: Answers) -> dict[str, int]:
    """Return GPUs in all and in use, jobs that wait, run and ended, and the GPUs asked for and borrowed."""
    jobs, nodes = answers.jobs, answers.nodes
    wait, run = jobs.filter(pl.col("state").is_in(WAITS)), jobs.filter(pl.col("state") == "RUNNING")
    return {
        "gpus": int(nodes["gpus"].sum()),
        "used": int(nodes["used"].sum() if nodes.height else run["gpus"].sum()),
        "asked": int(wait["gpus"].sum()),
        "borrowed": int(run.filter("borrowed")["gpus"].sum()),
        "waiting": wait.height,
        "running": run.height,
        "ended": jobs.height - wait.height - run.height,
        "nodes": nodes.height,
    }


def queue(jobs: pl.DataFrame, reasons: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the first rows of what waits, runs and ended, with sentences where there are."""
    ended = jobs.filter(~pl.col("state").is_in([*WAITS, "RUNNING"])).sort("ended", descending=True, nulls_last=True)
    running = jobs.filter(pl.col("state") == "RUNNING").sort("started", descending=True, nulls_last=True)
    parts = {
        "waiting": waiting(jobs).head(MOST_WAITING),
        "running": running.head(MOST_RUNNING),
        "ended": ended.head(MOST_ENDED),
    }
    columns: list[Any] = [*QUEUE, *(pl.col(name).dt.timestamp("ms") / 1e3 for name in TIMES)]
    return {
        part: [_job(row, reasons) for row in found.select(*columns, "devices").iter_rows(named=True)]
        for part, found in parts.items()
    }


def projects(answers: Answers) -> list[dict[str, Any]]:
    """Return the projects with quota, use and GPU-hours, by name."""
    hours = answers.usage.group_by("project").agg(pl.col("gpu_hours").sum())
    return _rows(answers.projects.join(hours, on="project", how="left").sort("project"))


def dashboards(engine: Engine, jobs: pl.DataFrame) -> list[dict[str, str]]:
    """Return the Dask dashboards of the gangs that run, the newest first."""
    gangs = jobs.filter((pl.col("state") == "RUNNING") & (pl.col("kind") == "gang")).select("id", "name")
    links = [(row, dashboard(engine.folder, row["id"])) for row in gangs.head(MOST_GANGS).iter_rows(named=True)]
    return [{"job": row["id"], "name": row["name"], "link": link} for row, link in links if link]


def holders(jobs: pl.DataFrame, spans: Sequence[Span]) -> dict[str, dict[str, Any]]:
    """Return name, project and GPUs of each job that is drawn: those that run and those of the Gantt chart."""
    drawn = {span.job for span in spans}
    found = jobs.filter((pl.col("state") == "RUNNING") | pl.col("id").is_in(drawn))
    rows = found.select("id", "name", "project", "kind", "gpus", "nodes", "borrowed").iter_rows(named=True)
    return {row.pop("id"): row for row in rows}


def _job(row: dict[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    where = places.short(row.pop("devices") or ())
    return row | {"where": where, "why": reasons.get(row["id"], "")}


def _bar(span: Span, *, devices: bool) -> dict[str, Any]:
    end = None if span.end is None else round(span.end, 1)
    bar = {"job": span.job, "start": round(span.start, 1), "end": end, "devices": list(span.devices) if devices else []}
    return bar | {"borrowed": span.borrowed, "state": span.state}


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows, numbers with four digits that matter, so that what hardly changed is not sent again."""
    return frame.with_columns(cs.float().round_sig_figs(4)).to_dicts()
