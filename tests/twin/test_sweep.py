"""The sweep: each row is what `evaluate` says of it, what cannot be has its reason, and the front is not beaten."""

import numpy as np
import polars as pl
import pytest

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import inference, sweep
from aifactory_lab.twin.design import Plant, Service, evaluate

GRID = {
    "chassis": ["dgx-h100", "gb200-nvl72"],
    "model": ["llama-3-70b", "gpt-oss-120b"],
    "precision": ["bf16", "fp8"],
    "rejection": ["tower", "dry"],
    "water_celsius": [30, 60],
    "tp": [1, 2, 8, 16],
    "concurrency": [1, 40, 900],
    "cap_share": [0.1, 0.5, 1.0],
}


@pytest.fixture(scope="module")
def frame():
    return sweep.sweep(GRID)


def test_every_combination_has_a_row(frame):
    assert len(frame) == np.prod([len(values) for values in GRID.values()])
    assert frame.select(*GRID).is_unique().all()


def test_a_row_is_what_evaluate_says_of_it(frame):
    some = frame.filter(pl.col("why") == "").sample(25, seed=7)
    for row in some.iter_rows(named=True):
        plant = Plant.about(1024, row["chassis"], water_celsius=row["water_celsius"], rejection=row["rejection"])
        cap = row["cap_share"] * plant.gpu.tdp_watts
        plant = Plant.about(1024, row["chassis"], water_celsius=row["water_celsius"], rejection=row["rejection"],
                            gpu_cap_watts=cap)  # fmt: skip
        service = Service(model=row["model"], precision=row["precision"], tp=int(row["tp"]), isl=row["isl"],
                          osl=row["osl"], concurrency=row["concurrency"], sequences=10**6)  # fmt: skip
        found = evaluate(plant, service)
        assert row["tpot"] == pytest.approx(found.tpot, rel=1e-3)
        assert row["ttft"] == pytest.approx(found.ttft, rel=1e-3)
        assert row["clock"] == pytest.approx(found.clock, rel=1e-3)
        assert row["tokens_per_second_per_gpu"] == pytest.approx(found.tokens_per_second / plant.gpus, rel=1e-3)
        assert row["pue"] == pytest.approx(found.pue, rel=1e-3)
        assert row["watts_per_gpu"] == pytest.approx(found.watts / plant.gpus, rel=1e-3)
        assert row["dollars_per_mtoken"] == pytest.approx(found.bill.dollars[1], rel=1e-3)
        assert row["kg_co2e_per_mtoken"] == pytest.approx(found.bill.kg_co2e[1], rel=1e-3)


def test_what_cannot_be_says_why_and_has_no_figures(frame):
    wrong = frame.filter(pl.col("why") != "")
    assert set(wrong["why"]) == set(sweep.WHY[1:])
    assert wrong.select(pl.col(sweep.FIGURES).is_nan().all()).row(0) == (True,) * len(sweep.FIGURES)
    right = frame.filter(pl.col("why") == "")
    assert right.select(pl.col(sweep.FIGURES).is_finite().all()).row(0) == (True,) * len(sweep.FIGURES)
    assert (wrong.filter(pl.col("why") == sweep.WHY[3])["cap_share"] < 0.2).all()
    large = wrong.filter(pl.col("why") == sweep.WHY[2])
    assert set(large["chassis"]) == {"dgx-h100"}
    assert set(large["tp"]) == {16.0}
    told = sweep.reasons(frame)
    assert told["configurations"].sum() == len(frame)


def test_more_power_never_gives_fewer_tokens(frame):
    keys = [name for name in GRID if name != "cap_share"]
    right = frame.filter(pl.col("why") == "").sort(*keys, "cap_share")
    steps = right.select(pl.col("tokens_per_second_per_gpu").diff().over(keys)).to_series().drop_nulls()
    assert len(steps)
    assert (steps >= -1e-3).all()


def test_nobody_beats_the_front_and_it_beats_everybody(frame):
    for latency, value in (("tpot", "tokens_per_second_per_mw"), ("ttft", "tokens_per_second_per_gpu")):
        front = sweep.pareto(frame, latency=latency, value=value)
        can = frame.filter(pl.col("why") == "")
        assert front[latency].is_sorted()
        assert front[value].is_sorted()
        for row in front.iter_rows(named=True):
            better = (pl.col(latency) <= row[latency]) & (pl.col(value) > row[value])
            assert can.filter(better).is_empty()
        for row in can.sample(40, seed=1).iter_rows(named=True):
            assert not front.filter((pl.col(latency) <= row[latency]) & (pl.col(value) >= row[value])).is_empty()


def test_the_front_by_model_has_each_models_band(frame):
    front = sweep.pareto(frame, by=["model"])
    assert set(front["model"]) == set(GRID["model"])
    for model, kind in (("llama-3-70b", "dense"), ("gpt-oss-120b", "moe")):
        low, high = inference.fitted().bands[kind]["tpot"]
        own = front.filter(pl.col("model") == model)
        assert (own["tpot_low"] / own["tpot"]).to_numpy() == pytest.approx(low, rel=1e-5)
        assert (own["tpot_high"] / own["tpot"]).to_numpy() == pytest.approx(high, rel=1e-5)
        name = "tokens_per_second_per_mw"
        assert (own[f"{name}_low"] / own[name]).to_numpy() == pytest.approx(1 / high, rel=1e-5)


def test_assumptions_of_money_reach_the_rows(frame):
    small = {name: values[:1] for name, values in GRID.items()} | {"tp": [8], "cap_share": [1.0]}
    plain, free = (sweep.sweep(small, assume=assume) for assume in (None, {"gpu_dollars": 0, "upkeep_per_year": 0}))
    assert plain["dollars_per_mtoken"][0] > free["dollars_per_mtoken"][0] > 0


def test_a_model_that_no_size_holds_is_counted_and_no_error():
    found = sweep.sweep({"chassis": ["dgx-h100"], "model": ["llama-3-405b"], "precision": ["bf16"], "tp": [1, 2]})
    assert set(found["why"]) == {sweep.WHY[1]}


def test_the_whole_grid_is_a_million():
    assert np.prod([len(values) for values in sweep.GRID.values()]) >= 1_000_000


@pytest.mark.parametrize(
    ("grid", "named"),
    [
        ({"colour": [1]}, "colour"),
        ({"tp": []}, "tp="),
        ({"concurrency": [0, 1]}, "concurrency="),
        ({"cap_share": [1, 1]}, "cap_share="),
        ({"chassis": ["dgx-z9"]}, "dgx-z9"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(grid, named):
    with pytest.raises(TwinError, match=named) as refused:
        sweep.sweep(grid)
    assert refused.value.mend


def test_a_front_of_what_is_not_there_is_refused(frame):
    with pytest.raises(TwinError, match="beauty"):
        sweep.pareto(frame, value="beauty")
