"""Which job has which GPU: a cell for every GPU of every node, from the frames of nodes and jobs.

A job says which devices it has once it has started. Where it does not, its node says at least that it is there, and
it is put on the first GPUs that are free on the map; what the node counts beyond that belongs to somebody unseen.

>>> from aifactory_lab.fleet import frames
>>> node = frames.frame(frames.NODES, [{"node": "n1", "gpus": 4, "used": 2, "jobs": ["7"]}])
>>> job = {"id": "7", "state": "RUNNING", "gpus": 2, "nodes": 1, "devices": ["n1:1", "n1:3"]}
>>> nodes(node, frames.frame(frames.JOBS, [job]))[0][0]["cells"]
['', '7', '', '7']
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

MOST_NODES = 512
MOST_CELLS = 4096
UNSEEN = "?"  # the GPU is in use, and by whom is not known


def nodes(frame: pl.DataFrame, jobs: pl.DataFrame) -> tuple[list[dict[str, Any]], int]:
    """Return the nodes as dicts with their cells, and how many more there are than these.

    A cell is the id of the job that has the GPU, empty if none has, or `UNSEEN`.
    """
    running = jobs.filter(pl.col("state") == "RUNNING").select("id", "gpus", "nodes", "devices")
    by_id = {row["id"]: row for row in running.iter_rows(named=True)}
    on_node = by_device(by_id.values())
    kept = _bounded(frame)
    told = [
        {name: row[name] for name in ("node", "state", "gpus", "used", "cpus", "cpus_used")}
        | {"cells": _cells(row, on_node.get(row["node"], {}), by_id), "jobs": len(row["jobs"] or ())}
        for row in kept.iter_rows(named=True)
    ]
    return told, frame.height - kept.height


def by_device(jobs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return for each node which job has which index."""
    found: dict[str, dict[str, str]] = {}
    for job in jobs:
        for device in job["devices"] or ():
            node, _, index = device.rpartition(":")
            found.setdefault(node, {})[index] = job["id"]
    return found


def short(devices: Iterable[str]) -> str:
    """Return devices in few words.

    >>> short(["n1:0", "n1:1", "n1:2", "n2:0", "n2:7"])
    'n1:0-2 n2:0,7'
    """
    found: dict[str, list[str]] = {}
    for device in devices:
        node, _, index = device.rpartition(":")
        found.setdefault(node, []).append(index)
    return " ".join(f"{node}:{_ranges(indices)}" for node, indices in found.items())


def _ranges(indices: list[str]) -> str:
    """Return ``0-2,7`` for ``0 1 2 7``; what is no number stands for itself."""
    numbers = sorted({int(index) for index in indices if index.isdigit()})
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ",".join([*told, *(index for index in indices if not index.isdigit())])


def _bounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the first nodes, as many as can be drawn."""
    fits = frame["gpus"].fill_null(0).cum_sum() <= MOST_CELLS
    return frame.filter(fits).head(MOST_NODES)


def _cells(node: Mapping[str, Any], taken: Mapping[str, str], jobs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return who has each GPU of a node."""
    cells = [taken.get(str(index), "") for index in range(node["gpus"] or 0)]
    named = [job for index, job in taken.items() if not index.isdigit() or int(index) >= len(cells)]  # UUIDs, MIG
    for job_id in node["jobs"] or ():
        job = jobs.get(job_id)
        if job is not None and not job["devices"]:
            named += [job_id] * (job["gpus"] // max(1, job["nodes"]))
    unseen = [UNSEEN] * max(0, (node["used"] or 0) - sum(map(bool, cells)) - len(named))
    more = iter([*named, *unseen])
    return [cell or next(more, "") for cell in cells]
