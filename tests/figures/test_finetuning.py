"""The figures of a fine-tuning say what its comparisons say."""

import polars as pl
import pytest

from aifactory_lab.figures import finetuning
from aifactory_lab.figures.theme import BAD, GOOD, PLAIN
from aifactory_lab.lm.comparison import Comparison
from aifactory_lab.train.evaluation import Interval


def score(before, after, spread=0.1):
    change = after - before
    ends = [Interval(value, value - spread, value + spread) for value in (before, after, change)]
    return Comparison(*ends, items=10, groups=5)


SCORES = {
    "loss": score(4.0, 3.0),
    "overlap": score(0.1, 0.4),
    "stopped": score(0.5, 0.55),
    "bits_per_byte": score(1.7, 2.0),
}


def test_each_score_before_and_after_with_its_interval():
    figure = finetuning.before_after(SCORES, by_chance=0.2)
    points = [(trace.y[0], trace.x[0], trace.error_x.array[0]) for trace in figure.data]
    assert points[:2] == [("before: 4", 4.0, pytest.approx(0.1)), ("after: 3", 3.0, pytest.approx(0.1))]
    assert len(points) == 8
    assert [trace.marker.color for trace in figure.data[1::2]] == [GOOD, GOOD, PLAIN, BAD]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.2]
    assert figure.layout.annotations[0].text == "nats per answer token (less is better): -1 [-1.1, -0.9]"


def test_the_loss_curve_has_its_mean_and_both_ends():
    history = pl.DataFrame({"tokens": [100 * n for n in range(1, 41)], "loss": [4.0, 2.0] * 20})
    steps, mean, held = finetuning.loss_curve(history, SCORES["loss"]).data
    assert list(steps.y) == [4.0, 2.0] * 20
    assert mean.y[-1] == 3.0
    assert list(held.x) == [0, 4000]
    assert list(held.y) == [4.0, 3.0]
    assert list(held.error_y.arrayminus) == pytest.approx([0.1, 0.1])
    assert len(finetuning.loss_curve(history).data) == 2


def test_gain_stands_beside_forgetting():
    figure = finetuning.gain_and_forgetting({"ours": SCORES, "theirs": {"loss": score(5.0, 4.5, 0.2)}})
    gained, forgotten = figure.data
    assert list(gained.y) == ["theirs", "ours"]
    assert list(gained.x) == [0.5, 1.0]
    assert list(gained.error_x.array) == pytest.approx([0.2, 0.1])
    assert list(forgotten.y) == ["ours"]
    assert list(forgotten.x) == pytest.approx([0.3])
