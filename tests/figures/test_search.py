"""Figures of a search say what its frames say."""

import math

import plotly.graph_objects as go
import polars as pl
import pytest

from aifactory_lab.figures import search
from aifactory_lab.train.tuning.outcome import best_so_far

TRIALS = pl.DataFrame(
    {
        "number": [0, 1, 2, 4],
        "state": ["finished", "pruned", "failed", "finished"],
        "value": [0.7, 0.6, None, 0.72],
        "seconds": [1.0, 0.5, 0.1, 1.0],
        "rounds": [100, 50, None, 100],
        "job": ["1", "2", "3", "5"],
        "max_depth": [3, 9, 4, 5],
        "learning_rate": [0.001, 0.1, 0.2, 0.3],
        "max_features": ["sqrt", "0.3", "0.3", "0.5"],
    }
)
PROGRESS = pl.DataFrame({"number": [0, 0, 1, 2, 4, 4], "round": [25, 50, 25, 25, 25, 50], "auc": [0.6] * 6})


def test_the_history_tells_finished_from_pruned_and_steps_up():
    finished, pruned, best = search.history(best_so_far(TRIALS.filter(pl.col("state") != "failed"))).data
    assert (list(finished.x), list(finished.y)) == ([0, 4], [0.7, 0.72])
    assert (list(pruned.x), list(pruned.y)) == ([1], [0.6])
    assert list(best.y) == [0.7, 0.7, 0.72]
    assert finished.text[0] == "max_depth 3, learning_rate 0.001, max_features sqrt"


def test_a_pruned_trial_ends_in_a_cross_and_a_failed_one_is_not_drawn():
    lines = search.pruning(PROGRESS, TRIALS).data
    assert [line.name for line in lines] == ["finished", "pruned", "finished"]
    assert [line.showlegend for line in lines] == [True, True, False]
    assert lines[0].marker.size == (0, 5)
    assert (lines[1].marker.size, lines[1].marker.symbol) == ((8,), "x-thin-open")


def test_parallel_lines_run_from_the_parameters_to_the_score():
    (lines,) = search.parallel(TRIALS).data
    axes = {axis.label: axis for axis in lines.dimensions}
    assert list(axes) == ["max_depth", "learning_rate", "max_features", "validation AUC"]
    assert list(axes["max_depth"]["values"]) == [3, 5]
    assert list(axes["learning_rate"]["values"]) == pytest.approx([-3, math.log10(0.3)])
    assert axes["learning_rate"].ticktext[0] == "0.001"
    assert axes["max_features"].ticktext == ("0.5", "sqrt")
    assert list(axes["max_features"]["values"]) == [1, 0]
    assert list(axes["validation AUC"]["values"]) == [0.7, 0.72]


@pytest.mark.parametrize("trials", [TRIALS.head(0), TRIALS.filter(state="failed")], ids=["none", "all failed"])
def test_nothing_finished_is_an_empty_picture(trials):
    for figure in (
        search.history(best_so_far(trials)),
        search.pruning(PROGRESS.head(0), trials),
        search.parallel(trials),
    ):
        assert isinstance(figure, go.Figure)
