"""The pictures of scaling, as the dicts that Plotly draws."""

import json

import polars as pl
import pytest

from aifactory_lab.cluster.scaling import TASKS, Run, compare
from aifactory_lab.figures import scaling


@pytest.fixture
def runs():
    one = pl.DataFrame([("0", "slice", 1.0, 9.0)], schema=TASKS, orient="row")
    two = pl.DataFrame([("0", "slice", 1.0, 6.0), ("1", "slice", 1.0, 5.0)], schema=TASKS, orient="row")
    return {1: Run(1, 10.0, one), 2: Run(2, 7.0, two)}


def drawn(figure):
    return json.loads(figure.to_json())


def test_speed_up_stands_beside_the_ideal_and_amdahl(runs):
    ideal, law, found = drawn(scaling.speedup(compare(runs), serial=0.1))["data"]
    assert (ideal["x"], ideal["y"]) == ([1, 2], [1, 2])
    assert law["name"] == "10% serial (Amdahl)"
    assert law["y"][-1] == pytest.approx(1 / (0.1 + 0.9 / 2))
    assert found["y"] == [1.0, 10 / 7]
    assert found["text"] == ["100%", "71%"]


def test_the_lost_seconds_add_up_to_what_was_measured(runs):
    bars = drawn(scaling.lost_seconds(compare(runs)))["data"]
    assert [bar["name"] for bar in bars] == ["ideal", *scaling.LOST.values()]
    assert [sum(values) for values in zip(*(bar["x"] for bar in bars), strict=True)] == [10.0, 7.0]


def test_each_worker_of_each_run_has_a_line(runs):
    told = drawn(scaling.timeline(list(runs.values())))
    (bars,) = told["data"]
    assert bars["y"] == ["1: worker 0", "2: worker 0", "2: worker 1"]
    assert (bars["base"], bars["x"]) == ([1.0, 1.0, 1.0], [8.0, 5.0, 4.0])
    assert told["layout"]["xaxis"]["range"] == [0, 10.0]
    assert drawn(scaling.timeline(runs[2]))["data"][0]["y"] == ["2: worker 0", "2: worker 1"]
