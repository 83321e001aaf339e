"""Rates: right for every way a counter can move, or none at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.telemetry.nvml.counters import LEAST_SECONDS, Rates

SECONDS = st.floats(LEAST_SECONDS * 1.01, 1e4)


def update(rates: Rates, count: int, time: float, *, bits: int = 64, present: bool = True) -> float:
    """Take one counter's look; return its rate."""
    table = rates.update(
        np.array([[count % 2**bits]], np.uint64), np.array([[bits]]), np.array([[present]]), np.array([time])
    )
    return float(table[0, 0])


@given(st.integers(0, 2**63), st.integers(0, 2**62), SECONDS)
def test_a_wide_counter_gives_its_gain_over_the_time(start, gain, seconds):
    rates = Rates(1, 1)
    assert np.isnan(update(rates, start, 0.0))
    assert update(rates, start + gain, seconds) == pytest.approx(gain / seconds)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), SECONDS)
def test_a_narrow_counter_may_wrap_once(start, gain, seconds):
    rates = Rates(1, 1)
    update(rates, start, 0.0, bits=32)
    assert update(rates, start + gain, seconds, bits=32) == pytest.approx(gain / seconds)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), SECONDS, st.floats(1e6, 1e12))
def test_a_narrow_counter_on_a_link_that_could_wrap_it_twice_is_doubtful(start, gain, seconds, top):
    rates = Rates(1, 1, top)
    update(rates, start, 0.0, bits=32)
    doubtful = np.isnan(update(rates, start + gain, seconds, bits=32))
    assert doubtful == rates.doubtful[0, 0] == (top * seconds >= 2**32)


def test_a_wide_counter_is_never_doubtful():
    rates = Rates(1, 1, 1e12)
    update(rates, 0, 0.0)
    assert update(rates, 10**15, 1e4) == 1e11


def test_a_counter_that_calls_itself_wide_but_wraps_at_32_bits_is_found_out():
    rates = Rates(1, 1, 1e6)
    update(rates, 2**32 - 1_000, 0.0)
    assert update(rates, 500, 1.0) == 1_500
    update(rates, 2**31, 2.0)
    assert np.isnan(update(rates, 2**31 + 5, 2.0 + 2**32 / 1e6 + 1)), "from now on it is known to be narrow"


def test_a_wide_counter_that_falls_began_anew():
    rates = Rates(1, 1)
    update(rates, 2**40, 0.0)
    assert np.isnan(update(rates, 100, 1.0))
    assert update(rates, 300, 2.0) == 200


def test_too_short_an_interval_keeps_the_rate_and_the_count_before():
    rates = Rates(1, 1)
    update(rates, 0, 0.0)
    update(rates, 100, 1.0)
    assert update(rates, 150, 1.0 + LEAST_SECONDS / 2) == 100
    assert update(rates, 200, 2.0) == 100


def test_a_counter_that_was_away_starts_afresh():
    rates = Rates(1, 1)
    update(rates, 0, 0.0)
    update(rates, 100, 1.0)
    assert np.isnan(update(rates, 0, 2.0, present=False))
    assert np.isnan(update(rates, 10**6, 3.0))
    assert update(rates, 10**6 + 7, 4.0) == 7


def test_each_counter_of_a_table_has_its_own_time_and_life():
    rates = Rates(2, 2)
    counts, bits, there = np.zeros((2, 2), np.uint64), np.full((2, 2), 64), np.array([[True, True], [False, True]])
    rates.update(counts, bits, there, np.array([0.0, 0.0]))
    now = rates.update(counts + np.uint64(10), bits, there | True, np.array([1.0, 2.0]))
    assert now.tolist() == [[10.0, 10.0], [pytest.approx(np.nan, nan_ok=True), 5.0]]
