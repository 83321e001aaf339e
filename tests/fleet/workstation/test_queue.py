"""Whose turn it is on a workstation: who goes first, who waits for whom, who gives way, and what nobody may block."""

import json
import os
import signal
import socket
from dataclasses import replace
from itertools import pairwise

import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet
from aifactory_lab.fleet.births import birth
from aifactory_lab.fleet.workstation.records import Ledger
from tests.fleet import work
from tests.fleet.patience import PATIENT, running, until
from tests.fleet.workstation import tasks
from tests.fleet.workstation.test_faults import kill_engine


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet("workstation", folder=tmp_path_factory.mktemp("queue"), gpus=2)
    yield fleet
    fleet.engine.stop()


@pytest.fixture
def gate(tmp_path):
    """A file that lets jobs go which wait for it; they go at the latest when the test is over."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


def test_a_training_that_is_asked_gives_way_and_goes_on_afterwards(fleet, gate):
    training = fleet.submit(tasks.Lap(str(gate)), gpus=2)
    running(training)
    answer = fleet.submit(tasks.hold, gpus=2, priority="inference")
    later = fleet.submit(tasks.hold, gpus=2)
    assert answer.state == "PENDING"
    os.kill(training.attempts[-1]["pid"], signal.SIGUSR2)
    first = answer.result(PATIENT)
    gate.touch()
    laps, ended = training.result(PATIENT)
    assert laps == len(training.attempts) == 2
    assert first[2] <= ended <= later.result(PATIENT)[1]  # its turn among its like is where it was


def test_a_word_to_hand_over_that_comes_too_early_costs_nothing(fleet):
    job = fleet.submit(tasks.hold, seconds=0.5)
    pid = until(lambda: fleet.engine.ledger.load(job.id).pid, "no process")
    os.kill(pid, signal.SIGUSR2)  # before submitit hears it: Python is just starting
    assert job.result(PATIENT)[0] == []
    assert fleet.engine.ledger.load(job.id).kills == 0


def test_a_map_has_as_many_at_work_as_it_may(fleet, gate):
    held, *others = fleet.map(tasks.hold, [str(gate), "", "", ""], at_most=2)
    spans = [job.result(PATIENT) for job in others]  # they end while the first still runs
    assert held.state == "RUNNING"
    assert all(one[2] <= other[1] for one, other in pairwise(spans))
    gate.touch()
    assert held.result(PATIENT)[2] >= spans[-1][2]


def test_a_job_without_gpus_does_not_stand_behind_those_that_wait_for_some(fleet, gate):
    one = fleet.submit(tasks.hold, str(gate), gpus=1)
    running(one)
    both = fleet.submit(tasks.hold, gpus=2)
    assert fleet.submit(work.add, 1).result(PATIENT) == 2
    assert (one.state, both.state) == ("RUNNING", "PENDING")
    told = both.explain()
    assert f"job {both.id} (hold) waits for 2 GPUs: 1 of 2 is free, and job {one.id} (hold, default) ends in" in told
    assert "need Slurm: aifactory fleet up" in told
    gate.touch()
    both.result(PATIENT)


def test_a_cancelled_job_takes_those_with_it_that_were_to_come_after(fleet, gate):
    holds = fleet.submit(tasks.hold, str(gate), gpus=2)
    running(holds)
    waits = fleet.submit(tasks.hold, gpus=1)
    after = fleet.submit(tasks.hold, after=[waits])
    assert after.explain() == f"job {after.id} (hold) waits for job {waits.id}, which is PENDING, to succeed"
    waits.cancel()
    assert waits.state == "CANCELLED"  # at once: nobody waits for its turn
    assert after.wait(PATIENT) == "CANCELLED"
    assert f"job {waits.id} is CANCELLED, and this job was to come after it" in after.explain()
    assert holds.state == "RUNNING"


def test_a_caller_who_says_nothing_keeps_nobody_waiting(fleet):
    note = json.loads((fleet.engine.folder.parents[1] / "workstation" / "engine.json").read_text())
    with socket.create_connection(("127.0.0.1", note["port"])):
        assert fleet.submit(work.add, 1).result(PATIENT) == 2


def test_what_a_killed_job_leaves_behind_loses_its_gpus(fleet, tmp_path):
    job = fleet.submit(tasks.leave_a_child, str(tmp_path / "child"), gpus=2)
    assert job.wait(PATIENT) == "FAILED"
    assert not birth(int((tmp_path / "child").read_text()))


def test_a_process_that_an_engine_started_with_its_last_breath_is_found(fleet, gate):
    job = fleet.submit(tasks.hold, str(gate), gpus=2)
    running(job)
    kill_engine(fleet)
    ledger = fleet.engine.ledger
    ledger.save(replace(ledger.load(job.id), state="PENDING", pid=0, born=""))  # it had not written the number down
    other = fleet.submit(tasks.hold, gpus=1)
    assert until(lambda: job.state == "RUNNING", "it is not found")
    assert other.state == "PENDING"
    gate.touch()
    assert job.result(PATIENT)[2] <= other.result(PATIENT)[1]
    assert len(job.attempts) == 1


def test_a_job_that_went_down_with_the_machine_is_started_again(fleet, gate):
    job = fleet.submit(tasks.hold, str(gate), gpus=1)  # retries=0: nobody killed it
    running(job)
    kill_engine(fleet)
    os.kill(job.attempts[0]["pid"], signal.SIGKILL)
    ledger = fleet.engine.ledger
    ledger.save(replace(ledger.load(job.id), born="an-earlier-boot:4711"))
    gate.touch()
    assert job.result(PATIENT)[0] == ["0"]
    assert len(job.attempts) == 2


def test_a_job_that_cannot_be_started_or_says_nothing_fails_in_words(fleet, monkeypatch):
    silent = fleet.submit(tasks.leave, 3)
    with monkeypatch.context() as patch:
        patch.setenv("TOO_LONG", "x" * 200_000)  # a single variable may have 128 KiB
        never = fleet.submit(work.add, 1)
    assert never.wait(PATIENT) == "FAILED"
    assert "it could not be started: OSError" in never.explain()
    assert silent.wait(PATIENT) == "FAILED"
    assert "ended with code 3 and left no result" in silent.explain()


@pytest.mark.parametrize(
    ("options", "says", "mend"),
    [
        ({"gpus": 3}, "3 GPUs", "gpus=2"),
        ({"nodes": 2}, "one node", "aifactory fleet up"),
        ({"after": ["99"]}, "99", "fleet.jobs()"),
    ],
)
def test_what_this_machine_has_not_is_refused_at_once(fleet, options, says, mend):
    with pytest.raises(FleetError, match=says) as caught:
        fleet.submit(work.add, 1, **options)
    assert mend in caught.value.mend


def test_no_record_is_written_over_when_the_counter_is_lost(tmp_path):
    from aifactory_lab.fleet.orders import Order

    ledger = Ledger(tmp_path)
    for name in ("a", "b"):
        ledger.add(Order(name=name), {})
    (tmp_path / "counter").unlink()
    assert ledger.add(Order(name="c"), {}).id == "3"
    assert [record.order.name for record in ledger.all()] == ["a", "b", "c"]
