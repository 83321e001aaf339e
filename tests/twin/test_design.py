"""Designs: loads find their concurrency, limits bind clocks and tokens, books balance, and nothing bad is hidden."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import climate, inference, serving
from aifactory_lab.twin import service as services
from aifactory_lab.twin.design import Plant, Service, evaluate, what_if

CHASSIS = st.sampled_from(["dgx-h100", "dgx-b200", "gb200-nvl72"])
MODELS = st.sampled_from(["llama-3-8b", "llama-3-70b", "gpt-oss-120b"])
PLANT = Plant(gpus=64, chassis="dgx-b200")
CAPPED = Plant(gpus=64, chassis="dgx-b200", gpu_cap_watts=500)


def most(plant, service):
    return evaluate(plant, replace(service, requests_per_second=None)).could_tokens_per_second / service.osl


@settings(deadline=None, max_examples=25)
@given(CHASSIS, MODELS, st.floats(0.01, 0.95))
def test_a_rate_is_answered_by_as_many_requests_as_little_says(chassis, model, part):
    plant = Plant.about(72, chassis)
    service = Service(model=model, tp=8)
    rate = part * most(plant, service)
    found = evaluate(plant, replace(service, requests_per_second=rate))
    stay = found.ttft + (service.osl - 1) * found.tpot
    assert found.tokens_per_second == pytest.approx(rate * service.osl)
    assert not found.overloaded
    inside = rate / found.replicas.count * stay
    if found.concurrency > 1:  # the model's stay counts osl steps, ours osl - 1: a token in two hundred
        assert inside == pytest.approx(found.concurrency, rel=0.05)
    else:
        assert inside <= 1.05


@settings(deadline=None, max_examples=25)
@given(CHASSIS, MODELS, st.floats(0.01, 2), st.floats(0.01, 2))
def test_more_load_never_lowers_ttft_nor_watts_and_is_never_lost_unsaid(chassis, model, one, other):
    plant, service = Plant.about(72, chassis), Service(model=model, tp=8)
    top = most(plant, service)
    low, high = (
        evaluate(plant, replace(service, requests_per_second=part * top)) for part in sorted((one, other))
    )  # fmt: skip
    assert low.ttft <= high.ttft * (1 + 1e-6)
    assert low.tpot <= high.tpot * (1 + 1e-6)
    assert low.tokens_per_second <= high.tokens_per_second * (1 + 1e-9)
    assert low.watts <= high.watts * (1 + 1e-3)
    for found, part in zip((low, high), sorted((one, other)), strict=True):
        assert found.overloaded == (part > 1 + 1e-9)
        assert found.overloaded == np.isinf(found.ttft)
        assert any("overloaded" in note for note in found.notes) == found.overloaded
        assert found.slo_kept != found.overloaded


@settings(deadline=None, max_examples=20)
@given(CHASSIS, MODELS, st.sampled_from([None, 50.0, 1e6]), st.lists(st.floats(0.2, 1), min_size=2, max_size=2))
def test_more_power_never_gives_fewer_tokens_and_a_cap_is_kept(chassis, model, rate, parts):
    plants = [Plant.about(72, chassis, gpu_cap_watts=None)]
    tdp = plants[0].gpu.tdp_watts
    found = [
        evaluate(replace(plants[0], gpu_cap_watts=part * tdp), Service(model=model, tp=8, requests_per_second=rate))
        for part in sorted(parts)
    ]  # fmt: skip
    less, more = found
    assert less.tokens_per_second <= more.tokens_per_second * (1 + 1e-4)
    assert less.could_tokens_per_second <= more.could_tokens_per_second * (1 + 1e-4)
    assert less.clock <= more.clock * (1 + 1e-4)
    for one, part in zip(found, sorted(parts), strict=True):
        assert one.gpu_watts <= part * tdp * 1.001 or "at the least clock" in one.notes[-1]


@settings(deadline=None, max_examples=20)
@given(CHASSIS, st.floats(20, 85), st.floats(20, 85))
def test_warmer_water_never_gives_more_tokens_nor_a_gpu_above_its_limit(chassis, one, other):
    cool, warm = (
        evaluate(Plant.about(72, chassis, water_celsius=water), Service(tp=8)) for water in sorted((one, other))
    )  # fmt: skip
    assert warm.tokens_per_second <= cool.tokens_per_second * (1 + 1e-4)
    for found in (cool, warm):
        assert found.gpu_celsius <= 85.1 or "at the least clock" in found.notes[-1]
        assert (found.bound == "temperature") == (found.clock < 1)


def test_the_loop_closes_at_a_fixed_point():
    """At the clock that was found, the load's watts are the cap; a little faster they would pass it."""
    found = evaluate(CAPPED, Service(tp=2))
    assert 0.2 < found.clock < 1
    assert found.gpu_watts == pytest.approx(500, rel=1e-4)
    assert found.bound == "power cap"
    free = evaluate(PLANT, Service(tp=2))
    assert free.gpu_watts > 500
    assert found.tpot > free.tpot


