"""`aifactory fleet …` on a real Slurm: what one reads in a terminal, and what it says when something is wrong."""

import os
import re
from functools import partial

import pytest
from typer.testing import CliRunner

from aifactory_lab import doctor
from aifactory_lab.cli import app
from aifactory_lab.fleet import Fleet, private
from tests.fleet import patience, work

until = partial(patience.until, seconds=90.0)
PRETEND = "pretend GPUs: counted, nothing behind them"


def fleet(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["fleet", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def home(slurm, monkeypatch):
    """The plant's folder, as a user has it in the environment."""
    monkeypatch.setenv("AIFACTORY_FLEET", str(slurm.folder))
    monkeypatch.setenv("COLUMNS", "200")
    return slurm


@pytest.fixture
def waiting(home):
    """A job that runs, and one that must wait for it."""
    sent = Fleet("slurm", folder=home.folder)
    options = {"gpus": 4, "nodes": 2, "project": "nlp", "priority": "interactive"}
    jobs = [sent.submit(work.stay, 600, name=name, **options) for name in ("first", "second")]
    until(lambda: jobs[0].state == "RUNNING", "the first does not run")
    until(lambda: "has not looked at it" not in jobs[1].explain(), "Slurm does not look at the second")
    yield jobs
    for job in jobs:
        job.cancel()
    sent.wait(jobs, timeout=120)


def test_up_and_status_say_what_is_here(home):
    told = fleet("up")
    assert told.startswith(f"up: 4 nodes of 2 GPUs and 8 CPUs each ({PRETEND})\n")
    assert "vision may claim 4, nlp may claim 4 of 8 GPUs" in told
    assert f"export SLURM_CONF={home.conf}" in told
    told = fleet("status")
    for name, pid in private.status(home.folder).processes.items():  # other tests killed some
        assert re.search(rf"^{name} +{pid} ", told, re.MULTILINE), told
    assert PRETEND in fleet("status")


def test_tables_name_the_engine_and_what_is_pretended(home, waiting):
    told = fleet("jobs")
    assert re.search(rf"{waiting[0].id} +first +nlp ", told)
    assert "PENDING" in told
    assert re.search(r"nlp +4 +4 ", fleet("projects"))
    assert re.search(r"^n1 ", fleet("nodes"), re.MULTILINE)
    assert "gpu_hours" in fleet("usage", "--since", "1h")
    for table in ("jobs", "projects", "nodes", "usage"):
        assert fleet(table).splitlines()[-1].endswith(PRETEND)
        assert "the private Slurm" in fleet(table)


def test_a_job_is_explained_cancelled_and_read(waiting):
    first, second = waiting
    sentence = fleet("explain", second.id)
    assert sentence.count("\n") == 1
    assert "nlp" in sentence
    fleet("cancel", second.id)
    assert second.wait(timeout=120) == "CANCELLED"
    until(lambda: "Starting" in fleet("logs", first.id), "it writes nothing")
    first.cancel()
    assert "Starting" in fleet("logs", "--follow", first.id)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["explain", "99999"], "there is no job '99999'"),
        (["jobs", "--since", "yesterday"], "'yesterday' is not a span of time"),
        (["jobs", "--engine", "kubernetes"], "unknown engine 'kubernetes'"),
        (["up", "--project", "vision"], "'vision' is not a project with its quota"),
        (["up", "--project", "vision=99"], "project vision cannot claim 99 of 8 GPUs"),
        (["up", "--nodes", "0"], "nodes must be 1 or more"),
        (["up", "--nodes", "3"], "a plant of 4 nodes"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("home")
def test_a_mistake_is_one_message_with_its_mend(words, says):
    told = fleet(*words, code=2)
    assert f"aifactory: {says}" in told
    assert "\n  mend: " in told
    assert "Traceback" not in told


def test_without_a_plant_status_and_down_say_so(tmp_path):
    assert fleet("status", "--folder", str(tmp_path), code=1) == "no private Slurm is here\n"
    assert fleet("down", "--folder", str(tmp_path)) == "no private Slurm is here\n"
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_finds_the_slurm_and_leaves_the_environment(home, monkeypatch):
    for name in ("SLURM_CONF", "AIFACTORY_SLURM_CONF"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    finding = next(finding for finding in doctor.checkup().findings if finding.what == "slurm")
    assert (finding.state, finding.found) == ("ok", f"the private Slurm in {home.folder / 'slurm'} answers")
    assert dict(os.environ) == before
