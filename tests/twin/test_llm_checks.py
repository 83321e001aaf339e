"""The checks of language models: all computed where the measurements are, none passed by leaving a row out."""

import polars as pl
import pytest

from aifactory_lab.datasets import places
from aifactory_lab.twin import calibration, llm_checks, validation
from tests.datasets.test_cards import stores

STORES = [store for store in stores() if next(store.rglob(calibration.FILE), None)]


def test_they_are_on_the_card_and_say_so_where_measurements_lack(monkeypatch, tmp_path):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    names = [check.name for check in llm_checks.CHECKS]
    card = validation.card(names)
    assert card["check"].to_list() == names
    without = card.filter(pl.col("ours").is_null())
    assert len(without) == sum(check.needs == (calibration.FILE,) for check in llm_checks.CHECKS)
    assert without["note"].str.contains(calibration.FILE).all()
    assert card.filter(pl.col("ours").is_not_null())["passed"].all()


@pytest.mark.parametrize("store", STORES, ids=str)
def test_they_pass_where_the_measurements_are(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    llm_checks.predicted.cache_clear()
    card = validation.card(check.name for check in llm_checks.CHECKS)
    assert card["passed"].to_list() == [True] * len(card)
    beaten = card.filter(pl.col("check") == "Dense models on B200").row(0, named=True)
    assert beaten["ours"] < 0.08
    assert not beaten["seen"]


@pytest.mark.parametrize("store", STORES, ids=str)
def test_first_tokens_are_told_by_whose_client_asked(monkeypatch, store):
    """InferenceX's lengths vary and its starts spread; of the other sweeps nobody says how they start."""
    monkeypatch.setenv(places.VARIABLE, str(store))
    llm_checks.predicted.cache_clear()
    held = llm_checks.predicted().filter(
        pl.col("held"), pl.col("backend") != "sglang", pl.col("model") == "llama-3-70b"
    )
    unseen = held.filter(pl.col("system") != calibration.FIT_ON)
    assert set(unseen["client"]) == {"inferencex"}
    assert unseen["ttft_error"].abs().median() < 0.16
    swept = llm_checks.predicted().filter(pl.col("client") == "swept", pl.col("backend") == "vllm")
    assert swept["ttft_error"].median() < -0.1  # they wait for others that started with them


@pytest.mark.parametrize("store", STORES, ids=str)
def test_what_is_left_out_is_little_and_named(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    rows = calibration.rows()
    out = rows.filter(~pl.col("why").is_in(["", "listed twice"]))
    assert len(out) / len(rows) < 0.03
    assert set(out["why"]) == {"faster than its bytes", "prompts from a cache"}
    systems = dict(rows.filter(pl.col("why") == "")["system"].value_counts().iter_rows())
    assert systems["h100_sxm"] > 700
    assert systems["b200_sxm"] > 600
