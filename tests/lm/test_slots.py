"""Many requests at once say what each alone would, at the probabilities that they claim."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import tokenizer
from aifactory_lab.lm.choice import choose
from aifactory_lab.lm.kv_cache import Cache
from aifactory_lab.lm.slots import Sampler
from tests.lm.test_model import GROUPED, awake

LETTERS = tokenizer.train(["a"], 257)
BABBLER = awake(dataclasses.replace(GROUPED, vocabulary=257), seed=4)
PROMPTS = [[1 + (7 * number + place) % 250 for place in range(1 + 5 * number % 17)] for number in range(9)]


def believed(model, prompt, tokens):
    """Log-probabilities of tokens after a prompt, by one pass over both."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)[range(len(tokens)), tokens]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("slots", [1, 3, 16])
def test_logits_are_those_of_a_full_pass(slots, temperature):
    done = Sampler(BABBLER, LETTERS, slots=slots).generate(PROMPTS, max_tokens=20, temperature=temperature)
    for prompt, completion in zip(PROMPTS, done, strict=True):
        assert torch.allclose(
            torch.tensor(completion.logprobs), believed(BABBLER, prompt, completion.tokens), atol=1e-4
        )


def test_greedy_is_what_transformers_generates(checkpoint):
    theirs = LlamaForCausalLM(LlamaConfig(**checkpoint.model.shape.config())).eval()
    theirs.load_state_dict(checkpoint.model.state_dict(), strict=False)
    texts = ["def ", "import os\n", "class Error(Exception):", "# "]
    done = Sampler(checkpoint.model, checkpoint.tokenizer, slots=2).generate(texts, max_tokens=16)
    for text, completion in zip(texts, done, strict=True):
        ids = torch.tensor([checkpoint.tokenizer.encode(text)])
        end = checkpoint.tokenizer.end
        found = theirs.generate(ids, max_new_tokens=16, do_sample=False, eos_token_id=end, pad_token_id=end)
        assert completion.tokens == found[0, ids.shape[1] :].tolist()
        assert completion.text == checkpoint.tokenizer.decode([t for t in completion.tokens if t != end])


@settings(max_examples=12, deadline=None)
@given(
    slots=st.integers(1, 9),
    prompts=st.lists(st.lists(st.integers(0, 256), max_size=30), min_size=1, max_size=7),
    seed=st.integers(0, 99),
    top_p=st.sampled_from([1.0, 0.8]),
)
def test_the_number_of_slots_changes_nothing(slots, prompts, seed, top_p):
    asked = {"max_tokens": 12, "temperature": 0.8, "top_p": top_p, "seed": seed}
    alone = Sampler(BABBLER, LETTERS, slots=1).generate(prompts, **asked)
    together = Sampler(BABBLER, LETTERS, slots=slots).generate(prompts, **asked)
    assert [one.tokens for one in alone] == [one.tokens for one in together]


def test_seed_and_place_decide(checkpoint):
    sampler = Sampler(checkpoint.model, checkpoint.tokenizer)
    asked = {"max_tokens": 12, "temperature": 1.5}
    texts = [one.text for one in sampler.generate(["def "] * 6, seed=1, **asked)]
    assert len(set(texts)) == 6  # best of n needs n different ones
    assert texts == [one.text for one in sampler.generate(["def "] * 6, seed=1, **asked)]
    assert texts != [one.text for one in sampler.generate(["def "] * 6, seed=2, **asked)]


def test_slots_stay_full_until_nothing_waits():
    """Requests of different length: each step but the last ones computes as many as there are slots."""
    prompts = [[5] * (GROUPED.context - 2 - 3 * number % 13) for number in range(40)]  # the context ends them unevenly
    sampler = Sampler(BABBLER, LETTERS, slots=4)
    done = sampler.generate(prompts, max_tokens=40)
    lengths = [len(one.tokens) for one in done]
    assert len(set(lengths)) > 4
    stats = sampler.stats
    assert stats.requests == 40
    assert stats.tokens == sum(lengths)
    assert stats.prompt_tokens == sum(map(len, prompts))
    # The first token of each comes with its prompt; the others take at least so many steps of four, and little more.
    least = (stats.tokens - 40) / 4
    assert least <= stats.steps <= least + max(lengths)
    assert stats.mean_batch == pytest.approx((stats.tokens - 40) / stats.steps)
    sampler.generate(prompts, max_tokens=40)
    assert sampler.stats.tokens == stats.tokens  # of the last call, not of both
    assert stats.rate == stats.tokens / stats.seconds > 0


