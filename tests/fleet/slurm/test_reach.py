"""Which Slurm answers, and why none does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, engines
from aifactory_lab.fleet.slurm import commands
from aifactory_lab.fleet.slurm.reach import reach


@pytest.fixture
def alone(monkeypatch):
    """No Slurm that somebody else has put into the environment."""
    for name in ("SLURM_CONF", "AIFACTORY_SLURM_CONF"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_the_private_one_of_the_folder_is_found_and_named_to_slurms_own_commands(slurm, alone):
    found = reach(slurm.folder)
    assert (found.answers, found.private, found.conf) == (True, True, slurm.conf)
    assert os.environ["SLURM_CONF"] == str(slurm.conf)
    assert subprocess.run(["scontrol", "ping"], capture_output=True, check=True).stdout
    assert engines.choose("auto", slurm.folder).name == "slurm"
    assert Fleet("slurm", folder=slurm.folder).engine.pretend


def test_a_slurm_that_the_environment_names_comes_first(slurm, alone, monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    found = reach(tmp_path)
    assert (found.answers, found.private, found.conf) == (True, False, slurm.conf)
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "gone.conf"))
    assert "gone.conf: there is no such file" in reach(tmp_path).reason
    assert reach(slurm.folder).private


def test_the_private_one_of_another_folder_is_not_taken_for_this_machines(slurm, alone, tmp_path):
    assert reach(slurm.folder).answers
    assert not reach(tmp_path).answers
    with pytest.raises(FleetError, match="no Slurm answers") as caught:
        Fleet("slurm", folder=tmp_path)
    assert caught.value.mend == "aifactory fleet up"
    assert engines.choose("auto", tmp_path).name == "workstation"


def test_a_machine_without_slurm_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert reach(tmp_path).reason == "sbatch and srun are not installed"
    with pytest.raises(FleetError, match="squeue is not installed") as caught:
        commands.run("squeue")
    assert "make system-deps" in caught.value.mend


def test_own_formats_of_a_user_change_nothing(slurm, monkeypatch):
    monkeypatch.setenv("SQUEUE_FORMAT", "%i")
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    monkeypatch.setenv("SACCT_FORMAT", "JobID")
    fleet = Fleet("slurm", folder=slurm.folder)
    assert fleet.nodes()["gpus"].sum() == 8
    assert fleet.jobs().columns[0] == "id"


def test_the_room_opens_without_slurm(tmp_path):
    code = "import aifactory_lab.fleet.slurm.engine, sys; print('submitit' in sys.modules)"
    command, root = [sys.executable, "-c", code], Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "said",
    [
        "slurm_load_jobs error: Connection reset by peer",  # killed while it answered
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
    ],
)
def test_a_controller_that_died_while_it_was_asked_is_one_that_does_not_answer(said, monkeypatch, tmp_path):
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(FleetError, match="does not answer"):
        commands.run("squeue")
