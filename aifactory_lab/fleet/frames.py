"""The frames that a fleet returns, the same from every engine: their columns, types and words.

``state`` is one of `states.STATES`. Times are UTC. ``devices`` names GPUs as ``node:index``, empty until a job runs.
This module asks no engine.

>>> empty(NODES).columns[:3]
['node', 'state', 'gpus']
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from aifactory_lab.fleet.states import ENDED, STATES, State

__all__ = ["ENDED", "JOBS", "NODES", "PROJECTS", "STATES", "TIME", "USAGE", "State", "empty", "frame"]
TIME = pl.Datetime("us", "UTC")

JOBS: dict[str, Any] = {
    "id": pl.String,
    "name": pl.String,
    "kind": pl.String,
    "project": pl.String,
    "user": pl.String,
    "priority": pl.String,
    "state": pl.String,
    "reason": pl.String,  # the engine's own word for why it waits or how it ended
    "gpus": pl.Int64,
    "nodes": pl.Int64,
    "borrowed": pl.Boolean,  # whether it runs beyond its project's quota
    "devices": pl.List(pl.String),
    "submitted": TIME,
    "started": TIME,  # of the last attempt
    "ended": TIME,
    "hours": pl.Float64,  # the limit
    "attempts": pl.Int64,
}
NODES: dict[str, Any] = {
    "node": pl.String,
    "state": pl.String,  # idle, mixed, allocated, down, drained
    "gpus": pl.Int64,
    "used": pl.Int64,
    "cpus": pl.Int64,
    "cpus_used": pl.Int64,
    "jobs": pl.List(pl.String),
}
PROJECTS: dict[str, Any] = {
    "project": pl.String,
    "quota": pl.Int64,  # GPUs; null where the engine keeps none
    "used": pl.Int64,  # GPUs in use now, borrowed ones included
    "borrowed": pl.Int64,
    "waiting": pl.Int64,  # GPUs asked for by jobs that wait
    "running": pl.Int64,  # jobs
    "pending": pl.Int64,  # jobs
    "share": pl.Float64,  # fair-share factor, 0 to 1; null where there is none
}
USAGE: dict[str, Any] = {
    "project": pl.String,
    "user": pl.String,
    "jobs": pl.Int64,
    "gpu_hours": pl.Float64,
    "cpu_hours": pl.Float64,
}


def frame(schema: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame of exactly this schema; what a row lacks is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def empty(schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return a frame of this schema without rows."""
    return frame(schema, [])
