"""Gangs of real processes: who runs where, who is killed, who never comes; and what is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import cloudpickle
import distributed
import psutil
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet
from aifactory_lab.fleet.gang import Gang
from aifactory_lab.fleet.rendezvous import Rendezvous
from tests.fleet import ranks, work

LONG = 120


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    fleet = Fleet("workstation", folder=tmp_path_factory.mktemp("station"), gpus=4)
    yield fleet
    fleet.engine.stop()


@contextmanager
def rank(folder, number, ranks, function, options=None, *args, devices="", node=""):
    words = [str(folder), str(number), str(ranks), function, json.dumps(options or {}), *map(json.dumps, args)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": devices, "SLURMD_NODENAME": node or f"n{number}"}
    command = [sys.executable, "-m", "tests.fleet.ranks", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def answer(process):
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    return json.loads(out.strip().splitlines()[-1])


def left(session: int) -> list[int]:
    """Return the processes of a session that are alive."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def gone(session: int) -> bool:
    stop = time.monotonic() + LONG
    while left(session) and time.monotonic() < stop:
        time.sleep(0.1)
    return not left(session)


def test_between_machines_a_gang_speaks_tls_and_hears_nobody_without_its_key(tmp_path):
    """Who reaches a Dask scheduler runs code there, so on a network it must not be reached."""
    options, address = {"between": "127.0.0.2"}, "nothing yet"
    with (
        rank(tmp_path, 0, 2, "slowly", options, 20) as first,
        rank(tmp_path, 1, 2, "slowly", options, 20) as second,
    ):
        address = Rendezvous(tmp_path / "7_gang" / "0", 0, 2).address()
        assert address.startswith("tls://127.0.0.2:")
        with pytest.raises(OSError, match=r"closed|reset|Timed out|CommClosed"):
            distributed.Client(address.replace("tls", "tcp"), timeout=3, set_as_default=False)
        stranger = distributed.Security.temporary()
        with pytest.raises(OSError, match=r"closed|reset|Timed out|CommClosed|certificate"):
            distributed.Client(address, security=stranger, timeout=3, set_as_default=False)
        told = answer(first)
        answer(second)
    assert told["modes"]["key.json"] == 0o600
    assert told["hosts"] == ["n0", "n1"]
    assert {host for host, _ in told["doors"]} == {"127.0.0.1", "127.0.0.2"}


def test_two_ranks_share_the_tasks_over_all_their_gpus_and_leave_nothing(tmp_path):
    options = {"gpus": 2}
    with (
        rank(tmp_path, 0, 2, "where", options, 8, devices="2,5") as first,
        rank(tmp_path, 1, 2, "where", options, 8, devices="0,1") as second,
    ):
        shares = Counter(tuple(place) for place in answer(first))
        assert answer(second) is None
    assert set(shares) == {("n0", "2"), ("n0", "5"), ("n1", "0"), ("n1", "1")}
    assert list(tmp_path.iterdir()) == []
    assert gone(first.pid)
    assert gone(second.pid)


def test_without_gpus_there_is_a_worker_for_each_core_of_the_order_and_it_sees_no_gpu(tmp_path):
    with rank(tmp_path, 0, 1, "where", {"cpus": 2}, 4, devices="3") as alone:
        assert {tuple(place) for place in answer(alone)} == {("n0", "")}
    with rank(tmp_path, 0, 1, "wrong", {"cpus": 2}) as alone:
        assert "ValueError: 2 workers and no idea" in alone.communicate(timeout=LONG)[1]
    assert gone(alone.pid)


def test_a_killed_worker_is_started_again_and_the_answer_is_the_same(tmp_path):
    with rank(tmp_path, 0, 1, "squares", {"cpus": 2}, str(tmp_path), 20) as alone:
        while not (marks := list(tmp_path.glob("pid-*"))):
            time.sleep(0.05)
        os.kill(int(marks[0].name.partition("-")[2]), signal.SIGKILL)
        assert answer(alone) == sum(x * x for x in range(20))
    assert len(list(tmp_path.glob("pid-*"))) >= 2


