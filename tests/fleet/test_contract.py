"""What every engine with a queue keeps: the same jobs, the same answers, on a workstation and on a real Slurm."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, frames
from tests.fleet import work
from tests.fleet.patience import PATIENT, running, until

ROOT = Path(__file__).parents[2]


@dataclass
class Bench:
    """A fleet of four GPUs for one project, on one node or on two."""

    fleet: Fleet
    folder: Path
    nodes: int

    def options(self, gpus: int = 1) -> dict:
        """Jobs that stay in the quota: nobody takes their GPUs back."""
        spread = self.nodes if gpus == 4 else 1
        return {"gpus": gpus, "nodes": spread, "project": "vision", "priority": "interactive"}

    def submit(self, fn, *args, gpus: int = 1, **options):
        return self.fleet.submit(fn, *args, **{**self.options(gpus), **options})

    def elsewhere(self, code: str) -> subprocess.CompletedProcess:
        """Run code in another process, with a fleet like this one in it."""
        name = self.fleet.engine.name
        head = f"from aifactory_lab.fleet import Fleet\nfleet = Fleet({name!r}, folder={str(self.folder)!r}, gpus=4)\n"
        command = [sys.executable, "-c", head + textwrap.dedent(code)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENT, check=False)


@pytest.fixture(scope="module", params=["workstation", "slurm"])
def bench(request, tmp_path_factory):
    if request.param == "slurm":
        plant = request.getfixturevalue("slurm")
        yield Bench(Fleet("slurm", folder=plant.folder), plant.folder, nodes=2)
    else:
        folder = tmp_path_factory.mktemp("workstation")
        fleet = Fleet("workstation", folder=folder, gpus=4)
        yield Bench(fleet, folder, nodes=1)
        fleet.engine.stop()


def test_a_function_returns_and_its_words_are_kept(bench):
    job = bench.submit(work.add, 40, right=2)
    spoken = bench.submit(work.say, "one", "two")
    assert job.result(PATIENT) == 42
    assert until(lambda: job.state == "COMPLETED", "a job that returned has ended")
    assert (job.done, len(job.attempts)) == (True, 1)
    assert list(spoken.logs(follow=True))[-1] != ""
    assert re.search(r"^one\ntwo$", spoken.logs(), re.MULTILINE)
    assert spoken.result(PATIENT) == "two"


def test_an_error_comes_back_with_its_traceback(bench):
    job = bench.submit(work.boom, "four")
    with pytest.raises(FleetError, match="ValueError: four is wrong") as caught:
        job.result(PATIENT)
    assert "work.py" in str(caught.value)
    assert until(lambda: job.state == "FAILED", "a job whose function raised has failed")


def test_jobs_queue_beyond_capacity_on_gpus_of_their_own(bench):
    jobs = [bench.submit(work.stay, 5.0) for _ in range(3)] + [bench.submit(work.stay, 0.5, gpus=2) for _ in range(2)]
    running(*jobs[:3])
    waiting = [job for job in jobs if job.state == "PENDING"]
    assert waiting
    sentence = waiting[-1].explain()
    assert "\n" not in sentence
    assert "GPU" in sentence
    told = bench.fleet.jobs().filter(pl.col("id").is_in([job.id for job in jobs]))
    assert set(told["state"]) == {"RUNNING", "PENDING"}
    assert bench.fleet.nodes()["used"].sum() >= 3
    project = bench.fleet.projects().row(by_predicate=pl.col("project") == "vision", named=True)
    assert project["used"] >= 3
    assert project["waiting"] >= 2
    spans = [job.result(PATIENT) for job in jobs]
    assert [len(ids) for ids, _, _ in spans] == [1, 1, 1, 2, 2]
    places = [(job.attempts[0]["node"], span) for job, span in zip(jobs, spans, strict=True)]
    for index, (node, (ids, began, ended)) in enumerate(places):
        for other, (others, start, stop) in places[:index]:
            assert node != other or not set(ids) & set(others) or stop <= began or ended <= start, places


def test_what_answers_people_goes_before_what_trains(bench):
    first = bench.submit(work.stay, 5.0, gpus=4)
    running(first)
    later = [bench.submit(work.stay, 0.1, gpus=4, priority=priority) for priority in ("interactive", "inference")]
    began = [job.result(PATIENT)[1] for job in later]
    assert began[1] < began[0]


def test_a_map_keeps_its_bound_and_its_order(bench):
    jobs = bench.fleet.map(work.stay, [0.5, 0.51, 0.52, 0.53, 0.54], at_most=2, **bench.options())
    spans = [job.result(PATIENT) for job in jobs]
    assert all(stop - start >= 0.5 for _, start, stop in spans)
    for _, start, _ in spans:
        assert sum(began <= start < stop for _, began, stop in spans) <= 2
    assert len({job.id for job in jobs}) == 5
    assert bench.fleet.map(work.add, []) == []


def test_a_job_waits_for_another_and_never_starts_after_a_failed_one(bench):
    first = bench.submit(work.stay, 0.5)
    second = bench.submit(work.stay, 0.1, after=[first])
    assert first.result(PATIENT)[2] <= second.result(PATIENT)[1]
    bad = bench.submit(work.boom, "this")
    never = bench.submit(work.add, 1, after=[bad.id])
    assert never.wait(PATIENT) in {"CANCELLED", "FAILED"}
    assert never.attempts == []
    assert bad.id in never.explain()


def test_a_killed_process_is_started_again_as_often_as_was_asked(bench, tmp_path):
    again = bench.submit(work.die_once, str(tmp_path / "mark"), retries=1)
    never = bench.submit(work.die_once, str(tmp_path / "other"))
    assert again.result(PATIENT) == "alive"
    assert len(again.attempts) == 2
    with pytest.raises(FleetError, match="returned nothing"):
        never.result(PATIENT)
    assert len(never.attempts) == 1


def test_a_preempted_training_goes_on_where_it_was(bench, tmp_path):
    job = bench.submit(work.Steps(str(tmp_path / "steps"), 40))
    until(lambda: job.attempts and (tmp_path / "steps").exists(), "the training does not begin")
    os.kill(job.attempts[-1]["pid"], signal.SIGUSR2)
    assert job.result(PATIENT) == 40
    assert (tmp_path / "steps").read_text().split() == [str(step) for step in range(40)]
    assert len(job.attempts) == 2


def test_cancelled_jobs_free_their_place(bench):
    held = bench.submit(work.stay, 600, gpus=4)
    running(held)
    waiting = bench.submit(work.stay, 600)
    waiting.cancel()
    held.cancel()
    assert [held.wait(PATIENT), waiting.wait(PATIENT)] == ["CANCELLED", "CANCELLED"]
    with pytest.raises(FleetError, match="CANCELLED"):
        held.result(PATIENT)
    held.cancel()
    assert bench.submit(work.add, 1, gpus=4).result(PATIENT) == 2


def test_a_job_outlives_who_sent_it_and_is_found_by_its_id(bench):
    sent = bench.elsewhere(f"""
        import os
        from tests.fleet import work
        options = {bench.options()!r}
        job = fleet.submit(work.stay, 1.0, name="orphan", **options)
        print(job.id, flush=True)
        os.kill(os.getpid(), 9)
    """)
    assert sent.returncode == -signal.SIGKILL, sent.stderr
    job = bench.fleet.attach(sent.stdout.strip())
    assert job.order.name == "orphan"
    assert len(job.result(PATIENT)[0]) == 1
    found = bench.elsewhere(f"print(len(fleet.attach({job.id!r}).result(60)[0]))")
    assert found.stdout.strip() == "1", found.stderr


def test_hours_are_accounted_for(bench):
    bench.submit(work.stay, 0.5, gpus=2).result(PATIENT)
    used = until(lambda: bench.fleet.usage("1h").filter(pl.col("gpu_hours") > 0).rows(named=True), "no GPU-hours")
    assert "vision" in {row["project"] for row in used}  # a Slurm may have been used by other tests before
    assert bench.fleet.usage("1h").schema == pl.Schema(frames.USAGE)
    assert bench.fleet.jobs().schema == pl.Schema(frames.JOBS)


@pytest.mark.parametrize(
    ("options", "says", "mend"),
    [
        ({"gpus": 64}, "64 GPUs", "gpus="),
        ({"gpus": 1, "after": ["4711"]}, "4711", "fleet.jobs()"),
        ({"gpus": 3, "nodes": 2}, "3 GPUs do not spread evenly over 2 nodes", "gpus=4, nodes=2"),
        ({"priority": "urgent"}, "priority 'urgent'", "train"),
        ({"hours": 0}, "hours", "hours=1"),
        ({"retries": -1}, "retries", "retries=0"),
        ({"name": "a b"}, "'a b'", "name="),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_can_never_start_is_refused_when_it_is_sent(bench, options, says, mend):
    before = len(bench.fleet.jobs())
    with pytest.raises(FleetError, match=re.escape(says)) as caught:
        bench.fleet.submit(work.add, 1, **{"project": "vision", **options})
    assert mend in caught.value.mend
    assert len(bench.fleet.jobs()) == before


def test_what_cannot_be_carried_is_refused(bench):
    with pytest.raises(FleetError, match="cannot be sent to a job") as caught:
        bench.submit(lambda: open(os.devnull), (line for line in "generator"))  # noqa: PTH123, SIM115
    assert "inside the function" in caught.value.mend
    with pytest.raises(FleetError, match="weighs 65 MiB"):
        bench.submit(work.add, work.large(65))
    with pytest.raises(FleetError, match="the result weighs 257 MiB"):
        bench.submit(work.large, 257).result(PATIENT)
    with pytest.raises(FleetError, match="there is no job '4711'"):
        bench.fleet.attach(4711)


def test_nothing_is_lost(bench):
    """Every job that this file sent has ended: runs last."""
    until(lambda: set(bench.fleet.jobs()["state"]) <= frames.ENDED, "jobs are left over")
    told = bench.fleet.jobs()
    assert len(told) >= 25
    assert told["id"].is_unique().all()
