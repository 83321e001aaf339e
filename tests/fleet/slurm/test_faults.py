"""Nodes that die, processes that are killed, controllers that do not answer: nothing is lost, and it is said."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import private
from aifactory_lab.fleet.slurm import commands, snapshot
from tests.fleet import work
from tests.fleet.slurm.conftest import PATIENT, running, until


def power_off(job_id: str, slurmd: int, conf: Path) -> None:
    """Kill a node's daemon and all that is left of a job on it, as if at one moment."""
    mine = {process for process in psutil.process_iter() if _belongs(process, job_id, conf)}
    keepers = {parent for process in mine for parent in process.parents() if parent.name().startswith("slurmstepd")}
    assert len(keepers) == 2  # of the script and of the step: alive, they would report a job that failed
    everything = [psutil.Process(slurmd), *keepers, *mine]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in everything:
            process.send_signal(number)


def _belongs(process: psutil.Process, job_id: str, conf: Path) -> bool:
    """Tell whether a process is of this job, and of this Slurm: others on the machine count their jobs from 1 too."""
    try:
        told = process.environ()
    except psutil.Error:
        return False
    return (told.get("SLURM_CONF"), told.get("SLURM_JOB_ID")) == (str(conf), job_id)


def test_a_job_whose_node_dies_runs_again_on_another(fleet, slurm, slurm_says, tmp_path):
    steps = tmp_path / "steps"
    job = fleet.submit(work.Steps(str(steps), 40), gpus=2, project="vision", priority="interactive")
    until(lambda: job.attempts and steps.exists(), "the training does not begin")
    node = job.attempts[0]["node"]
    power_off(job.id, private.status(slurm.folder).processes[node], slurm.conf)
    try:
        slurm_says(f"scontrol update NodeName={node} State=DOWN Reason=test")
        states = fleet.nodes().filter(node=node)["state"].to_list()
        assert states == ["down"]
        assert job.wait(PATIENT) == "COMPLETED"
    finally:
        private.up(slurm.folder)
    assert job.attempts[-1]["node"] != node
    assert steps.read_text().split() == [str(step) for step in range(40)]
    until(lambda: set(fleet.nodes()["state"]) == {"idle"}, "the node does not come back")


def test_a_cancelled_job_is_not_taken_for_a_killed_one(fleet):
    job = fleet.submit(work.stay, 600, gpus=1, project="vision", retries=3)
    running(job)
    job.cancel()
    assert job.wait(PATIENT) == "CANCELLED"
    time.sleep(1)
    assert (job.state, len(job.attempts)) == ("CANCELLED", 1)


def test_each_job_of_a_map_is_started_again_by_itself(fleet, tmp_path):
    marks = [str(tmp_path / name) for name in ("one", "two")]
    jobs = fleet.map(work.die_once, marks, gpus=1, project="vision", priority="interactive", retries=1)
    assert [job.result(PATIENT) for job in jobs] == ["alive", "alive"]
    assert [len(job.attempts) for job in jobs] == [2, 2]


def test_a_controller_that_does_not_answer_is_named(fleet, slurm, monkeypatch):
    job = fleet.submit(work.add, 1, project="vision")
    job.result(PATIENT)
    until(lambda: not commands.run("squeue", "-h", conf=slurm.conf).strip(), "the job does not leave")
    os.kill(private.status(slurm.folder).processes["slurmctld"], signal.SIGKILL)
    snapshot.forget(slurm.conf)
    try:
        with pytest.raises(FleetError, match="does not answer") as caught:
            fleet.submit(work.add, 1, project="vision")
        assert "aifactory fleet up" in caught.value.mend
    finally:
        private.up(slurm.folder)
    snapshot.forget(slurm.conf, books=True)
    assert job.state == "COMPLETED"
    assert fleet.submit(work.add, 1, project="vision").result(PATIENT) == 2