def test_why_it_ended(checkpoint):
    words = checkpoint.tokenizer
    sampler = Sampler(checkpoint.model, words)
    (whole,) = sampler.generate(["import os\n"], max_tokens=30)
    assert (whole.finish_reason, len(whole.tokens)) == ("length", 30)
    stop = whole.text[9:12]
    (cut,) = sampler.generate(["import os\n"], max_tokens=30, stop=["@@@", stop])
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.tokens == whole.tokens[: len(cut.tokens)]
    assert len(cut.tokens) < 30
    full = sampler.generate([[5] * (checkpoint.model.shape.context - 3)], max_tokens=30)[0]
    assert (full.finish_reason, len(full.tokens)) == ("length", 3)


def test_the_end_token_ends(checkpoint):
    silent = awake(checkpoint.model.shape)
    silent.model.norm.weight.data.zero_()  # all logits are equal: the first of the likeliest is token 0
    assert checkpoint.tokenizer.end == 0
    (one,) = Sampler(silent, checkpoint.tokenizer).generate(["def "], max_tokens=9)
    assert (one.text, one.tokens, one.finish_reason) == ("", [0], "stop")


def test_an_empty_prompt_begins_a_document(checkpoint):
    sampler = Sampler(checkpoint.model, checkpoint.tokenizer)
    empty, end = sampler.generate(["", [checkpoint.tokenizer.end]], max_tokens=8)
    assert empty.tokens == end.tokens
    assert sampler.generate([]) == []


def test_half_precision_and_the_cache_rows():
    half = awake(BABBLER.shape, seed=4).bfloat16()
    done = Sampler(half, LETTERS, slots=2).generate(PROMPTS[:3], max_tokens=8)
    for prompt, one in zip(PROMPTS, done, strict=False):
        assert torch.allclose(torch.tensor(one.logprobs), believed(half, prompt, one.tokens).float(), atol=0.1)
    cache = Cache(BABBLER, 3)
    with torch.no_grad():
        cache.extend([[1, 2], [3], [4, 5, 6]], start=[0, 0, 0], first=0)
        cache.free(0, last=2)
        moved = cache.extend([[7], [8]], start=[3, 1], first=0)
        whole = Cache(BABBLER, 1).extend([[4, 5, 6, 7]], start=[0], first=0)
    assert torch.allclose(moved[0], whole[0], atol=1e-5)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.2, 3.0), top_p=st.floats(0.05, 1.0))
def test_only_the_nucleus_is_drawn_from(seed, temperature, top_p):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(1, 30, generator=generator)
    draws = torch.rand(200, generator=generator)
    drawn = choose(logits.expand(200, -1), draws, temperature=temperature, top_p=top_p)
    probabilities = (logits[0] / temperature).softmax(-1).tolist()
    kept, mass = set(), 0.0
    for token in sorted(range(30), key=lambda token: -probabilities[token]):  # the definition, step by step
        if mass < top_p - 1e-6:
            kept.add(token)
        mass += probabilities[token]
    assert set(drawn.tolist()) <= kept


def test_draws_follow_the_probabilities():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    draws = (torch.arange(10_000) + 0.5) / 10_000  # every place once: the counts must be exact
    drawn = choose(logits.expand(10_000, -1), draws, temperature=0.7)
    counted = torch.bincount(drawn, minlength=4) / 10_000
    assert torch.allclose(counted, (logits[0] / 0.7).softmax(-1), atol=2e-4)
    likeliest = choose(logits.expand(10_000, -1), draws, temperature=0.7, top_p=0.9)
    counted = torch.bincount(likeliest, minlength=4) / 10_000
    assert torch.allclose(counted[1:3], (logits[0, 1:3] / 0.7).softmax(-1), atol=2e-4)  # 0.77 and 0.19 of the mass
    assert counted[0] == counted[3] == 0


def test_what_cannot_be_is_said(checkpoint):
    sampler = Sampler(checkpoint.model, checkpoint.tokenizer)
    with pytest.raises(ModelError, match="prompt 1 has 64 tokens: 5 more do not fit a context of 64"):
        sampler.generate([[1], [1] * 64], max_tokens=5)
    with pytest.raises(ModelError, match="cannot draw at temperature -1"):
        sampler.generate(["a"], temperature=-1)
    with pytest.raises(ModelError, match="top_p 0"):
        sampler.generate(["a"], temperature=1, top_p=0)
    with pytest.raises(ModelError, match="0 slots"):
        Sampler(checkpoint.model, checkpoint.tokenizer, slots=0)
