"""A scheduler's answers turned into rows: who is where, GPUs once, names apart, what is missing said."""

from base64 import b64encode

import numpy as np

from aifactory_lab.telemetry.dask.answers import NAME, REPORT_SECONDS, Reader, announced
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Process, State
from aifactory_lab.telemetry.sharing.documents import write_facts, write_layout


def gpus(node, uids, metrics=("busy", "power"), value=50.0, **more):
    """What a worker on a node reports."""
    entities = tuple(
        Entity(("this site", "this rack", node, f"gpu {place}"), "gpu", "H100", uid) for place, uid in enumerate(uids)
    )
    shape = (len(uids), len(metrics))
    return {
        "node": node,
        "words": "",
        "layout": write_layout(Layout(entities, metrics)).decode(),
        "values": b64encode(np.full(shape, value).tobytes()).decode(),
        "states": b64encode(bytes(shape[0] * shape[1])).decode(),
        "notes": [],
        "facts": write_facts({}).decode(),
        **more,
    }


def worker(name=0, report=None, host="10.0.0.1", beat=1.0, **more):
    metrics = {"cpu": 150.0, "memory": 3e9, "task_counts": {"executing": 2, "ready": 5, "waiting": 1, "memory": 9}}
    metrics |= {"host_net_io": {"read_bps": 10.0, "write_bps": 20.0}}
    if report:
        metrics[NAME] = report
    told = {"name": name, "host": host, "nthreads": 2, "memory_limit": 4e9, "last_seen": beat, "status": "running"}
    return told | {"metrics": metrics} | more


def by_name(rows):
    return {row.entity.path[-1]: dict(zip(row.metrics, row.values.tolist(), strict=True)) for row in rows}


def ids(rows):
    return [row.entity.id for row in rows]


def test_what_a_heartbeat_says():
    reader = Reader(gpus=False, site="lab", racks={"10.0.0.1": "rack 3"})
    (row,) = reader.rows({"tcp://a": worker("x")}, now=0.0)
    assert row.entity == Entity(("lab", "rack 3", "10.0.0.1", "worker x"), "worker", "Dask worker, 2 threads", "x")
    told = by_name([row])["worker x"]
    assert told["busy"] == 75.0, "per cent of its threads"
    assert (told["running"], told["waiting"]) == (2, 6)
    assert (told["memory_used"], told["memory_total"]) == (3e9, 4e9)
    assert (told["network_rx"], told["network_tx"]) == (10, 20)
    assert row.states[row.metrics.index("disk_read")] == State.UNSUPPORTED
    (unlimited,) = reader.rows({"tcp://a": worker("x", memory_limit=0, nthreads=1)}, now=0.0)
    assert unlimited.states[row.metrics.index("memory_total")] == State.UNSUPPORTED
    assert by_name([unlimited])["worker x"]["busy"] == 100.0


def test_a_gpu_that_two_workers_tell_is_counted_once_and_fresh():
    reader = Reader()
    answer = {
        "tcp://a": worker(0, gpus("node 1", ["GPU-1", "GPU-2"], value=1.0)),
        "tcp://b": worker(1, gpus("node 1", ["GPU-1", "GPU-2"], value=2.0), beat=2.0),
    }
    reader.rows(answer, now=0.0)
    answer["tcp://b"]["last_seen"] = 3.0  # only b is heard again
    rows = reader.rows(answer, now=10.0)
    assert sorted(row.entity.uid for row in rows if row.entity.kind == "gpu") == ["GPU-1", "GPU-2"]
    assert by_name(rows)["gpu 0"] == {"busy": 2.0, "power": 2.0}
    stale = next(row for row in rows if row.entity.path[-1] == "worker 0")
    assert set(stale.states.tolist()) == {State.STALE, State.UNSUPPORTED}
    assert "no heartbeat" in stale.note


def test_two_nodes_of_one_name_keep_their_gpus_apart():
    answer = {
        "tcp://a": worker(0, gpus("node", ["GPU-aaaaaaaa"]), host="10.0.0.1"),
        "tcp://b": worker(1, gpus("node", ["GPU-bbbbbbbb"]), host="10.0.0.2"),
    }
    names = ids(Reader().rows(answer, now=0.0))
    assert len(set(names)) == 4
    assert "this site/this rack/node/gpu 0 bbbbbbbb" in names


def test_gpus_that_have_lost_their_name_are_told_once():
    answer = {f"tcp://{name}": worker(name, gpus("node", ["", ""])) for name in (0, 1)}
    assert sorted(ids(Reader().rows(answer, now=0.0)))[:2] == [
        "this site/this rack/node/gpu 0",
        "this site/this rack/node/gpu 1",
    ]


def test_a_newcomer_waits_for_its_report_but_not_for_ever():
    reader = Reader()
    assert reader.rows({"tcp://a": worker(0)}, now=0.0) == []
    assert reader.waits
    assert len(reader.rows({"tcp://a": worker(0)}, now=REPORT_SECONDS)) == 1
    (row,) = reader.rows({"tcp://a": worker(0, {"node": "node 7", "words": "no driver"})}, now=REPORT_SECONDS)
    assert row.entity.path[2] == "node 7"
    assert not reader.waits
    assert reader.facts[row.entity.id].details["GPUs"] == "no driver"
    # the host is known by now: a worker that is born again there need not say so first, nor does one that falls silent
    assert ids(reader.rows({"tcp://new": worker(0)}, now=99.0)) == [row.entity.id]
    assert reader.knows(row.entity.id)


def test_facts_and_notes_of_gpus_find_their_rows():
    facts = {"this site/this rack/node/gpu 1": Facts((Process(7, "python"),))}
    report = gpus("node", ["GPU-1", "GPU-2"], facts=write_facts(facts).decode(), notes=["gpu 0 is hot"])
    reader = Reader(site="lab", racks={"node": "rack 9"})
    for now in (0.0, 1.0):
        reader.rows({"tcp://a": worker(0, report)}, now=now)
        assert reader.notes == ["node: gpu 0 is hot"]
    assert reader.facts["lab/rack 9/node/gpu 1"].processes[0].pid == 7
    reader.facts = {}
    reader.rows({"tcp://a": worker(0, report)}, now=2.0)
    assert reader.facts == {}, "nothing changed"


def test_a_paused_worker_is_a_finding():
    reader = Reader(gpus=False)
    (row,) = reader.rows({"tcp://a": worker(0, status="paused")}, now=0.0)
    assert reader.facts[row.entity.id].health[0].code == "paused"


def test_who_meant_to_go():
    assert announced([(0.0, {"action": "retired"})])
    assert announced([(0.0, {"action": "remove-worker", "expected": True})])
    assert not announced([(0.0, {"action": "closing-worker", "reason": "worker-heartbeat-error"})])
    assert not announced([])
