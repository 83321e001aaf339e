"""What a Dask scheduler says about its workers, as rows: a row per worker, and one per GPU of their nodes.

The numbers are those of the workers' last heartbeats (two a second in small clusters, one in six seconds with a
thousand workers); a worker that sends none is stale. Network and disk are the whole machine's: Dask counts no
worker's own. Nothing here talks to a cluster.

>>> reader = Reader(gpus=False)
>>> info = {
...     "name": 0,
...     "host": "10.0.0.7",
...     "nthreads": 4,
...     "memory_limit": 0,
...     "last_seen": 1.0,
...     "status": "running",
...     "metrics": {"cpu": 200.0, "memory": 1e9, "task_counts": {"executing": 2, "ready": 3}},
... }
>>> (row,) = reader.rows({"tcp://10.0.0.7:4000": info}, now=0.0)
>>> row.entity.id, dict(zip(row.metrics, row.values.tolist()))["busy"]
('this site/this rack/10.0.0.7/worker 0', 50.0)
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aifactory_lab.telemetry.dask.roster import Row
from aifactory_lab.telemetry.readings import Entity, Facts, Finding, State
from aifactory_lab.telemetry.sharing.documents import read_facts, read_layout

NAME = "aifactory-telemetry"  # of the metric in a worker's heartbeat, and of the plugin that puts it there
METRICS = (
    "busy",
    "memory_used",
    "memory_total",
    "disk_read",
    "disk_write",
    "network_rx",
    "network_tx",
    "running",
    "waiting",
)
RUNNING, WAITING = ("executing", "long-running"), ("ready", "constrained", "waiting")
# Reasons for which a worker closes that nobody asked for (distributed 2026.7, worker.py and scheduler.py)
FAULTS = (
    "worker-heartbeat-missing",
    "worker-heartbeat-error",
    "worker-handle-scheduler-connection-broken",
    "scheduler-remove-worker",
)
LATE_BEATS, LATE_SECONDS = 3.0, 3.0  # without a heartbeat, whichever is longer: then a worker is stale
REPORT_SECONDS = 5.0  # how long a newcomer is held back until it says where it stands


@dataclass
class _Known:
    """What is remembered of one worker."""

    first: float
    beat: float = 0.0  # the scheduler's clock
    heard: float = 0.0  # ours, when the beat changed: no two clocks are compared
    node: str = ""
    decided: bool = False
    layout: str = ""
    entities: tuple[Entity, ...] = ()
    metrics: tuple[str, ...] = ()
    facts: str = ""


@dataclass
class Reader:
    """Turns answers into rows; remembers when each worker was heard last.

    Attributes
    ----------
    gpus
        Whether the workers report GPUs; they then say which node they are on.
    site, racks
        Where the plant stands, and the rack of each node.
    addresses
        The address of each worker by entity id.
    facts
        What changed since the caller emptied it.
    notes
        What the workers' own readings of their GPUs said was wrong, at the last answer.
    """

    gpus: bool = True
    site: str = "this site"
    racks: Mapping[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _known: dict[str, _Known] = field(default_factory=dict)
    _nodes: dict[str, str] = field(default_factory=dict)  # what the host of an address calls itself
    _details: dict[str, Facts] = field(default_factory=dict)

    def rows(self, workers: Mapping[str, Mapping[str, Any]], now: float, beat_seconds: float = 0.5) -> list[Row]:
        """Return the rows of everybody who is there.

        Parameters
        ----------
        workers
            ``identity()["workers"]`` of a scheduler, by address.
        now
            A clock that only goes forward.
        beat_seconds
            Seconds between heartbeats that the scheduler asks of its workers.
        """
        self._known = {address: self._known.get(address) or _Known(now) for address in workers}
        self.notes = []
        found: list[Row] = []
        for address, info in workers.items():
            known, report = self._known[address], info["metrics"].get(NAME) if self.gpus else None
            silent = self._silence(known, info["last_seen"], now)
            if report is not None:
                known.node = self._nodes[info["host"]] = report["node"]
                known.decided = "layout" in report or bool(report["words"])
            known.node = known.node or self._nodes.get(info["host"], "")
            if self.gpus and not known.node and now - known.first < REPORT_SECONDS:
                continue
            rows = [self._worker(address, info, report), *self._gpus(known, report)]
            if silent > max(LATE_SECONDS, LATE_BEATS * beat_seconds):
                rows = [row.without(State.STALE, f"{row.entity.id}: no heartbeat of its worker") for row in rows]
            found += rows
        return list(_once(found))

    @property
    def waits(self) -> bool:
        """Whether a worker has not said yet where it stands, or is still opening its driver."""
        return self.gpus and not all(known.decided for known in self._known.values())

    def knows(self, entity: str) -> bool:
        """Whether the worker that had this entity id at some time was there at the last answer."""
        return self.addresses.get(entity) in self._known

    def _silence(self, known: _Known, beat: float, now: float) -> float:
        if beat != known.beat:
            known.beat, known.heard = beat, now
        return now - known.heard

    def _worker(self, address: str, info: Mapping[str, Any], report: Mapping[str, Any] | None) -> Row:
        threads, node = info["nthreads"], self._known[address].node or info["host"]
        words = f"Dask worker, {threads} thread{'s' if threads > 1 else ''}"
        entity = Entity((*self._place(node), f"worker {info['name']}"), "worker", words, str(info["name"]))
        self.addresses[entity.id] = address
        facts = Facts(health=_health(info["status"]), details=_words(address, info, report))
        if self._details.get(entity.id) != facts:
            self._details[entity.id] = self.facts[entity.id] = facts
        return Row.of(entity, METRICS, _values(info))

    def _gpus(self, known: _Known, report: Mapping[str, Any] | None) -> list[Row]:
        if not report or "layout" not in report:
            return []
        if report["layout"] != known.layout:
            layout = read_layout(report["layout"])
            known.layout, known.metrics = report["layout"], layout.metrics
            known.entities = tuple(
                replace(entity, path=(*self._place(report["node"]), *entity.path[3:])) for entity in layout.entities
            )
        shape = (len(known.entities), len(known.metrics))
        values = np.frombuffer(b64decode(report["values"]), dtype="<f8").reshape(shape)
        states = np.frombuffer(b64decode(report["states"]), dtype=np.uint8).reshape(shape)
        self._note_facts(known, report["facts"])
        self.notes += [f"{report['node']}: {note}" for note in report["notes"]]
        return [Row(entity, known.metrics, values[place], states[place]) for place, entity in enumerate(known.entities)]

    def _note_facts(self, known: _Known, text: str) -> None:
        if text == known.facts:
            return
        known.facts = text
        ours = {entity.path[3:]: entity.id for entity in known.entities}
        for name, facts in read_facts(text).items():
            if (entity := ours.get(tuple(name.split("/")[3:]))) is not None:
                self.facts[entity] = facts

    def _place(self, node: str) -> tuple[str, str, str]:
        return self.site, self.racks.get(node, "this rack"), node


def announced(events: Iterable[tuple[float, Mapping[str, Any]]]) -> bool:
    """Return whether a worker meant to go, by what the scheduler noted of it.

    Examples
    --------
    >>> announced([(0.0, {"action": "add-worker"}), (1.0, {"action": "remove-worker", "expected": False})])
    False
    >>> announced([(0.0, {"action": "closing-worker", "reason": "nanny-close"})])
    True
    """
    return any(
        event.get("action") == "retired"
        or (event.get("action") == "remove-worker" and event["expected"])
        or (event.get("action") == "closing-worker" and event["reason"] not in FAULTS)
        for _, event in events
    )


def _values(info: Mapping[str, Any]) -> list[float]:
    told, nothing = info["metrics"], float("nan")
    counts, disk, network = (told.get(name, {}) for name in ("task_counts", "host_disk_io", "host_net_io"))
    return [
        min(100.0, told.get("cpu", nothing) / info["nthreads"]),  # Dask: per cent of one core
        told.get("memory", nothing),
        info["memory_limit"] or nothing,
        *(rates.get(name, nothing) for rates in (disk, network) for name in ("read_bps", "write_bps")),
        float(sum(counts.get(state, 0) for state in RUNNING)),
        float(sum(counts.get(state, 0) for state in WAITING)),
    ]


def _health(status: str) -> tuple[Finding, ...]:
    if status == "paused":
        return (Finding("warning", "paused", "its memory is nearly full: it takes no new task"),)
    return () if status in ("running", "init") else (Finding("info", status, f"the worker is {status}"),)


def _words(address: str, info: Mapping[str, Any], report: Mapping[str, Any] | None) -> dict[str, str]:
    words = {"address": address, "threads": str(info["nthreads"]), "status": info["status"]}
    return words | {"GPUs": report["words"]} if report and report["words"] else words


def _once(rows: Iterable[Row]) -> Iterable[Row]:
    """Leave out what two workers tell of one GPU, fresh readings first; part two GPUs that share a name."""
    uids: set[str] = set()
    names: set[str] = set()
    for row in sorted(rows, key=lambda row: bool(row.note)):
        entity = row.entity
        if entity.kind != "worker" and entity.uid and entity.uid in uids:
            continue
        if entity.id in names and not entity.uid:
            continue
        if entity.id in names:
            entity = replace(entity, path=(*entity.path[:-1], f"{entity.path[-1]} {entity.uid[-8:]}"))
        uids.add(entity.uid)
        names.add(entity.id)
        yield row if entity is row.entity else replace(row, entity=entity)
