"""The three laws as pictures: what was measured is a point, what was not in the fit looks it, guesses stand beside."""

import polars as pl
import pytest

from aifactory_lab.figures import laws as figures
from aifactory_lab.laws import chinchilla, runs
from aifactory_lab.laws.law import EPOCH
from tests.laws.points import BUDGETS, SIZES, drawn


@pytest.fixture(scope="module")
def parted() -> tuple[chinchilla.Fit, pl.DataFrame]:
    points = drawn(EPOCH, noise=2e-3, sizes=SIZES[::2], budgets=BUDGETS[::2])
    known, larger = runs.below(points, 1e22)
    return chinchilla.fit(known, replicates=20), larger


CURVES = pl.DataFrame(
    [
        (who, "expression", way, k, base * k**0.3, base * k**0.3 - 0.02, base * k**0.3 + 0.02, 10.0 * k)
        for who, way, base in (("tuned", "best", 0.3), ("tuned", "vote", 0.25), ("guesses", "best", 0.1))
        for k in (1, 4, 16)
    ],
    schema=("who", "form", "way", "k", "accuracy", "low", "high", "tokens"),
    orient="row",
)
TUNED = pl.DataFrame(
    {
        "stage": ["base", "copied-1", "tried-1"],
        "flops": [0.0, 1e11, 2e11],
        "accuracy": [0.0, 0.3, 0.4],
        "low": [0.0, 0.25, 0.35],
        "high": [0.0, 0.36, 0.46],
        "chain": [0.0, 0.1, 0.2],
        "best": [0.0, 0.8, 0.7],
        "vote": [0.0, 0.4, 0.5],
        "old_bits_per_byte": [2.0, 6.0, 6.5],
    }
)


def test_the_run_that_the_fit_never_saw_stands_in_its_interval(parted):
    fit, larger = parted
    figure = figures.fitted(fit, larger)
    by_name = {trace.name: trace for trace in figure.data}
    measured, forecast = by_name["measured, not in the fit"], by_name["forecast, 90%"]
    assert list(measured.y) == larger["loss"].to_list()
    assert forecast.error_y.array[0] > 0
    assert "times beyond" in forecast.text[-1]
    dots = [trace for trace in figure.data if trace.mode == "markers" and "parameters" in trace.name]
    assert sum(len(trace.x) for trace in dots) == fit.runs.height
    assert "70 M parameters" in by_name


def test_iso_flop_curves_have_their_least_at_the_optimum(parted):
    fit, _ = parted
    figure = figures.isoflop(fit.law, [1e20, 1e21], fit.runs)
    for trace, budget in zip([t for t in figure.data if t.mode == "lines"], (1e20, 1e21), strict=True):
        lowest = trace.x[list(trace.y).index(min(trace.y))]
        assert lowest == pytest.approx(fit.law.optimum(budget).parameters, rel=0.1)
    assert figure.data[-1].name == "optimum"


def test_a_chosen_budget_stands_above_the_others_which_stay(parted):
    fit, _ = parted
    before = figures.isoflop(fit.law, [1e20, 1e21])
    figure = figures.isoflop(fit.law, [1e20, 1e21], chosen=3e20)
    assert all(trace == same for trace, same in zip(figure.data, before.data, strict=False))
    *_, curve, star = figure.data
    assert (curve.name, curve.line.width) == ("chosen: 3e+20 FLOP", 4)
    assert star.x[0] == pytest.approx(fit.law.optimum(3e20).parameters)
    assert star.y[0] == pytest.approx(min(curve.y), rel=1e-3)


def test_what_was_forgotten_stands_below_what_was_won():
    figure = figures.post_training(TUNED)
    lost = next(trace for trace in figure.data if trace.name == "old text")
    assert (lost.yaxis, list(lost.y)) == ("y2", [6.0, 6.5])
    assert next(trace for trace in figure.data if trace.name == "one expression").error_y.array[0] == pytest.approx(
        0.06
    )


def test_guesses_stand_beside_every_model():
    figure = figures.answers(CURVES)
    names = [trace.name for trace in figure.data if trace.name]
    assert names == ["tuned, checked by a verifier", "tuned, the most frequent", "guesses, checked by a verifier"]
    assert sum(trace.fill == "toself" for trace in figure.data) == 3, "each with its interval"


def test_three_laws_share_one_axis(parted):
    figure = figures.three(parted[0], TUNED, CURVES, flops_per_token=1e6)
    assert {trace.yaxis for trace in figure.data} == {"y", "y2", "y3"}
    assert figure.layout.xaxis.type == "log"
    answers = [trace for trace in figure.data if trace.yaxis == "y3"]
    assert list(answers[0].x) == [1e7, 4e7, 1.6e8]
    assert answers[1].name.startswith("guesses")
