"""A day drawn: every figure that its table has, in bands the incidents, and below them what they did."""

import numpy as np
import pytest

from aifactory_lab.figures import operations as drawn
from aifactory_lab.twin import sampling
from aifactory_lab.twin.operations import Incident, operate, traffic
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.service import Service

PLANT = Plant(gpus=32, chassis="dgx-h100")
HIT = [
    Incident("node", at_hours=0.1, for_hours=0.1),
    Incident("grid", at_hours=0.11, watts=30e3),
    Incident("heat", at_hours=0.3),
]


@pytest.fixture(scope="module")
def day():
    service = Service(tp=8, ttft_ms=500)
    return operate(PLANT, service, traffic.steady(20.0), hours=0.5, incidents=HIT, threads=1)


def test_a_day_is_drawn_with_its_incidents(day):
    figure = drawn.timeline(day)
    lines = {trace.name: trace for trace in figure.data}
    assert np.asarray(lines["tokens/s"].y).tolist() == day.timeline["tokens_per_second"].to_list()
    assert np.asarray(lines["site"].y).tolist() == pytest.approx((day.timeline["site_watts"] / 1e3).to_list())
    assert set(np.asarray(lines["SLO"].y).tolist()) == {0.5}
    assert lines["clock"].yaxis != lines["coolant"].yaxis
    bands = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [(band.x0, band.x1) for band in bands] == [(0.1, 0.2), (0.11, 0.5), (0.3, 0.5)]  # to the day's end at most
    below = figure.layout.annotations[-1].text
    for number, row in enumerate(day.incidents.iter_rows(named=True)):
        assert f"{number + 1}  {row['what']}"[:40] in below
    marks = [one for one in figure.layout.annotations if one.text in {"<b>1</b>", "<b>2</b>", "<b>3</b>"}]
    assert [mark.yshift for mark in marks] == [0, -14, 0]  # near ones stand below each other


def test_a_days_lines_are_named_above_their_panels(day):
    told = [one.text for one in drawn.timeline(day).layout.annotations if "<span" in one.text]
    assert [text.count("<span") for text in told] == [2, 3, 3, 3]
    assert "requests rejected or sent again" in told[0]


def test_a_calm_day_of_a_sample_without_an_objective_is_drawn():
    came = traffic.steady(20.0)
    found = sampling.operate(PLANT, Service(tp=2), came, share=0.5, hours=0.1, threads=1)
    figure = drawn.timeline(found.day)
    names = {trace.name for trace in figure.data}
    assert "SLO" not in names
    assert "requests rejected or sent again" not in names
    assert not figure.layout.shapes
