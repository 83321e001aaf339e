"""The fleet on the private Slurm, empty before each test and after it."""

import getpass
from functools import partial

import pytest

from aifactory_lab.fleet import Fleet
from aifactory_lab.fleet.slurm import commands, snapshot
from tests.fleet import patience

PATIENT = 120.0  # seconds
until = partial(patience.until, seconds=PATIENT)
running = partial(patience.running, seconds=PATIENT)


@pytest.fixture
def fleet(slurm):
    """A fleet on the plant of 4 nodes of 2 GPUs, whose projects vision and nlp may claim 4 each."""
    fleet = Fleet("slurm", folder=slurm.folder)
    yield fleet
    conf = fleet.engine.conf
    for kind in (["--state=PENDING"], ["--full", "--signal=KILL"]):  # killed: ends at once; cancelled: after KillWait
        commands.run("scancel", f"--user={getpass.getuser()}", *kind, conf=conf)
    until(lambda: not commands.run("squeue", "-h", conf=conf).strip(), "jobs are left over")
    snapshot.forget(conf, books=True)


@pytest.fixture
def slurm_says(slurm):
    """Run one of Slurm's own commands on the plant: the tests' second opinion, and its administrator."""

    def say(line: str) -> str:
        told = commands.run(*line.split(), conf=slurm.conf)
        snapshot.forget(slurm.conf, books=line.startswith("sacctmgr"))
        return told

    return say


def waiting(job, reason: str) -> str:
    """Wait until Slurm gives a job this reason, and return the sentence about it."""
    until(lambda: reason_of(job).startswith(reason), f"job {job.id} never waits for {reason}")
    return job.explain()


def reason_of(job) -> str:
    engine = job._engine
    run = snapshot.look(engine.conf).by_id.get(job.id)
    return run.reason if run and run.pending else ""
