"""Pictures of the twin of a machine: what they draw is what was compared."""

import numpy as np
import polars as pl
import pytest

from aifactory_lab.figures import mirror as figures
from aifactory_lab.serve.load import Arrivals, arrivals
from aifactory_lab.twin import mirror
from tests.twin import closed_loop
from tests.twin.test_mirror import MODEL, UNSEEN, observed, reported


@pytest.fixture(scope="module")
def fitted():
    return mirror.fit(observed(noise=0.05, passes=2))


@pytest.fixture(scope="module")
def compared(fitted):
    both = observed(noise=0.05, passes=2) + observed(noise=0.05, seed=7, **UNSEEN)
    return mirror.compare(mirror.forecast(fitted, both), both)


@pytest.mark.parametrize(("of", "factor"), [("ttft", 1e3), ("tpot", 1e3), ("tokens_per_second", 1)])
def test_a_forecast_is_drawn_with_its_band_and_what_was_measured(compared, of, factor):
    figure = figures.forecast(compared, of=of)
    part = compared.filter(pl.col("figure") == of)
    points = [trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None]
    drawn = sorted(value for trace in points for value in trace.y)
    assert drawn == pytest.approx(sorted((part["measured"] * factor).to_list()))
    open_ones = sum(symbol == "circle-open" for trace in points for symbol in trace.marker.symbol)
    assert open_ones == (~part["fitted"]).sum()
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == part.select("isl", "osl").n_unique()
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.fill is None]
    best = sorted(value for trace in lines for value in trace.y)
    assert best == pytest.approx(sorted(set((part["predicted"] * factor).to_list())))
    new = part.filter(~pl.col("fitted"))["error"].abs().mean()
    assert f"{100 * new:.0f} % off on loads never seen" in figure.layout.title.text


def test_a_load_of_its_own_is_drawn_as_a_mark_with_the_ends_of_its_band(fitted):
    alone = observed(levels=(3,), lengths=(40,), osl=40)
    compared = mirror.compare(mirror.forecast(fitted, alone), alone)
    row = compared.row(by_predicate=pl.col("figure") == "ttft", named=True)
    mark = figures.forecast(compared, of="ttft").data[0]
    assert mark.y[0] == pytest.approx(1e3 * row["predicted"])
    assert mark.y[0] + mark.error_y.array[0] == pytest.approx(1e3 * row["high"])
    assert mark.y[0] - mark.error_y.arrayminus[0] == pytest.approx(1e3 * row["low"])


def test_an_unfitted_twin_is_drawn_without_a_band(compared):
    seen = observed()
    bare = mirror.compare(mirror.forecast(mirror.fit(seen).replica, seen), seen)
    figure = figures.forecast(bare)
    assert not [trace for trace in figure.data if trace.fill == "toself"]
    assert np.isfinite([value for trace in figure.data if trace.mode == "lines" for value in trace.y]).all()


def test_ratios_tell_who_lies_outside_the_band(compared):
    figure = figures.ratios(compared)
    inside, outside = (next(t for t in figure.data if t.name == name) for name in ("in the band", "outside"))
    kept = compared["within"].sum()
    assert (len(inside.x), len(outside.x)) == (kept, len(compared) - kept)
    assert figure.layout.title.text == f"Measured beside forecast: {kept} of {len(compared)} in the band"
    ratio = (compared["measured"] / compared["predicted"]).to_list()
    assert sorted([*inside.x, *outside.x]) == pytest.approx(sorted(ratio))


def test_arrivals_are_drawn_as_shares_of_requests(fitted):
    from tests.twin import naive

    coming = arrivals.poisson(10.0, 40, seed=1)
    coming = Arrivals(coming.times, np.full(40, 40), np.full(40, 20), coming.note)
    played = mirror.replay(fitted, coming)
    costs = closed_loop.steps()
    truth = naive.simulate(played.served.trace, costs)
    figure = figures.arrivals(played, reported(truth, costs.first))
    assert [trace.name for trace in figure.data] == ["simulated", "measured"]
    for trace in figure.data:
        assert trace.y[-1] == 100
        assert (np.diff(trace.x) >= 0).all()
    assert "Poisson" in figure.layout.title.text


def test_power_is_drawn_with_the_end_of_what_was_fitted_on():
    readings = pl.DataFrame(
        {
            "time": np.repeat(np.arange(60.0), 2) + 1e9,
            "entity": ["gpu 0", "gpu 1"] * 60,
            "activity": np.arange(120) % 5 / 4,
        }
    ).with_columns(watts=70 + 500 * pl.col("activity"))
    told = mirror.watts.fit(readings[:60]).predict(readings)
    figure = figures.watts(told, entity="gpu 1", since=1e9 + 30)
    assert figure.layout.title.text == "Power of gpu 1: 0 % off after what was fitted on"
    assert figure.layout.shapes[0].x0 == 30
    assert len(figure.data[-1].y) == 60


def test_following_is_drawn_as_two_errors():
    told = pl.DataFrame({"window": [1, 2], "at": [5.0, 9.0], "error_kept": [0.1, 0.3], "error_renewed": [0.1, 0.06]})
    figure = figures.follow(told)
    assert [trace.name for trace in figure.data] == [
        "first fit kept: 20 % on average",
        "fit renewed: 8 % on average",
    ]
    assert list(figure.data[1].y) == pytest.approx([10, 6])


def test_the_fit_of_a_known_model_is_named(fitted):
    assert MODEL in repr(fitted)
