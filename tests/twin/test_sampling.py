"""Sampled plants: their intervals hold a whole simulation as often as they say, also where incidents hit a part."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import operations, sampling
from aifactory_lab.twin.operations import traffic
from aifactory_lab.twin.operations.places import Places
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.service import Service
from aifactory_lab.twin.traces import Trace

Incident = operations.Incident
PLANT, SERVICE = Plant(gpus=96, chassis="dgx-h100"), Service(model="llama-3-8b", tp=1, ttft_ms=50, tpot_ms=20)
HIT = [Incident("rack", at_hours=0.02, for_hours=0.04), Incident("gpu", at_hours=0.04, for_hours=0.02, which=50)]
SHORT = {"hours": 1 / 12, "window_seconds": 60.0, "threads": 1}


@pytest.mark.parametrize("hit", [(), tuple(HIT)], ids=["quiet", "incidents"])
def test_intervals_hold_the_whole_simulation_as_often_as_they_say(hit):
    seed = np.random.default_rng(0)  # lengths without a long tail: see the module on those with one
    lengths = Trace.of(np.arange(5000), seed.integers(200, 1800, 5000), seed.integers(20, 200, 5000))
    tries, confidence, came = 30, 0.9, traffic.steady(200.0, lengths=lengths)
    held = {}
    for seed in range(tries):
        whole = operations.operate(PLANT, SERVICE, came, incidents=hit, seed=1000 + seed, **SHORT)
        found = sampling.operate(
            PLANT, SERVICE, came, share=0.15, incidents=hit, seed=seed, confidence=confidence, **SHORT
        )  # fmt: skip
        truth = sampling._figures(whole, 300.0, confidence, chance=True)
        for figure, value in truth.select("figure", "value").iter_rows():
            low, high = found.interval(figure)
            held.setdefault(figure, []).append(low <= value <= high)
    fewest = stats.binom.ppf(1e-4, tries, confidence)
    assert all(sum(one) >= fewest for one in held.values()), {name: sum(one) for name, one in held.items()}
    # Figures of one run hang together, so all of them together are no sharper than a few runs: not far from 0.9.
    assert 0.8 < np.mean([np.mean(one) for one in held.values()]) < 0.985


def test_a_sample_says_what_the_whole_says_and_counts_what_it_drew():
    came = traffic.steady(1000.0)
    whole = operations.operate(PLANT, SERVICE, came, incidents=HIT, **SHORT)
    found = sampling.operate(PLANT, SERVICE, came, share=0.3, incidents=HIT, **SHORT)
    assert found.replicas == 96
    assert found.simulated == found.day.places.weight.size == 19 + 10 + 1  # untouched, of the rack, the GPU alone
    assert found.day.places.weight.sum() == pytest.approx(96)
    for name in ("gpus_up", "replicas_up"):
        assert found.day.timeline[name].to_list() == pytest.approx(whole.timeline[name].to_list())
    for name in ("asked", "tokens_per_second", "gpu_watts", "site_watts"):
        assert found.day.timeline[name].mean() == pytest.approx(whole.timeline[name].mean(), rel=0.05)
    told = found.day.timeline.select(pl.col("asked", "served", "rejected").sum(), pl.col("queued").last())
    asked, served, rejected, queued = told.row(0)
    assert asked == pytest.approx(served + rejected + queued, rel=0.01)
    racks = found.day.racks(0.05)
    assert racks["state"].to_list() == ["down", "degraded", "up"]


def test_who_is_turned_away_while_nobody_stands_is_not_good():
    dark = [Incident("rack", at_hours=0.02, for_hours=0.03, count=3)]
    found = sampling.operate(PLANT, SERVICE, traffic.steady(50.0), incidents=dark, **SHORT)
    assert found.day.totals()["rejected"] > 2700
    assert found.value("good") == pytest.approx(found.day.totals()["good"], rel=1e-6)
    assert found.value("good") < 0.82


def test_without_requests_there_is_no_mean():
    found = sampling.operate(PLANT, SERVICE, traffic.steady(1e-6), **SHORT)
    assert np.isnan([found.value("ttft"), found.value("good"), found.day.totals()["good"]]).all()
    assert found.value("served") == 0


def test_a_sample_of_all_is_the_whole():
    came = traffic.steady(300.0)
    whole = operations.operate(PLANT, SERVICE, came, incidents=HIT, seed=5, **SHORT)
    found = sampling.operate(PLANT, SERVICE, came, share=1.0, incidents=HIT, seed=5, **SHORT)
    for name in ("asked", "served", "rejected", "queued", "resent", "ttft_p99", "good"):
        assert found.day.timeline[name].to_list() == whole.timeline[name].to_list()
    for name in ("tokens_per_second", "site_watts", "gpu_celsius"):
        assert found.day.timeline[name].to_list() == pytest.approx(whole.timeline[name].to_list(), rel=1e-9)
    racks = [day.racks(0.05).drop("rack", "state").to_numpy() for day in (found.day, whole)]
    assert racks[0] == pytest.approx(racks[1], rel=1e-6)


def test_more_replicas_say_it_closer():
    came = traffic.steady(500.0)
    widths = []
    for share in (0.1, 0.4, 1.0):
        low, high = sampling.operate(PLANT, SERVICE, came, share=share, **SHORT).interval("tokens_per_second")
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


def test_a_real_traces_requests_are_picked_in_turn():
    seed = np.random.default_rng(0)
    trace = Trace.of(np.cumsum(seed.exponential(1.0, 3000)), seed.integers(10, 2000, 3000), seed.integers(2, 300, 3000))
    came = traffic.replay(trace, requests_per_second=300)
    whole = operations.operate(PLANT, SERVICE, came, **SHORT)
    found = sampling.operate(PLANT, SERVICE, came, share=0.5, **SHORT)
    assert found.day.totals()["asked"] == pytest.approx(whole.totals()["asked"], rel=1e-3)
    assert found.value("tokens_per_second") == pytest.approx(whole.totals()["tokens_per_second"], rel=0.1)


def test_the_stratified_total_is_the_textbooks():
    """Two strata by hand: Cochran's estimator; the variance with 1/n + 1/N in place of 1/n - 1/N."""
    values, stratum, counts = np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1]), np.array([10, 4])
    found, variance, freedom = sampling.total(values, stratum, counts)
    assert found == 10 * 2 + 4 * 10
    assert variance == pytest.approx(100 * 2 * (1 / 2 + 1 / 10))
    assert freedom == pytest.approx(1)


def test_strata_are_who_the_same_incidents_hit():
    places = Places.of(PLANT, 1)
    strata = sampling.exposure(places, HIT)
    assert sorted(np.bincount(strata).tolist()) == [1, 32, 63]
    assert (
        sampling.drawn(np.bincount(strata), 0.01).tolist() == np.minimum(np.bincount(strata), sampling.LEAST).tolist()
    )
    grid = Incident("grid", at_hours=0.0, watts=1e6)
    assert np.bincount(sampling.exposure(places, [grid])).tolist() == [96]


@pytest.mark.parametrize(("wrong", "said"), [({"share": 0.0}, "share=0.0"), ({"confidence": 1.0}, "confidence=1.0")])
def test_a_share_that_cannot_be_is_named(wrong, said):
    with pytest.raises(TwinError, match=said) as refused:
        sampling.operate(PLANT, SERVICE, traffic.steady(100.0), **SHORT, **wrong)
    assert refused.value.mend


def test_a_figure_that_is_not_there_is_named():
    found = sampling.operate(PLANT, SERVICE, traffic.steady(50.0), hours=0.05)
    with pytest.raises(TwinError, match="no figure 'watts'"):
        found.value("watts")
