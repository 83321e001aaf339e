"""What a board is told of a fleet: bounded, small, and the same from every engine."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, account, frames, places
from tests.fleet.scripted import Scripted, busy_plant, job


@pytest.fixture
def told(tmp_path):
    return account.words(busy_plant(tmp_path))


def test_totals_count_what_the_rows_do_not_list(told):
    assert told["totals"] == {
        "gpus": 8,
        "used": 8,
        "asked": 1004,
        "borrowed": 2,
        "waiting": 501,
        "running": 3,
        "ended": 2,
        "nodes": 2,
    }
    assert len(told["queue"]["waiting"]) == account.MOST_WAITING
    assert len(json.dumps(told)) < 64_000, "five hundred jobs that wait do not make a message longer"


def test_those_that_wait_longest_come_first_and_say_why(told):
    first, second, *_, last = told["queue"]["waiting"]
    assert (first["id"], first["state"], first["reason"]) == ("100", "REQUEUED", "BeginTime")
    assert first["why"].startswith("job 100 waits: vision uses")
    assert second["why"].startswith("job 101 waits")
    assert last["why"] == "", "only the first few are asked for"
    assert [row["id"] for row in told["queue"]["ended"]] == ["5", "4"], "the last that ended is first"


def test_projects_have_quota_use_and_hours(told):
    nlp, vision = told["projects"]
    assert (vision["project"], vision["quota"], vision["used"], vision["borrowed"]) == ("vision", 4, 6, 2)
    assert vision["gpu_hours"] == 12.35, "four digits: what hardly changed is not sent again"
    assert nlp["gpu_hours"] == 3.5
    assert [row["user"] for row in told["usage"]] == ["ada", "bob", "eve"]


def test_every_gpu_says_who_has_it(told):
    assert [node["cells"] for node in told["nodes"]] == [["1", "1", "2", "2"], ["1", "1", "3", "3"]]
    assert told["jobs"]["2"] == {
        "name": "train-2",
        "project": "vision",
        "kind": "function",
        "gpus": 2,
        "nodes": 1,
        "borrowed": True,
    }


def test_bars_of_what_runs_are_open_and_those_that_ended_are_closed(told):
    bars = {bar["job"]: bar for bar in told["spans"]}
    assert sorted(bars) == ["1", "2", "3", "4", "5"]
    assert bars["1"]["end"] is None
    assert bars["4"]["end"] > bars["4"]["start"]
    assert bars["1"]["devices"] == ["n1:0", "n1:1", "n2:0", "n2:1"]
    assert set(bars) <= set(told["jobs"]), "every bar has its name"


def test_an_engine_without_nodes_projects_or_jobs_is_told_too(tmp_path):
    told = account.words(Fleet("inline", folder=tmp_path))
    assert told["nodes"] == told["projects"] == told["spans"] == []
    assert told["totals"]["gpus"] == 0
    assert told["engine"]["limits"].startswith("no queue")
    assert json.loads(json.dumps(told)) == told


def test_real_jobs_of_the_inline_engine_are_told(tmp_path):
    fleet = Fleet("inline", folder=tmp_path)
    fleet.submit(abs, -1, gpus=2, project="vision", name="one")
    fleet.submit(int, "x", name="two")
    told = account.words(fleet)
    assert {row["name"]: row["state"] for row in told["queue"]["ended"]} == {"one": "COMPLETED", "two": "FAILED"}
    assert {row["project"] for row in told["usage"]} == {"vision", "default"}


def test_a_job_that_ended_while_it_was_explained_is_no_error(tmp_path):
    engine = busy_plant(tmp_path)

    def gone(job_id):
        raise FleetError(f"there is no job {job_id}")

    engine.explain = gone
    assert account.words(engine)["queue"]["waiting"][0]["why"] == "there is no job 100"


def test_what_is_no_fleet_is_refused():
    with pytest.raises(FleetError, match="7 is neither a fleet nor an engine"):
        account.words(7)


def placed(nodes, jobs):
    return places.nodes(frames.frame(frames.NODES, nodes), frames.frame(frames.JOBS, jobs))


def test_a_job_without_known_devices_is_put_where_its_node_has_room():
    known = job(1, "RUNNING", devices=["n1:1"])
    unknown = job(2, "RUNNING", gpus=4, nodes=2)
    mig = job(3, "RUNNING", devices=["n1:MIG-7b3f"])
    node = {"node": "n1", "gpus": 6, "used": 5, "jobs": ["1", "2", "3"]}
    [found], _ = placed([node], [known, unknown, mig])
    assert found["cells"] == ["3", "1", "2", "2", "?", ""], "one more is in use, by somebody that nobody told of"


def test_a_thousand_gpus_are_told_and_more_are_counted(tmp_path):
    nodes = [{"node": f"n{n}", "gpus": 8, "used": 0, "jobs": []} for n in range(600)]
    told, more = placed(nodes, [])
    assert sum(len(node["cells"]) for node in told) == places.MOST_CELLS
    assert len(told) + more == 600
    assert placed([], []) == ([], 0)


@given(
    gpus=st.integers(0, 8),
    used=st.integers(0, 8),
    wishes=st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 9), max_size=4)), max_size=6),
)
def test_a_map_never_has_more_or_fewer_cells_than_gpus(gpus, used, wishes):
    jobs = [
        job(n, "RUNNING", gpus=size, devices=[f"n1:{index}" for index in indices])
        for n, (size, indices) in enumerate(wishes)
    ]
    node = {"node": "n1", "gpus": gpus, "used": used, "jobs": [row["id"] for row in jobs]}
    [found], _ = placed([node], jobs)
    assert len(found["cells"]) == gpus
    assert set(found["cells"]) <= {"", "?", *node["jobs"]}
    assert sum(map(bool, found["cells"])) >= min(gpus, used), "what the node says is in use is never shown as free"


def test_words_survive_rows_of_nulls(tmp_path):
    engine = Scripted(tmp_path, jobs=[{"id": "1", "state": "RUNNING"}], nodes=[{"node": "n1"}], projects=[{}])
    told = account.words(engine)
    assert told["totals"]["running"] == 1
    assert told["nodes"][0]["cells"] == []
    json.dumps(told)
