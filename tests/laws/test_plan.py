"""From a loss to a plant: what is planned obeys the law, the twin and arithmetic."""

import pytest

from aifactory_lab.errors import TwinError
from aifactory_lab.laws import chinchilla, plan
from aifactory_lab.laws.demand import demand
from aifactory_lab.laws.law import EPOCH, HOFFMANN
from aifactory_lab.twin import training
from aifactory_lab.twin.plant import Plant
from tests.laws.points import drawn

PLANT = Plant(gpus=4096, chassis="dgx-h100")


@pytest.mark.parametrize("target", [2.6, 2.2, 1.95])
def test_a_plan_comes_to_the_loss_at_the_least_cost(target):
    made = plan.plan(target, PLANT)
    assert made.loss == pytest.approx(target, abs=1e-3)
    assert made.flops == pytest.approx(EPOCH.reaching(target).flops, rel=1e-6)
    assert made.flops == pytest.approx(6 * made.model.active_parameters * made.tokens)
    own = training.plan(made.model, PLANT.gpu, gpus=4096, tokens=made.tokens, mfu=plan.MFU)
    assert made.run == own
    low, usual, high = made.dollars
    assert low < usual < high
    assert usual / made.gpu_hours == pytest.approx(1.5, rel=0.5), "a GPU-hour's price"
    assert made.mwh * 1e6 / made.gpu_hours == pytest.approx(1200, rel=0.25), "watts a GPU, with its host and cooling"
    told = dict(made.table().select("figure", "usual").rows())
    assert told["GPU-hours"] == made.gpu_hours
    assert told["energy"] == pytest.approx(told["power"] * told["time"] * 24)


def test_a_little_lower_costs_several_times_more():
    assert plan.further(2.0, 0.05) == pytest.approx(plan.plan(1.95).flops / plan.plan(2.0).flops, rel=1e-6)
    dear = plan.plan(2.0, PLANT, mfu=0.2)
    assert dear.gpu_hours / plan.plan(2.0, PLANT).gpu_hours == pytest.approx(2, rel=0.05)
    assert plan.plan(2.0, PLANT, law=HOFFMANN).flops != dear.flops


def test_a_fit_says_how_far_it_is_stretched():
    fit = chinchilla.fit(drawn(EPOCH), replicates=0)
    assert "further than they can vouch for" in plan.plan(1.83, PLANT, law=fit).words
    assert plan.plan(2.2, PLANT, law=fit).words == "within the runs of the fit"
    assert "published law" in plan.plan(2.2, PLANT).words


def test_models_are_made_of_whole_layers_near_the_size_that_was_asked():
    for size in (2e7, 1e9, 7e10, 1e12):
        model = plan.shape(size)
        assert model.active_parameters == pytest.approx(size, rel=0.1)
        assert model.heads * model.head == model.hidden
    assert plan.shape(7e10).layers == pytest.approx(70, abs=12)


def test_n_answers_ask_for_n_times_the_gpus_and_more_latency_for_fewer():
    one, many = (demand("llama-3-8b", questions_per_second=500, answers=n) for n in (1, 8))
    assert many.gpus / one.gpus == pytest.approx(8, rel=0.1)
    assert many.tokens_per_second >= 500 * 8 * 512
    assert one.tpot_ms <= 50
    assert many.dollars_per_question[1] / one.dollars_per_question[1] == pytest.approx(8, rel=0.15)
    assert one.dollars_per_correct(0.5)[1] == pytest.approx(2 * one.dollars_per_question[1])
    patient, hasty = (demand("llama-3-70b", questions_per_second=50, tpot_ms=ms) for ms in (50, 25))
    assert hasty.gpus > patient.gpus
    assert hasty.tpot_ms <= 25
    assert one.joules_per_question * 500 == pytest.approx(one.watts)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: plan.plan(1.5), "the floor is 1.817"),
        (lambda: plan.shape(5e5), "no Llama of 32,000 tokens has about 5e\\+05 parameters"),
        (lambda: plan.plan(2.0, mfu=1.5), "mfu=1.5"),
        (lambda: demand("llama-3-8b", questions_per_second=0), "questions_per_second=0 must be positive"),
        (lambda: demand("llama-3-70b", questions_per_second=1, tp=1, precision="bf16"), "no request"),
        (lambda: demand("llama-3-70b", questions_per_second=1, tpot_ms=0.5), "ms at best, not in 0.5"),
        (lambda: demand("llama-3-8b", questions_per_second=1).dollars_per_correct(0), "nothing correct has no price"),
    ],
)
def test_what_cannot_be_is_said(make, said):
    with pytest.raises(TwinError, match=said) as raised:
        make()
    assert raised.value.mend
