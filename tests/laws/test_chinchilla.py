"""A fit finds the constants that points were drawn from, says how sure it is, and predicts what it has not seen."""

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.laws import chinchilla, runs
from aifactory_lab.laws.backtest import errors, words
from aifactory_lab.laws.chinchilla import fit
from aifactory_lab.laws.law import EPOCH, HOFFMANN, Law
from aifactory_lab.laws.objective import Problem
from tests.laws.points import BUDGETS, SIZES, drawn

NAMES = chinchilla.NAMES
FIRST_FIT = """
from threadpoolctl import threadpool_info
from aifactory_lab.laws import chinchilla, objective
from tests.laws.points import drawn
follow, seen = objective.Problem.follow, []
def watched(problem, start):
    found = follow(problem, start)
    seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
    return found
objective.Problem.follow = watched
chinchilla.fit(drawn(chinchilla.EPOCH), replicates=1)
print(*set(seen))
"""


@pytest.fixture(scope="module")
def noisy() -> chinchilla.Fit:
    return fit(drawn(EPOCH, noise=2e-3), replicates=40)


@pytest.mark.parametrize("law", [EPOCH, HOFFMANN], ids=["epoch", "hoffmann"])
def test_published_constants_come_back_from_points_drawn_from_them(law):
    found = fit(drawn(law), replicates=0).law
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-3), name


@settings(max_examples=6, deadline=None)
@given(
    st.floats(1, 2.5),
    st.floats(0.25, 0.5),
    st.floats(0.25, 0.5),
    st.floats(0.2, 0.8),
    st.floats(0.2, 0.8),
    st.integers(0, 99),
)
def test_known_constants_are_recovered_from_noisy_points(floor, alpha, beta, short, scarce, seed):
    """The terms are so scaled that each matters: 0.2 to 0.8 nats at the middle of the points."""
    size, data = np.sqrt(SIZES[0] * SIZES[-1]), np.sqrt(BUDGETS[0] * BUDGETS[-1])
    law = Law(floor, short * size**alpha, scarce * data**beta, alpha, beta)
    found = fit(drawn(law, noise=1e-3, seed=seed), replicates=0)
    assert pytest.approx(law.E, rel=0.1) == found.law.E
    assert found.law.alpha == pytest.approx(alpha, abs=0.06)
    assert found.law.beta == pytest.approx(beta, abs=0.06)
    ends = np.meshgrid(SIZES[[0, -1]], BUDGETS[[0, -1]])
    assert found.law.loss(*ends) == pytest.approx(law.loss(*ends), rel=5e-3)
    assert found.rms == pytest.approx(1e-3, rel=0.5)


def test_the_gradient_is_that_of_the_value():
    points = drawn(EPOCH, noise=0.01)
    problem = Problem(*(points[name].to_numpy() for name in ("parameters", "tokens", "loss")), delta=1e-3)
    at, step = np.array([-1.0, -0.7, 0.4, 0.3, 0.4]), 1e-6
    slope = [(problem.value(at + side)[0] - problem.value(at - side)[0]) / (2 * step) for side in step * np.eye(5)]
    assert problem.value(at)[1] == pytest.approx(slope, rel=1e-4)


def test_one_run_that_went_wrong_moves_little():
    points = drawn(EPOCH)
    wrong = points.with_row_index().with_columns(
        pl.when(pl.col("index") == 40).then(pl.col("loss") * 1.5).otherwise("loss").alias("loss")
    )
    assert pytest.approx(EPOCH.E, rel=0.01) == fit(wrong, replicates=0).law.E


def test_the_interval_holds_what_the_points_were_drawn_from(noisy):
    told = noisy.intervals(0.98).rows_by_key("constant", named=True, unique=True)
    for name in NAMES:
        assert told[name]["low"] < getattr(EPOCH, name) < told[name]["high"], name
        assert told[name]["determined"]
    forecast = noisy.predict(7e10, 1.4e12)
    assert forecast.low < EPOCH.loss(7e10, 1.4e12) < forecast.high
    assert forecast.low <= forecast.loss <= forecast.high
    assert "times beyond runs whose operations span a factor of" in str(forecast)
    assert noisy.predict(1e9, 1e12).words.startswith("2 times beyond runs whose tokens span a factor of 100;")
    assert noisy.predict(1e9, 1e10).words == "within the runs of the fit"
    small = float(noisy.runs["parameters"].min()) / 5
    assert noisy.beyond(small, 1e10) == pytest.approx(5)
    assert noisy.predict(small, 1e10).words.startswith("5 times below runs whose parameters span")
    assert "further than they can vouch for" in noisy.predict(1e13, 1e15).words


def test_a_floor_that_the_runs_never_come_near_is_not_called_determined():
    tiny = drawn(EPOCH, noise=0.01, sizes=np.geomspace(5e4, 2e6, 5), budgets=np.geomspace(5e4, 8e5, 4))
    told = fit(tiny, replicates=40).intervals().rows_by_key("constant", named=True, unique=True)
    assert not told["E"]["determined"]


def test_a_backtest_predicts_each_larger_run_from_smaller_ones_only():
    points = drawn(EPOCH, sizes=SIZES[::3], budgets=BUDGETS[::2])
    told = errors(points, least=11)
    assert told["fitted"].min() >= 11
    assert (told["beyond"] > 1).all()
    assert told["error"].abs().max() < 0.01, "points without noise are predicted at any distance"
    last = told.filter(pl.col("fitted") == told["fitted"].max())
    assert last["parameters"].to_list() == [pytest.approx(SIZES[6])]
    assert words(told).startswith("forecasts up to 2 times beyond the runs of a fit were within ")
    assert f"further than {told['beyond'].max():.2g} times nothing was tested" in words(told)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: fit(drawn(EPOCH, sizes=SIZES[:2])),
            "18 runs of 2 sizes and 9 budgets do not determine",
        ),
        (lambda: fit(drawn(EPOCH).head(5)), "5 runs of"),
        (lambda: fit(pl.DataFrame({"parameters": [1.0]})), "without tokens, loss"),
        (lambda: fit(drawn(EPOCH), replicates=0).intervals(), "no replicates"),
        (lambda: errors(drawn(EPOCH).head(9)), "leave nothing to test"),
        (lambda: runs.below(drawn(EPOCH), 1.0), "part nothing"),
        (lambda: runs.frame([{"parameters": 1e6, "tokens": 1e6, "loss": float("nan")}]), "loss must be positive"),
        (lambda: runs.read("no/such.csv"), "holds no table"),
    ],
)
def test_what_cannot_be_fitted_is_said(make, said):
    with pytest.raises(TwinError, match=said) as raised:
        make()
    assert raised.value.mend


def test_runs_are_a_file_that_people_read(tmp_path):
    points = drawn(EPOCH).head(4)
    path = runs.write(points, tmp_path / "runs.csv", told=["from Epoch's constants", "again: this test"])
    assert path.read_text().startswith("# from Epoch's constants\n# again: this test\nparameters,tokens,loss,flops\n")
    assert runs.told(path) == "from Epoch's constants\nagain: this test"
    assert runs.read(path)["loss"].to_list() == pytest.approx(points["loss"].to_list(), rel=1e-5)


def test_the_first_fit_of_a_process_has_one_thread_too():
    """SciPy brings a BLAS of its own: loaded under the limit it would have as many threads as there are cores."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", FIRST_FIT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=300)
    assert done.stdout.split() == ["1"]
