"""The air: measured days are what the table says, hours join without a step, heat waves are hot and moist."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import climate


def test_a_measured_day_is_the_mean_of_the_three_airports():
    table = datasets.load("flights")["weather"].filter(pl.col("month") == 7, pl.col("day") == 15).collect()
    day = climate.new_york("2013-07-15")
    for hour in (0, 6, 15):
        mean = table.filter(pl.col("hour") == hour)["temp"].mean()
        assert day.dry_celsius[hour] == pytest.approx((mean - 32) / 1.8)
    assert day.dry_celsius.max() > 30
    assert "measured" in day.note


def test_the_year_has_its_seasons():
    days = climate.days()
    assert len(days) > 360
    assert days.sort("mean")["day"][-1].month == 7
    assert days.sort("mean")["day"][0].month in {1, 2, 12}


@settings(deadline=None, max_examples=50)
@given(st.floats(-20, 45), st.floats(0.05, 1), st.floats(-5, 10))
def test_the_wet_bulb_is_never_above_the_air_and_a_warmer_day_is_warmer_in_both(dry, humidity, by):
    day = climate.steady(dry, humidity=humidity)
    wave = day.warmer(by=by)
    assert (day.wet_celsius <= day.dry_celsius).all()
    assert (wave.wet_celsius <= wave.dry_celsius).all()
    assert wave.dry_celsius == pytest.approx(dry + by)
    if by > 0 and dry > 0:
        assert (wave.wet_celsius >= day.wet_celsius).all()


def test_between_hours_it_goes_straight_and_the_day_closes_on_itself():
    day = climate.new_york("2013-01-23")
    dry, wet = day.at([0, 1800, 86_400, -1800])
    assert dry[0] == dry[2] == day.dry_celsius[0]
    assert dry[1] == pytest.approx(day.dry_celsius[:2].mean())
    assert dry[3] == pytest.approx((day.dry_celsius[-1] + day.dry_celsius[0]) / 2)
    assert (wet <= dry).all()


def test_a_wave_may_last_some_hours_only():
    wave = climate.steady(20).warmer(by=8, hours=(12, 18))
    assert np.flatnonzero(wave.dry_celsius > 20).tolist() == [12, 13, 14, 15, 16, 17, 18]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: climate.new_york("2014-07-15"), "2014-07-15"),
        (lambda: climate.new_york("yesterday"), "yesterday"),
        (lambda: climate.steady(20, humidity=1.2), r"1\.2"),
        (lambda: climate.steady(float("nan")), "nan"),
        (lambda: climate.Climate(np.array([]), np.array([]), np.array([])), "dry_celsius"),
    ],
)
def test_what_cannot_be_is_refused(call, named):
    with pytest.raises(TwinError, match=named) as refused:
        call()
    assert refused.value.mend
