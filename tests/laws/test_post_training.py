"""Copying lowers the loss, trying follows the verifier, and both are paid for and judged."""

import pytest
import torch

from aifactory_lab.errors import ModelError
from aifactory_lab.laws import answering, countdown, post_training
from aifactory_lab.laws.post_training import Spent, reinforced, supervised
from aifactory_lab.lm import evaluation, flops, model, shards, tokenizer
from aifactory_lab.lm.optimiser import Rates


@pytest.fixture(scope="module")
def bytewise(texts):
    return tokenizer.train(texts["text"], vocabulary=257)


@pytest.fixture(scope="module")
def old(texts, bytewise, tmp_path_factory):
    packed = shards.write(texts, bytewise, tmp_path_factory.mktemp("old"))
    return evaluation.HeldOut.of(packed, bytewise, limit=2000)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def fresh() -> model.Llama:
    return model.Llama(model.shape(1, 257, context=64))


def weights(llama) -> torch.Tensor:
    return torch.cat([one.detach().flatten().clone() for one in llama.parameters()])


def test_copying_learns_the_form_and_is_paid_by_the_token(bytewise, old):
    llama, spent = fresh(), Spent()
    losses = list(supervised(llama, bytewise, spent, steps=30, batch=16))
    assert losses[0] == pytest.approx(5.55, abs=0.2), "of 257 tokens one is as likely as the other"
    assert losses[-1] < 3.4
    assert 30 * 16 * 10 < spent.tokens < 30 * 16 * 40
    least = 6 * llama.shape.matrices * spent.tokens
    assert least < spent.flops < 1.5 * least
    before = weights(llama)
    row = post_training.judged(llama, bytewise, countdown.some(4), old, spent, stage="copied-30", answers=2)
    assert (row["stage"], row["tokens"], row["flops"]) == ("copied-30", spent.tokens, spent.flops)
    assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
    assert row["best"] >= row["accuracy"]
    assert row["old_bits_per_byte"] > 4, "it has never read the old text"
    assert torch.equal(weights(llama), before), "to be judged changes nothing"
    told = post_training.curve([row | {"stage": "base", "old_bits_per_byte": 2.0}, row])
    assert told["forgotten"].to_list() == pytest.approx([0, row["old_bits_per_byte"] - 2])


def test_only_the_answer_is_learned(bytewise):
    inputs, targets = post_training._padded([([1, 2, 3], [4, 5]), ([6], [7])], 0)
    assert inputs.tolist() == [[1, 2, 3, 4], [6, 0, 0, 0]]
    assert targets.tolist() == [[-100, -100, 4, 5], [7, -100, -100, -100]]


def test_trying_is_drawn_to_what_the_verifier_accepts(bytewise, monkeypatch):
    """Any verifier: this one accepts a letter or a digit, of one token that is asked for: a quarter of noise is."""
    monkeypatch.setattr(countdown, "verify", lambda _, answer: answer.isalnum())
    monkeypatch.setattr(answering, "LONGEST", 1)
    llama, spent = fresh(), Spent()
    quick = Rates(matrices=1e-2, rest=1e-2, decay=0.0)
    shares = list(reinforced(llama, bytewise, spent, steps=25, questions=4, samples=16, rates=quick))
    assert sum(shares[:2]) / 2 < 0.6
    assert sum(shares[-2:]) / 2 > 0.85
    written = 25 * 4 * 16
    assert spent.flops > 6 * llama.shape.matrices * written + flops.per_token(llama.shape) / 3 * written


@pytest.mark.parametrize("accepts", [True, False])
def test_where_all_answers_are_equal_nothing_is_learned(bytewise, monkeypatch, accepts):
    monkeypatch.setattr(countdown, "verify", lambda *_: accepts)
    llama = fresh()
    before = weights(llama)
    assert list(reinforced(llama, bytewise, Spent(), steps=1, questions=2, samples=4)) == [float(accepts)]
    assert torch.equal(weights(llama), before)


def test_one_sample_is_compared_with_nothing(bytewise):
    with pytest.raises(ModelError, match="samples=1"):
        list(reinforced(fresh(), bytewise, Spent(), steps=1, samples=1))
