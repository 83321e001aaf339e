"""The arithmetic of scaling: laws against each other, and a measured run whose parts are known."""

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab import cluster
from aifactory_lab.cluster.scaling import TASKS, Run, amdahl, compare, karp_flatt, measured

spans = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 50), st.floats(0.01, 20)), min_size=1, max_size=12)


def run(workers: int, seconds: float, tasks) -> Run:
    rows = [(str(worker), "t", float(start), float(start + length)) for worker, start, length in tasks]
    return Run(workers, seconds, pl.DataFrame(rows, schema=TASKS, orient="row"))


@given(workers=st.integers(2, 1024), serial=st.floats(0, 1))
def test_karp_and_flatt_read_off_what_amdahl_put_in(workers, serial):
    assert karp_flatt(amdahl(workers, serial), workers) == pytest.approx(serial, abs=1e-9)
    assert 1 <= amdahl(workers, serial) <= workers + 1e-9


@given(spans)
def test_seconds_without_a_task_are_counted_once_however_tasks_overlap(tasks):
    """Against a count on a fine grid."""
    told = run(4, 80.0, tasks)
    grid = [(step + 0.5) / 20 for step in range(80 * 20)]
    free = sum(not any(start <= at < start + length for _, start, length in tasks) for at in grid) / 20
    assert told.alone == pytest.approx(free, abs=0.1 * (1 + len(tasks)))
    assert told.work == pytest.approx(sum(length for _, _, length in tasks))


def test_the_three_losses_explain_the_distance_to_the_ideal():
    one = run(1, 10.0, [(0, 1, 8)])
    two = run(2, 7.0, [(0, 1, 5), (1, 1, 4)])
    told = compare({1: one, 2: two}).row(1, named=True)
    assert (told["ideal"], told["speedup"], told["efficiency"]) == (5.0, 10 / 7, 5 / 7)
    assert (told["alone"], told["more_work"], told["idle"]) == (1.0, 0.5, 0.5)
    assert told["alone"] + told["more_work"] + told["idle"] == told["seconds"] - told["ideal"]


def test_a_real_run_is_measured_in_its_parts():
    with cluster.start("cpu", workers=2) as here, measured(here.client) as found:
        time.sleep(0.3)
        here.client.gather(here.client.map(time.sleep, [0.4, 0.4, 0.4, 0.4], pure=False))
    assert found.workers == 2
    assert found.tasks["task"].to_list() == ["sleep"] * 4
    assert found.tasks["worker"].value_counts()["count"].to_list() == [2, 2]
    assert found.work >= 1.6
    assert found.alone >= 0.3
    assert found.seconds >= found.alone + found.work / 2
