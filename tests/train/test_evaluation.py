"""Scores against scikit-learn, and properties that must hold for any labels and probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from aifactory_lab.errors import DataError
from aifactory_lab.train import evaluation
from aifactory_lab.train.evaluation import Costs


@st.composite
def labelled(draw):
    """Labels of both classes and probabilities on a coarse grid, so that ties are common."""
    size = draw(st.integers(2, 60))
    y = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(lambda y: 0 < sum(y) < len(y)))
    p = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    return np.array(y), np.array(p) / 8


@given(labelled())
@settings(max_examples=60, deadline=None)
def test_scores_equal_scikit_learns(data):
    y, p = data
    found = evaluation.scores(y, p, replicates=0)
    assert found["auc"].value == pytest.approx(metrics.roc_auc_score(y, p))
    assert found["average_precision"].value == pytest.approx(metrics.average_precision_score(y, p))
    assert found["brier"].value == pytest.approx(metrics.brier_score_loss(y, p))
    safe = np.clip(p, 1e-15, 1 - 1e-15)
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(y, safe))


@given(labelled(), st.floats(0.1, 10), st.floats(0.1, 10))
@settings(max_examples=60, deadline=None)
def test_no_threshold_is_cheaper_than_the_best(data, alarm, miss):
    y, p = data
    costs = Costs(alarm, miss)
    best = evaluation.best_threshold(y, p, costs)
    assert evaluation.cost(y, p, best.value, costs) == pytest.approx(best.cost)
    assert best.cost <= min(best.cost_never, best.cost_always) + 1e-12
    for other in np.linspace(0, 1, 21):
        assert evaluation.cost(y, p, other, costs) >= best.cost - 1e-12


@given(labelled())
@settings(max_examples=40, deadline=None)
def test_curves_run_from_nothing_to_everything(data):
    frame = evaluation.curve(*data)
    assert frame["threshold"].is_sorted(descending=True)
    assert frame["recall"].is_sorted()
    assert frame["false_alarm_rate"].is_sorted()
    assert frame.row(0)[1:3] == (0.0, 0.0)
    assert frame.row(-1)[1:3] == (1.0, 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Two normals one standard deviation apart: AUC = Φ(1/√2) = 0.760 (Green & Swets 1966).
    random = np.random.default_rng(1)
    covered = 0
    for trial in range(60):
        y = random.random(400) < 0.4
        p = 1 / (1 + np.exp(-random.normal(y, 1)))
        auc = evaluation.scores(y, p, replicates=150, seed=trial)["auc"]
        covered += auc.low <= 0.7602 <= auc.high
    assert covered >= 51  # binomial(60, 0.95): fewer has probability 0.001


def test_drawing_whole_days_widens_the_interval_when_days_agree():
    random = np.random.default_rng(2)
    day = np.repeat(np.arange(40), 50)
    shock = random.normal(size=40)[day]
    y = random.random(2000) < 1 / (1 + np.exp(1 - 2 * shock))
    p = 1 / (1 + np.exp(-random.normal(size=2000) * 0.2 - shock))
    rows, days = (evaluation.scores(y, p, blocks=blocks)["auc"] for blocks in (None, day))
    assert rows.value == days.value
    assert days.high - days.low > 1.5 * (rows.high - rows.low)


def test_calibration_of_exact_probabilities_is_close_and_of_wrong_ones_is_not():
    random = np.random.default_rng(3)
    p = random.random(20_000)
    y = random.random(20_000) < p
    frame = evaluation.calibration(y, p)
    assert frame["rows"].sum() == 20_000
    assert ((frame["low"] <= frame["predicted"]) & (frame["predicted"] <= frame["high"])).sum() >= 8
    assert evaluation.calibration_error(frame) < 0.02
    assert evaluation.calibration_error(evaluation.calibration(y, p / 2)) == pytest.approx(0.25, abs=0.02)


def test_the_best_threshold_of_exact_probabilities_is_elkans():
    random = np.random.default_rng(4)
    p = random.random(200_000)
    y = random.random(200_000) < p
    costs = Costs(false_alarm=1, miss=3)
    assert evaluation.best_threshold(y, p, costs).value == pytest.approx(costs.threshold, abs=0.03)


def test_a_picture_gets_no_more_points_than_asked():
    random = np.random.default_rng(5)
    y, p = random.random(5000) < 0.3, random.random(5000)
    assert evaluation.curve(y, p, points=100).height == 100


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([0, 1], [0.5], "do not go together"),
        ([0, 1], [0.5, np.nan], "between 0 and 1"),
        ([0, 1], [0.5, 1.5], "between 0 and 1"),
        ([1, 1], [0.5, 0.5], "one class only"),
    ],
)
def test_what_cannot_be_scored_is_refused(y, p, said):
    with pytest.raises(DataError, match=said):
        evaluation.scores(y, p)
