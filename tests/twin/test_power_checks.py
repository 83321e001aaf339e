"""Power while serving, beside what others measured: near on average, no worse than said, and every guess is named."""

import polars as pl
import pytest

from aifactory_lab.twin import hardware, power_checks
from aifactory_lab.twin.outcome import POWER_BAND


@pytest.fixture(scope="module")
def table():
    return power_checks.table()


def test_every_check_passes_and_says_that_it_was_seen():
    for check in power_checks.CHECKS:
        assert check.outcome().passed, check.name
        assert check.seen


def test_it_beats_what_a_plain_guess_would_say(table):
    """The TDP, which planners use, and an activity of 1 in any open batch are the same, and much further off."""
    tdp = pl.Series([hardware.gpu(name).tdp_watts for name in table["gpu"]])
    plain = ((tdp - table["watts"]) / table["watts"]).abs().mean()
    assert table["error"].abs().mean() < plain / 3


def test_the_band_that_designs_print_holds_eight_of_ten(table):
    low, high = POWER_BAND
    inside = (table["watts"] / table["ours"]).is_between(low, high)
    assert inside.sum() >= 8


def test_power_rises_with_the_batch_as_it_did(table):
    gist = table.filter(pl.col("tp") == 4).sort("batch")
    assert gist["ours"].is_sorted()
    assert gist["watts"].is_sorted()
    small = table.filter(pl.col("gpu") == "h100-sxm", pl.col("tp") == 1).sort("batch")
    assert small["batch"].to_list() == [1, 128, 511]
    assert (small["ours"].diff().drop_nulls() > 90).all()


def test_every_row_says_where_it_stands_and_what_was_guessed(table):
    assert table["source"].str.len_chars().min() > 20
    assert (table["guessed"] != "").all()
    assert table["error"].abs().max() < 0.35
