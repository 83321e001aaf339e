"""The card: all published numbers computed and met, failures shown, and what has no data said to have none."""

import polars as pl
import pytest

from aifactory_lab.datasets import places
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import plant_checks, validation
from aifactory_lab.twin.checks import Check

PLANT = [check.name for check in plant_checks.CHECKS]


def test_the_plants_numbers_are_met(measurements):
    card = validation.card(PLANT)
    missed = card.filter(~pl.col("passed").fill_null(value=False))
    assert missed.is_empty(), missed
    assert len(card) >= 12
    assert card["source"].str.len_chars().min() > 5


def test_most_of_them_were_not_seen(measurements):
    card = validation.card(PLANT)
    assert (~card["seen"]).sum() >= 9


def test_without_measurements_a_row_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    card = validation.card(["Mean power of a Kalos A100", "Frontier at rest"])
    there, not_there = card.sort("check").rows(named=True)
    assert there["passed"] is True
    assert not_there["passed"] is None
    assert not_there["ours"] is None
    assert "gpu_power_kalos.csv" in not_there["note"]


def test_a_number_that_is_missed_is_shown_as_missed(monkeypatch):
    missed = Check("moon", unit="km", source="a globe", target=384_400, ours=lambda: 300_000.0, tolerance=0.1)
    monkeypatch.setattr(validation, "CHECKS", (missed,))
    row = validation.card().row(0, named=True)
    assert row["passed"] is False
    assert row["error"] == pytest.approx(-0.2196, abs=1e-4)
    assert row["ours"] == 300_000


def test_a_target_of_nought_has_an_absolute_error():
    check = Check("error", unit="share", source="rows", target=0.0, ours=lambda: 0.05, tolerance=0.06)
    assert check.outcome().error == 0.05
    assert check.outcome().passed


def test_names_are_unique_and_unknown_ones_refused():
    assert len(set(validation.names())) == len(validation.names())
    with pytest.raises(TwinError, match="Frontier at sea"):
        validation.card(["Frontier at sea"])
