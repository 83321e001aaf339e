"""The model computes what transformers' Llama computes, and says what it cannot be."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from aifactory_lab.errors import ModelError
from aifactory_lab.lm.model import Llama, Shape, shape

GROUPED = Shape(vocabulary=96, layers=2, width=96, heads=6, kv_heads=2, hidden=64, context=48)


def awake(small: Shape, seed: int = 0) -> Llama:
    """A model with weights so large that logits differ much, and norms that are not all one."""
    llama = Llama(small, seed=seed)
    with torch.no_grad():
        for name, weight in llama.named_parameters():
            weight.mul_(4.0 if weight.dim() == 2 else 1.0).add_(0.1 if "norm" in name else 0.0)
    return llama


def twin(llama: Llama) -> LlamaForCausalLM:
    """The same weights in transformers."""
    theirs = LlamaForCausalLM(LlamaConfig(**llama.shape.config())).eval()
    missing, unexpected = theirs.load_state_dict(llama.state_dict(), strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # tied
    return theirs


@pytest.mark.parametrize("small", [shape(1, 64), shape(3, 300, context=64), GROUPED], ids=str)
def test_logits_are_those_of_transformers(small):
    llama = awake(small)
    ids = torch.randint(small.vocabulary, (3, small.context), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = llama(ids), twin(llama)(ids).logits
    assert ours.std() > 0.5
    assert (ours - theirs).abs().max() < 1e-5 * ours.abs().max()
    assert (ours - theirs).abs().max() < 1e-4


def test_loss_and_gradients_are_those_of_transformers():
    llama = awake(GROUPED)
    theirs = twin(llama)
    ids = torch.randint(96, (2, 20), generator=torch.Generator().manual_seed(2))
    targets = torch.roll(ids, -1, 1)
    targets[:, ::3] = -100
    llama.loss(ids, targets).backward()
    loss = theirs(ids, labels=targets, shift_labels=targets).loss
    loss.backward()
    assert llama.loss(ids, targets).item() == pytest.approx(loss.item(), abs=1e-5)
    mirror = dict(theirs.named_parameters())
    for name, weight in llama.named_parameters():
        assert torch.allclose(weight.grad, mirror[name].grad, atol=1e-5, rtol=1e-3), name


@settings(max_examples=25, deadline=None)
@given(place=st.integers(1, 15), token=st.integers(0, 63), seed=st.integers(0, 3))
def test_no_token_knows_what_comes_after_it(place, token, seed):
    llama = awake(shape(2, 64, context=16), seed)
    ids = torch.arange(16)[None]
    changed = ids.clone()
    changed[0, place] = token
    with torch.no_grad():
        before, after = llama(ids), llama(changed)
    assert torch.equal(before[:, :place], after[:, :place])
    assert token == place or not torch.allclose(before[:, place:], after[:, place:])


def test_a_new_model_knows_nothing():
    llama = Llama(shape(3, 500), seed=5)
    ids = torch.randint(500, (4, 64), generator=torch.Generator().manual_seed(0))
    assert llama.loss(ids, ids.roll(-1, 1)).item() == pytest.approx(math.log(500), abs=0.05)


def test_half_precision_stays_close():
    llama = awake(GROUPED)
    ids = torch.arange(40)[None]
    with torch.no_grad():
        full, half = llama(ids), llama.bfloat16()(ids)
    assert half.dtype == torch.bfloat16
    assert torch.nn.functional.cosine_similarity(full.flatten(), half.float().flatten(), dim=0) > 0.999


def test_the_seed_decides_the_weights():
    one, same, other = (Llama(shape(1, 64), seed=seed).state_dict() for seed in (1, 1, 2))
    matrix = "model.layers.0.self_attn.q_proj.weight"
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one[matrix], other[matrix])


@pytest.mark.parametrize(("depth", "parameters"), [(2, 0.24e6), (4, 1.07e6), (7, 4.73e6), (9, 9.55e6)])
def test_one_dial(depth, parameters):
    one = shape(depth, 2048)
    meta = torch.device("meta")
    with meta:
        llama = Llama(one)
    assert llama.count == pytest.approx(parameters, rel=0.01)
    assert one.matrices == sum(weight.numel() for weight in llama.parameters() if weight.dim() == 2)
    assert all(weight.shape[-1] % 32 == 0 for weight in llama.parameters())
    assert one.hidden / one.width == pytest.approx(8 / 3, rel=0.13)


def test_a_config_is_read_back_as_written_by_us_and_by_transformers():
    for one in (shape(3, 100, context=77), GROUPED):
        assert Shape.of(one.config()) == Shape.of(LlamaConfig(**one.config()).to_dict()) == one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"rope_parameters": None, "rope_theta": 1e5}, "'rope_theta': 100000.0"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "llama3"),
        ({"rope_parameters": None, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "linear"),
        ({"head_dim": 64}, "head_dim is 64"),
        ({"rms_norm_eps": 1e-6}, "rms_norm_eps is 1e-06"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"model_type": "mistral"}, "model_type is 'mistral'"),
    ],
)
def test_another_llama_is_refused_by_what_differs(change, said):
    with pytest.raises(ModelError, match="not a Llama of this house") as caught:
        Shape.of(GROUPED.config() | change)
    assert said in str(caught.value)
    assert "AutoModelForCausalLM" in caught.value.mend


def test_another_architecture_is_refused():
    with pytest.raises(ModelError, match="config of a gpt2 has no 'num_hidden_layers'"):
        Shape.of({"model_type": "gpt2", "vocab_size": 50257, "n_layer": 12})


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"depth": 49}, {"vocabulary": 1}, {"context": 1}])
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(ModelError, match="no model has depth"):
        shape(**({"depth": 2, "vocabulary": 64, "context": 16} | wrong))
