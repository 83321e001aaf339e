"""Bits per byte against independent arithmetic: transformers' loss, gzip and xz, counting by dictionary."""

import itertools
import math
import shutil
import subprocess
from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from aifactory_lab.errors import DataError
from aifactory_lab.lm import evaluation, model, shards
from aifactory_lab.lm.evaluation import HeldOut


@pytest.fixture(scope="module")
def held_out(packed, words) -> HeldOut:
    return HeldOut.of(packed, words, limit=3_000)


def test_held_out_text_is_that_of_the_documents(packed, words, documents):
    whole = HeldOut.of(packed, words)
    texts = documents.filter(pl.col("split") == "valid")["text"]
    assert whole.text.decode() == "".join(texts)
    assert len(whole.ids) == packed.tokens("valid")
    assert whole.lengths[whole.ids].sum() == packed.bytes("valid") == len(whole.text)


def test_bits_per_byte_are_those_of_transformers(checkpoint, held_out):
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    context, ids = checkpoint.model.shape.context, torch.from_numpy(held_out.ids)
    nats = 0.0
    for start in range(0, len(ids) - 1, context):
        window = ids[start : start + context + 1][None]
        with torch.no_grad():
            nats += theirs(window, labels=window).loss.item() * (window.shape[1] - 1)
    found = evaluation.score(checkpoint.model, held_out)
    size = len(checkpoint.tokenizer.decode(held_out.ids[1:].tolist()).replace("<|endoftext|>", "").encode())
    assert (found.tokens, found.bytes) == (len(ids) - 1, size)
    assert found.nats_per_token == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-5)


def test_a_model_that_knows_nothing_needs_the_bits_of_a_token(held_out, words):
    small = model.Llama(model.shape(1, words.vocabulary, context=64))
    torch.nn.init.zeros_(small.model.embed_tokens.weight)
    found = evaluation.score(small, held_out)
    assert found.nats_per_token == pytest.approx(math.log(words.vocabulary), rel=1e-6)


def test_a_quick_look_estimates_the_whole(checkpoint, packed, words):
    whole = HeldOut.of(packed, words, limit=20_000)
    look = evaluation.score(checkpoint.model, whole, most=5_000)
    assert 4_900 <= look.tokens <= 5_000
    assert look.bits_per_byte == pytest.approx(evaluation.score(checkpoint.model, whole).bits_per_byte, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 400), st.integers(1, 70), st.integers(1, 500) | st.none())
def test_windows_cover_every_token_once(length, context, most):
    ids = np.arange(length, dtype=np.int64)
    pairs = evaluation._windows(ids, context, most)
    seen = torch.cat([targets.flatten() for _, targets in pairs]).tolist()
    for inputs, targets in pairs:
        assert torch.equal(inputs + 1, targets)
        assert inputs.shape[1] <= context
    if most is None or most >= length or length <= context:
        assert seen == list(range(1, length))
    else:
        assert seen
        assert len(seen) == len(set(seen)) or most > (length - 1) // context * context


def test_compressors_are_the_programs(packed, held_out, tmp_path):
    text = tmp_path / "text"
    text.write_bytes(held_out.text)
    found = evaluation.baselines(packed, held_out)
    for name, command in (("gzip", ["gzip", "-9", "-n", "-c"]), ("xz", ["xz", "-9e", "-c"])):
        program = shutil.which(command[0])
        assert program, f"{command[0]} is part of every Debian"
        done = subprocess.run([program, *command[1:], str(text)], capture_output=True, check=True)
        assert found[name] == pytest.approx(8 * len(done.stdout) / len(held_out.text), abs=0.02)  # headers differ


def test_counting_is_that_of_a_dictionary(packed, held_out):
    train, ids = packed.train.tolist(), held_out.ids.tolist()
    single, pairs, before = Counter(train), Counter(itertools.pairwise(train)), Counter(train[:-1])
    alone = {token: (single[token] + 1) / (len(train) + packed.vocabulary) for token in range(packed.vocabulary)}
    unigram = -sum(math.log2(alone[token]) for token in ids[1:])
    bigram = min(
        -sum(
            math.log2((pairs[a, b] + strength * alone[b]) / (before[a] + strength)) for a, b in itertools.pairwise(ids)
        )
        for strength in evaluation.STRENGTHS
    )
    size = held_out.lengths[held_out.ids[1:]].sum()
    found = evaluation.baselines(packed, held_out)
    assert found["unigram"] == pytest.approx(unigram / size, rel=1e-9)
    assert found["bigram"] == pytest.approx(bigram / size, rel=1e-9)
    assert found["bigram"] < found["unigram"]


def test_nothing_held_out_is_said(words, tmp_path):
    alone = shards.write(pl.DataFrame({"split": ["train"], "text": ["a = 1\n" * 99]}), words, tmp_path)
    with pytest.raises(DataError, match="holds out 0 tokens"):
        HeldOut.of(alone, words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "1.00 bits per byte: better than xz (1.50), gzip (2.00)"),
        (1.7, "1.70 bits per byte: better than gzip (2.00); not as good as xz (1.50)"),
        (3.0, "3.00 bits per byte: not as good as xz (1.50), gzip (2.00)"),
    ],
)
def test_the_verdict_says_where_it_stands(value, words):
    assert evaluation.verdict(value, {"gzip": 2.0, "xz": 1.5}) == words


def test_samples_begin_with_the_prompt_and_follow_the_seed(checkpoint):
    def written(seed, **options):
        return evaluation.samples(checkpoint.model, checkpoint.tokenizer, seed=seed, tokens=12, **options)

    first = written(0)
    assert [text.startswith(prompt) for text, prompt in zip(first, evaluation.PROMPTS, strict=True)] == [True] * 3
    assert written(0) == first
    assert written(1) != first
    assert written(0, temperature=1e-6) == written(1, temperature=1e-6)  # nothing is left to chance