def test_a_rank_that_dies_ends_the_gang_with_an_error_and_no_process_stays(tmp_path):
    options = {"cpus": 1, "lost_after": 1.0}
    with (
        rank(tmp_path, 0, 2, "squares", options, str(tmp_path), 500) as first,
        rank(tmp_path, 1, 2, "squares", options, str(tmp_path), 500) as second,
    ):
        while len(list(tmp_path.glob("pid-*"))) < 2:
            time.sleep(0.05)
        os.kill(second.pid, signal.SIGKILL)
        _, err = first.communicate(timeout=LONG)
        assert gone(second.pid), "the workers of a killed rank die with it"
    assert first.returncode != 0
    assert "FleetError: 1 of 2 workers were lost and have not come back" in err
    assert gone(first.pid)


def test_followers_end_when_rank_0_is_killed(tmp_path):
    with (
        rank(tmp_path, 0, 2, "squares", None, str(tmp_path), 500) as first,
        rank(tmp_path, 1, 2, "squares", None, str(tmp_path), 500) as second,
    ):
        while len(list(tmp_path.glob("pid-*"))) < 2:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        second.communicate(timeout=LONG)
        assert gone(first.pid)
    assert gone(second.pid)


def test_a_gang_on_the_workstation_has_the_gpus_that_it_was_given(station):
    holding = station.submit(work.stay, 8.0, gpus=1)
    job = station.gang(ranks.where, 6, gpus=2)
    shares = job.result(LONG)
    held, _, _ = holding.result(LONG)
    assert len({tuple(place) for place in shares}) == 2
    assert not {device for _, device in shares} & set(held)
    assert [attempt["rank"] for attempt in job.attempts] == [0]
    assert not list(station.engine.folder.glob("*_gang"))


def test_what_a_gang_raises_is_the_job_s_error(station):
    with pytest.raises(FleetError, match="ValueError: 2 workers and no idea"):
        station.gang(ranks.wrong, cpus=2).result(LONG)


def test_a_gang_on_slurm_spans_nodes(slurm):
    fleet = Fleet("slurm", folder=slurm.folder)
    job = fleet.gang(ranks.where, 16, gpus=4, nodes=2, project="vision")
    shares = Counter(tuple(place) for place in job.result(LONG))
    nodes = {node for node, _ in shares}
    assert len(nodes) == 2
    assert set(shares) == {(node, device) for node in nodes for device in "01"}
    assert sum(shares.values()) == 16
    assert {(attempt["node"], attempt["rank"]) for attempt in job.attempts} == set(
        zip(sorted(nodes), (0, 1), strict=True)
    )


def test_a_rank_that_never_comes_is_named(tmp_path):
    meeting = Rendezvous(tmp_path, 0, 3, patience=0.3)
    meeting.come()
    Rendezvous(tmp_path, 2, 3).come()
    with pytest.raises(FleetError, match=r"rank 1 of 3 did not come within 0\.3 s"):
        meeting.everybody()
    with pytest.raises(FleetError, match="rank 0 left no address"):
        Rendezvous(tmp_path, 1, 3, patience=0.1).address()


def test_trouble_on_one_rank_is_told_by_rank_0_at_once(tmp_path):
    with rank(tmp_path, 1, 3, "where", {"gpus": 2}, 1, devices="0") as second:
        assert "asked for 2 GPUs on each node and was given 1: 0" in second.communicate(timeout=LONG)[1]
    first = Rendezvous(tmp_path / "7_gang" / "0", 0, 3)
    first.come()
    with pytest.raises(FleetError, match=r"rank 1 on .*: the job asked for 2 GPUs"):
        first.everybody()


def test_a_gang_can_be_pickled_with_what_it_calls():
    again = cloudpickle.loads(cloudpickle.dumps(Gang(lambda _, x: x, (1,), {"y": 2}, gpus=4)))
    assert (again.args, again.kwargs, again.gpus) == ((1,), {"y": 2}, 4)
