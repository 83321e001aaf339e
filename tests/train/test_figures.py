"""Figures say what their frames say."""

import plotly.graph_objects as go
import polars as pl
import pytest

from aifactory_lab import train
from aifactory_lab.figures import training

LADDER = pl.DataFrame(
    {
        "rung": ["plan", "+ all", "random split"],
        "auc": [0.62, 0.75, 0.8],
        "low": [0.6, 0.74, 0.79],
        "high": [0.64, 0.76, 0.81],
        "honest": [True, True, False],
        "sentence": ["one", "two", "three"],
    }
)


@pytest.fixture(scope="module")
def result(features, tmp_path_factory):
    return train.fit(features, out=tmp_path_factory.mktemp("m"), device="cpu", threads=1, rounds=30, refit=False)


def test_the_ladder_draws_dishonest_rungs_hollow():
    bars = training.ladder(LADDER, baseline=0.759).data[0]
    assert list(bars.y) == ["random split", "+ all", "plan"]
    assert bars.marker.color[0] == "rgba(0,0,0,0)"
    assert bars.marker.color[1] == training.GOOD
    assert bars.error_x.array[2] == pytest.approx(0.02)
    assert bars.customdata[0] == "three"


def test_the_loss_curve_marks_the_round_that_was_kept(result):
    figure = training.loss_curve(result.history())
    assert [line.name for line in figure.data] == ["learning", "validation"]
    assert figure.layout.shapes[0].x0 == result.bundle.lineage["rounds"]


def test_roc_and_precision_recall_take_one_model_or_several(result):
    assert [line.name for line in training.roc(result.curve()).data] == ["model", "chance"]
    several = training.precision_recall({"a": result.curve(), "b": result.curve("valid")})
    assert [line.name for line in several.data] == ["a", "b"]
    assert max(several.data[0].x) == 1.0


def test_calibration_has_a_point_a_bin_and_the_exact_line(result):
    exact, model = training.calibration(result.calibration(bins=8)).data
    assert exact.x == exact.y
    assert len(model.x) == 8


def test_the_cost_curve_marks_the_chosen_threshold_and_both_trivial_decisions(result):
    figure = training.cost_curve(result.curve(), result.threshold.value)
    lines = {shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1}
    assert result.threshold.value in lines
    assert max(figure.data[0].x) <= 1
    said = " ".join(note.text for note in figure.layout.annotations)
    assert f"never yes: {result.bundle.metrics['test_cost_never']:.3f}" in said


def test_importance_is_coloured_by_group_largest_on_top(result, features):
    frame = train.inspection.importance(result.bundle, features, sample=1000, repeats=2)
    figure = training.importance(frame, top=5)
    assert figure.layout.yaxis.categoryarray[-1] == frame["name"][0]
    assert sum(len(bar.y) for bar in figure.data) == 5
    assert {bar.name for bar in figure.data} <= {"schedule", "weather", "plane"}


def test_the_learning_curve_has_its_intervals():
    frame = pl.DataFrame({"rows": [100, 1000], "auc": [0.6, 0.7], "low": [0.55, 0.68], "high": [0.65, 0.72]})
    figure = training.learning_curve(frame)
    assert isinstance(figure, go.Figure)
    assert figure.data[0].error_y.arrayminus == pytest.approx((0.05, 0.02))
    assert figure.layout.xaxis.type == "log"
