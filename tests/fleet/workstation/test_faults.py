"""What is killed in the middle: the engine, a job while none watches, a notebook; nothing is lost or run twice."""

import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, frames
from aifactory_lab.fleet.workstation.records import Ledger
from tests.fleet import work
from tests.fleet.patience import PATIENT, running, until
from tests.fleet.test_contract import ROOT


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet("workstation", folder=tmp_path, gpus=2)
    yield fleet
    for row in fleet.jobs().filter(~_ended()).iter_rows(named=True):
        fleet.attach(row["id"]).cancel()
    until(lambda: fleet.jobs().filter(~_ended()).is_empty(), "jobs are left over")
    fleet.engine.stop()


def _ended():
    import polars as pl

    return pl.col("state").is_in(list(frames.ENDED))


def kill_engine(fleet) -> int:
    pid = json.loads((fleet.engine.folder.parents[1] / "workstation" / "engine.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(30)
    return pid


def test_a_killed_engine_loses_nothing_and_runs_nothing_twice(fleet, tmp_path):
    held = fleet.submit(work.Steps(str(tmp_path / "steps"), 120), gpus=1)
    running(held)
    waiting = [fleet.submit(work.stay, 0.2, gpus=2, name=f"late{index}") for index in range(2)]
    follower = fleet.submit(work.add, 1, after=[waiting[1]])
    kill_engine(fleet)
    assert held.state == "RUNNING"  # to ask is to start a new engine
    single = fleet.submit(work.stay, 0.2, gpus=1)
    assert held.result(PATIENT) == 120
    assert (tmp_path / "steps").read_text().split() == [str(step) for step in range(120)]
    assert len(held.attempts) == 1
    spans = [job.result(PATIENT) for job in waiting]
    assert spans[0][2] <= spans[1][1]  # in the order in which they were sent
    assert single.result(PATIENT)[1] >= spans[1][1]  # nobody overtakes
    assert follower.result(PATIENT) == 2
    assert all(len(job.attempts) == 1 for job in [*waiting, follower, single])


def test_what_ended_while_no_engine_watched_is_known(fleet, tmp_path):
    ends, dies, again = (
        fleet.submit(work.stay, 6.0, name="ends"),
        fleet.submit(work.stay, 600, gpus=1, name="dies"),
        fleet.submit(work.die_later, str(tmp_path / "mark"), gpus=1, retries=1, name="again"),
    )
    running(ends, dies, again)
    kill_engine(fleet)
    for job in (dies, again):
        os.kill(job.attempts[0]["pid"], signal.SIGKILL)
    until(lambda: not psutil.pid_exists(ends.attempts[0]["pid"]), "the job does not end by itself")
    assert ends.wait(PATIENT) == "COMPLETED"
    assert again.result(PATIENT) == "alive"
    assert len(again.attempts) == 2
    assert dies.wait(PATIENT) == "FAILED"
    assert "was killed while no engine watched; retries=0" in dies.explain()


def test_several_notebooks_that_find_it_dead_start_one(fleet, tmp_path):
    assert fleet.submit(work.add, 0).result(PATIENT) == 1
    kill_engine(fleet)
    code = (
        "from aifactory_lab.fleet import Fleet; from tests.fleet import work\n"
        f"fleet = Fleet('workstation', folder={str(tmp_path)!r})\n"
        "print(fleet.submit(work.add, 1).result(120))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [process.communicate(timeout=PATIENT)[0].strip() for process in started] == ["2"] * 3
    own = str(tmp_path)
    engines = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"aifactory_lab.fleet.workstation", own} <= set(process.info["cmdline"] or ())
    ]
    assert len(engines) == 1
    assert fleet.jobs()["id"].to_list() == ["4", "3", "2", "1"]


def test_time_that_is_up_ends_a_job(fleet):
    job = fleet.submit(work.stay, 600, gpus=1, hours=10 / 3600)
    assert job.wait(PATIENT) == "TIMEOUT"
    assert not psutil.pid_exists(job.attempts[0]["pid"])
    with pytest.raises(FleetError, match="TIMEOUT after"):
        job.result()


def test_a_cancelled_parent_takes_its_children_with_it(fleet):
    job = fleet.submit(work.parent, gpus=1)
    running(job)
    child = until(lambda: re.findall(r"^(\d+)$", job.logs(), re.MULTILINE), "no child")[0]
    assert psutil.pid_exists(int(child))
    job.cancel()
    assert job.wait(PATIENT) == "CANCELLED"
    until(lambda: not psutil.pid_exists(int(child)), "the child lives on")


def test_the_secrets_of_a_sender_are_the_owners(fleet, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    job = fleet.submit(work.environment, "MY_TOKEN")
    assert job.result(PATIENT) == "hunter2"
    folder = fleet.engine.folder
    assert folder.stat().st_mode & 0o077 == 0
    holding = [path for path in folder.iterdir() if b"hunter2" in path.read_bytes()]
    assert [path.name for path in holding if not path.name.endswith("_result.pkl")] == [f"{job.id}_environment.json"]
    assert holding[0].stat().st_mode & 0o077 == 0 or holding[1].stat().st_mode & 0o077 == 0
    assert "hunter2" not in job.logs()


def test_the_engine_hears_only_who_has_its_key(fleet):
    import socket

    assert fleet.submit(work.add, 0).result(PATIENT) == 1
    home = fleet.engine.folder.parents[1] / "workstation"
    note = json.loads((home / "engine.json").read_text())
    assert (home / "engine.json").stat().st_mode & 0o077 == 0
    with socket.create_connection(("127.0.0.1", note["port"])) as stranger:
        stranger.sendall(b'["stop"]')
    listening = [line.laddr for line in psutil.Process(note["pid"]).net_connections() if line.status == "LISTEN"]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert fleet.submit(work.add, 1).result(PATIENT) == 2


def test_what_the_engine_counts_is_counted_by_all(fleet, tmp_path):
    early = Fleet("workstation", folder=tmp_path, gpus=3)  # nothing runs yet: who sends first decides
    assert fleet.submit(work.add, 1).result(PATIENT) == 2
    with pytest.raises(FleetError, match="counts 2 GPUs, not 3"):
        early.submit(work.add, 1)
    with pytest.raises(FleetError, match="counts 2 GPUs, not 3") as caught:
        Fleet("workstation", folder=tmp_path, gpus=3)
    assert "gpus=2" in caught.value.mend
    assert Fleet("workstation", folder=tmp_path).engine.gpus == 2
    assert fleet.engine.pretend
    assert "pretend GPUs" in repr(fleet)
    assert "need Slurm" in fleet.engine.limits


def test_an_engine_that_cannot_start_says_why(tmp_path):
    lock = tmp_path / "workstation"
    lock.mkdir()
    (lock / "engine.lock").mkdir()
    fleet = Fleet("workstation", folder=tmp_path, gpus=1)
    with pytest.raises(FleetError, match="did not start") as caught:
        fleet.submit(work.add, 1)
    assert fleet.jobs().is_empty()
    assert "IsADirectoryError" in str(caught.value)
    assert "engine.log" in caught.value.mend


def test_ids_are_counted_across_processes(tmp_path):
    code = (
        "import sys; from pathlib import Path; from aifactory_lab.fleet.orders import Order\n"
        "from aifactory_lab.fleet.workstation.records import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for _ in range(40): ledger.add(Order(name='a'), {})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT) for _ in range(3)]
    assert [process.wait(PATIENT) for process in started] == [0, 0, 0]
    assert [record.id for record in Ledger(tmp_path).all()] == [str(number) for number in range(1, 121)]


def test_submitits_own_door_leads_to_the_same_queue(monkeypatch, fleet, tmp_path):
    import submitit

    monkeypatch.setenv("AIFACTORY_FLEET", str(tmp_path))
    executor = submitit.AutoExecutor(folder=fleet.engine.folder, cluster="workstation")
    executor.update_parameters(timeout_min=5)
    job = executor.submit(work.add, 4)
    assert fleet.attach(job.job_id).result(PATIENT) == 5
    assert until(job.done, "submitit's own job ends")
    assert job.result() == 5