@settings(deadline=None, max_examples=20)
@given(CHASSIS, st.floats(1, 500), st.integers(0, 60), st.floats(0, 35))
def test_the_books_balance(chassis, rate, training, dry):
    plant = Plant.about(72, chassis)
    each = plant.gpus_per_chassis
    plant = replace(plant, gpus=plant.gpus + each)
    found = evaluate(
        plant, Service(model="llama-3-8b", requests_per_second=rate, training_gpus=training),
        climate=climate.steady(dry),
    )  # fmt: skip
    cut = found.replicas
    assert cut.serving_gpus + cut.training_gpus + cut.idle_gpus == plant.gpus
    assert cut.count * cut.tp == cut.serving_gpus
    losses = found.losses()
    assert losses["watts"].sum() == pytest.approx(found.watts)
    assert (losses["watts"] >= 0).all()
    assert losses["share"].sum() == pytest.approx(1)
    assert losses["left"][-1] == pytest.approx(0, abs=1)
    assert found.site.heat_watts == pytest.approx(found.site.watts)
    assert found.tokens_per_joule * found.joules_per_token == pytest.approx(1)
    energy = found.bill.parts["energy"][1] / found.bill.assumed["dollars_per_kwh"][1] * 3.6
    assert energy == pytest.approx(found.joules_per_token), "the bill counts the joules that a token takes"


def test_a_table_says_of_every_figure_its_unit_and_what_it_rests_on():
    found = evaluate(PLANT, Service(requests_per_second=20, ttft_ms=2000, tpot_ms=40))
    table = found.table()
    assert table["rests_on"].str.len_chars().min() > 5
    known = table.drop_nulls(["low", "high"])
    assert (known["low"] <= known["value"]).all()
    assert (known["value"] <= known["high"]).all()
    assert {"time per token", "PUE", "price of a million tokens"} <= set(table["figure"])
    assert table.filter(table["figure"] == "PUE")["rests_on"].item().startswith("NOT VALIDATED")


def test_without_a_rate_it_is_the_most_within_the_slo():
    tight = evaluate(PLANT, Service(tp=2, tpot_ms=25))
    assert tight.slo_kept
    assert tight.tpot == pytest.approx(0.025, rel=0.01)
    assert tight.tokens_per_second == pytest.approx(tight.good_tokens_per_second, rel=1e-3)
    assert tight.good_tokens_per_second < tight.could_tokens_per_second
    asked = evaluate(PLANT, Service(tp=2, tpot_ms=25, requests_per_second=tight.requests_per_second * 1.2))
    assert not asked.slo_kept
    assert not asked.overloaded


def test_an_slo_that_nothing_keeps_is_said():
    found = evaluate(PLANT, Service(tpot_ms=0.1))
    assert not found.slo_kept
    assert found.good_tokens_per_second == 0
    assert "not even one request" in " ".join(found.notes)
    assert "no size keeps" in found.replicas.reason


