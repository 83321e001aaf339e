"""Steps are those of Muon and AdamW in float32, whatever the model computes in; the schedule keeps its bounds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import ModelError
from aifactory_lab.lm.model import Llama, shape
from aifactory_lab.lm.optimiser import Optimiser, Rates, Schedule, is_matrix

SMALL = shape(2, 64, context=16)


def learn(model: Llama, optimiser: Optimiser, steps: range) -> None:
    for step in steps:
        ids = torch.randint(64, (2, 17), generator=torch.Generator().manual_seed(step))
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimiser.step(Schedule().factor(step, 20))


def test_a_step_is_that_of_the_two_optimisers_by_hand():
    ours, theirs = Llama(SMALL), Llama(SMALL)
    learn(ours, Optimiser(ours, Rates(matrices=1e-2, rest=1e-2)), range(3))
    named = dict(theirs.named_parameters())
    matrices = [weight for name, weight in named.items() if "proj" in name]
    rest = [weight for name, weight in named.items() if "proj" not in name]
    assert len(matrices) == 14
    muon = torch.optim.Muon(matrices, lr=1e-2, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(rest, lr=1e-2, betas=(0.9, 0.95), weight_decay=0, fused=True)
    for step in range(3):
        ids = torch.randint(64, (2, 17), generator=torch.Generator().manual_seed(step))
        theirs.zero_grad()
        theirs.loss(ids[:, :-1], ids[:, 1:]).backward()
        for inner in (muon, adamw):
            inner.param_groups[0]["lr"] = 1e-2 * Schedule().factor(step, 20)
            inner.step()
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight, named[name], rtol=1e-5, atol=1e-7)


def test_masters_keep_what_bfloat16_would_round_away():
    model = Llama(SMALL).bfloat16()
    optimiser = Optimiser(model, Rates(matrices=1e-6, rest=1e-6, decay=0.0))
    before = {name: weight.clone() for name, weight in optimiser.weights().items()}
    norm = model.model.norm.weight.clone()
    learn(model, optimiser, range(1, 5))
    assert torch.equal(model.model.norm.weight, norm)  # a step of 1e-6 from 1.0 is nothing in bfloat16
    for name, weight in optimiser.weights().items():
        assert weight.dtype == torch.float32
        assert not torch.equal(weight, before[name]), name
    for name, weight in model.named_parameters():
        assert torch.equal(weight, optimiser.weights()[name].bfloat16()), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_run_taken_up_from_its_state_moves_as_if_never_stopped(dtype):
    whole = Llama(SMALL).to(dtype)
    optimiser = Optimiser(whole, Rates())
    learn(whole, optimiser, range(4))
    state = {name: value.clone() for name, value in optimiser.state().items()}
    learn(whole, optimiser, range(4, 8))
    other = Llama(SMALL, seed=5).to(dtype)
    again = Optimiser(other, Rates())
    again.load(state)
    learn(other, again, range(4, 8))
    for name, weight in optimiser.weights().items():
        assert torch.equal(weight, again.weights()[name]), name


def test_a_state_of_another_model_is_refused():
    state = Optimiser(Llama(SMALL), Rates()).state()
    with pytest.raises(ModelError, match=r"no weights model\.embed_tokens\.weight of shape \(32, 64\)"):
        Optimiser(Llama(shape(2, 32)), Rates()).load(state)


def test_only_matrices_between_hidden_values_are_muons():
    names = {name for name, weight in Llama(SMALL).named_parameters() if is_matrix(name, weight)}
    assert names == {name for name, _ in Llama(SMALL).named_parameters() if "_proj" in name}


@given(st.integers(1, 5_000), st.data())
def test_the_schedule_rises_stays_and_falls(steps, data):
    schedule = Schedule()
    step = data.draw(st.integers(0, steps - 1))
    factor = schedule.factor(step, steps)
    assert 0 < factor <= 1
    if 0.04 * steps <= step < 0.5 * steps:
        assert factor == 1
    if 0.04 * steps <= step < steps - 1:
        assert schedule.factor(step + 1, steps) <= factor
    assert schedule.factor(steps - 1, steps) <= max(2 / steps, 1 / max(1, 0.04 * steps))
