"""Random mixes of jobs on the workstation: whatever they do to each other, none is lost and no GPU is had twice."""

import json
import os
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aifactory_lab.fleet import Fleet, frames
from aifactory_lab.fleet.orders import PRIORITIES
from tests.fleet import mixed

GPUS, PATIENT = 4, 240.0
NUMBERS = count()


@dataclass(frozen=True)
class Wish:
    """A job of a mix; `after` counts backwards to an earlier one."""

    gpus: int
    priority: str
    fate: str
    retries: int
    seconds: float
    after: int
    cancelled: bool


WISHES = st.builds(
    Wish,
    gpus=st.sampled_from([2, 1, 3, 4, 0]),
    priority=st.sampled_from(PRIORITIES),
    fate=st.sampled_from(["die once", "well", "raise", "die", "well"]),
    retries=st.sampled_from([1, 0]),
    seconds=st.sampled_from([0.3, 0.0, 0.6]),
    after=st.sampled_from([0, 1, 2, 0]),
    cancelled=st.sampled_from([False] * 5 + [True]),
)


@dataclass(frozen=True)
class Lived:
    """One attempt: its GPUs, when it began, and when it said that it ends (none if it was ended)."""

    devices: frozenset[str]
    start: float
    end: float | None


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet("workstation", folder=tmp_path_factory.mktemp("mixes"), gpus=GPUS)
    yield fleet
    fleet.engine.stop()


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # an example costs seconds: what fails is read from the log, not made smaller
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@pytest.mark.parametrize("engine_dies", [False, True], ids=["the engine lives", "the engine is killed"])
@given(wishes=st.lists(WISHES, min_size=4, max_size=6))
def test_nothing_is_lost_and_no_gpu_is_had_twice(fleet, engine_dies, wishes):
    folder = fleet.engine.folder / f"mix-{next(NUMBERS)}"
    folder.mkdir()
    jobs, parents = [], []
    for place, wish in enumerate(wishes):
        parent = place - wish.after if 0 < wish.after <= place else None
        options = {"gpus": wish.gpus, "priority": wish.priority, "retries": wish.retries}
        after = [] if parent is None else [jobs[parent]]
        jobs.append(fleet.submit(mixed.live, str(folder / str(place)), wish.fate, wish.seconds, after=after, **options))
        parents.append(parent)
    if engine_dies:
        os.kill(json.loads((fleet.engine.folder.parents[1] / "workstation" / "engine.json").read_text())["pid"], 9)
    for job in (job for job, wish in zip(jobs, wishes, strict=True) if wish.cancelled):
        job.cancel()

    states = fleet.wait(jobs, PATIENT)
    lives = [lived(job, folder / str(place)) for place, job in enumerate(jobs)]
    assert set(states) <= frames.ENDED
    for job, wish, state, life in zip(jobs, wishes, states, lives, strict=True):
        assert job.state == state
        assert all(len(one.devices) == wish.gpus for one in life)
        assert len(life) <= wish.retries + 1 + engine_dies
    for place, parent in enumerate(parents):
        if parent is not None and states[parent] != "COMPLETED":
            assert (states[place], lives[place]) == ("CANCELLED", [])
        elif parent is not None and lives[place]:
            assert lives[parent][-1].end <= lives[place][0].start
        if not wishes[place].cancelled and (parent is None or states[parent] == "COMPLETED"):
            assert (states[place], len(lives[place])) in expected(wishes[place], engine_dies)
    every = [one for life in lives for one in life if one.end is not None]
    for one, other in combinations(every, 2):
        apart = one.end <= other.start or other.end <= one.start
        assert apart or not one.devices & other.devices


def expected(wish: Wish, engine_dies: bool) -> set[tuple[str, int]]:
    """Return how a job may end that nobody else ends, and after how many attempts.

    A process that died while no engine watched is started again without being counted: nobody knows who killed it.
    """
    if wish.fate in ("well", "raise"):
        return {("COMPLETED" if wish.fate == "well" else "FAILED", 1)}
    free = {0, 1} if engine_dies else {0}
    if wish.fate == "die":
        return {("FAILED", wish.retries + 1 + more) for more in free}
    return {("COMPLETED", 2) if wish.retries + more else ("FAILED", 1) for more in free}


def lived(job, path: Path) -> list[Lived]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ends = {line["pid"]: line["end"] for line in lines}
    return [Lived(frozenset(one["devices"]), one["time"], ends.get(one["pid"])) for one in job.attempts]