def test_replicas_are_as_small_as_memory_and_slo_allow():
    h100 = Plant(gpus=64, chassis="dgx-h100")
    small = services.replicas(h100, Service(model="llama-3-8b", precision="bf16"))
    large = services.replicas(h100, Service(model="llama-3-70b", precision="bf16"))
    fast = services.replicas(h100, Service(model="llama-3-70b", precision="bf16", tpot_ms=14))
    assert (small.tp, large.tp) == (1, 2)
    assert fast.tp == 8
    assert "SLO" in fast.reason
    sizes = {"isl": 1024, "osl": 256, "concurrency": 1e9}
    assert inference.predict("llama-3-70b", "h100-sxm", tp=2, **sizes).batch >= services.ROOM


def test_the_most_sequences_are_those_of_the_simulation():
    assert services.SEQUENCES == serving.SEQUENCES


def test_a_closed_loop_agrees_with_the_prediction():
    found = evaluate(PLANT, Service(tp=2, concurrency=32))
    alone = inference.predict("llama-3-70b", "b200-sxm", tp=2, isl=1024, osl=256, concurrency=32, precision="fp8")
    assert found.tokens_per_second == pytest.approx(32 * float(alone.tokens_per_second))
    assert found.tpot == pytest.approx(float(alone.tpot))


def test_a_closed_loop_larger_than_its_room_waits_and_says_so():
    found = evaluate(PLANT, Service(tp=2, concurrency=400))
    full = evaluate(PLANT, Service(tp=2, concurrency=256))
    assert found.batch == full.batch == 256
    assert found.tokens_per_second == pytest.approx(full.tokens_per_second)
    rate = full.requests_per_second / full.replicas.count
    assert found.ttft == pytest.approx(full.ttft + 144 / rate)
    assert "144 wait" in " ".join(found.notes)
    assert not found.overloaded


def test_measured_weather_moves_water_and_pue_of_a_dry_cooler():
    plant = Plant(gpus=72, chassis="gb200-nvl72", rejection="dry", water_celsius=35)
    hot, cold = (evaluate(plant, Service(), climate=climate.new_york(day)) for day in ("2013-07-18", "2013-01-23"))
    assert hot.pue > cold.pue + 0.02
    assert hot.peak_watts > hot.watts
    assert hot.water_kg_s == cold.water_kg_s == 0


def test_what_if_compares_with_the_design_as_it_is():
    plant = Plant(gpus=72, chassis="gb200-nvl72", water_celsius=20)
    frame = what_if(plant, Service(), change="water_celsius", to=(30, 40), climate=climate.new_york("2013-07-18"))
    assert frame["water_celsius"].to_list() == ["20", "30", "40"]
    assert frame["saving"][0] == 0
    assert 0 < frame["saving"][1] <= frame["saving"][2] < 1
    chosen = what_if(plant, Service(), change="precision", to=("bf16",))
    assert chosen["could_tokens_per_second"][0] > chosen["could_tokens_per_second"][1]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Service(requests_per_second=0), "requests_per_second=0"),
        (lambda: Service(requests_per_second=float("inf")), "requests_per_second=inf"),
        (lambda: Service(isl=-1), "isl=-1"),
        (lambda: Service(tpot_ms=0), "tpot_ms=0"),
        (lambda: Service(training_gpus=-8), "training_gpus=-8"),
        (lambda: Service(concurrency=8, requests_per_second=10), "concurrency=8"),
        (lambda: Service(model="llama-9"), "llama-9"),
        (lambda: evaluate(PLANT, Service(precision="fp7")), "fp7"),
        (lambda: evaluate(PLANT, Service(tp=16)), "tp=16"),
        (lambda: evaluate(PLANT, Service(training_gpus=64)), "training_gpus=64"),
        (lambda: evaluate(PLANT, Service(model="llama-3-405b", precision="bf16", tp=2)), "405b in bf16 takes"),
        (lambda: what_if(PLANT, Service(), change="colour", to=(1,)), "colour"),
        (lambda: evaluate(Plant(gpus=8, gpu_cap_watts=-100), Service()), "gpu_cap_watts=-100"),
        (lambda: evaluate(PLANT, Service(), assume={"tarrif": 1}), "tarrif"),
    ],
)
def test_what_cannot_be_is_refused_by_its_value(call, named):
    with pytest.raises(TwinError, match=named) as refused:
        call()
    assert refused.value.mend
