"""Text in, ids out, the same text back; the same ids in transformers."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from aifactory_lab.errors import DataError, ModelError
from aifactory_lab.lm import tokenizer
from aifactory_lab.lm.tokenizer import END, Tokenizer

SMALL = tokenizer.train(["def add(a, b):\n    return a + b\n", "It's the end of the world, isn't it? ü"] * 5, 300)
# Any character, and the mixtures that matter: code, white space, and the end mark typed by someone.
TEXTS = st.one_of(
    st.text(), st.lists(st.sampled_from(["def ", "\n    ", "\t", "é", "😀", END, "12", "'s"])).map("".join)
)
TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "  What is π?\n"},
    {"role": "assistant", "content": "3.14"},
    {"role": "user", "content": "And e?"},
]


@settings(deadline=None)
@given(TEXTS)
def test_every_text_comes_back_and_never_ends_by_itself(text):
    ids = SMALL.encode(text)
    assert SMALL.decode(ids) == text
    assert all(0 <= number < SMALL.vocabulary and number != SMALL.end for number in ids)


@settings(deadline=None)
@given(TEXTS)
def test_lengths_are_the_bytes_of_each_token(text):
    assert SMALL.lengths[SMALL.encode(text)].sum() == len(text.encode())


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_many_are_encoded_as_each_is(texts):
    assert SMALL.encode_batch(texts) == [SMALL.encode(text) for text in texts]


def test_transformers_reads_the_same_ids_end_and_template(words, documents, tmp_path):
    theirs = AutoTokenizer.from_pretrained(words.save(tmp_path, context=128))
    for text in [*documents["text"].head(9), "", "naïve  日本語\r\n\t😀 12345 it's"]:
        assert theirs(text)["input_ids"] == words.encode(text)
        assert theirs.decode(words.encode(text)) == text
    assert (theirs.eos_token_id, theirs.pad_token_id, theirs.model_max_length) == (words.end, words.end, 128)
    assert theirs(END)["input_ids"] == [words.end]
    for generate in (True, False):
        rendered = theirs.apply_chat_template(TALK, tokenize=False, add_generation_prompt=generate)
        assert rendered == words.chat(TALK, generate=generate)
    assert words.chat(TALK[1:3], generate=False) == "### user\n  What is π?\n\n### assistant\n3.14\n"


def test_saved_and_loaded_it_is_the_same(words, tmp_path):
    loaded = Tokenizer.load(words.save(tmp_path))
    assert (loaded.sha256, loaded.vocabulary, loaded.end) == (words.sha256, 512, words.end)
    assert loaded.encode(END) == words.encode(END) != [words.end]
    assert SMALL.sha256 != words.sha256


def test_training_gives_the_same_in_another_process(tmp_path):
    texts = ["import os\nimport sys\n", "for name in names:\n    print(name)\n"] * 3
    code = (
        "import sys, json; from aifactory_lab.lm import tokenizer;"
        "print(tokenizer.train(json.loads(sys.argv[1]), 290).sha256)"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(texts)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tokenizer.train(iter(texts), 290).sha256


def test_report_counts_compression_and_fertility(words, documents):
    text = "return self._value + 1\n"
    report = words.report([text, text])
    assert (report.bytes, report.words) == (2 * len(text), 8)
    assert report.tokens == 2 * len(words.encode(text))
    assert report.bytes_per_token == len(text) / len(words.encode(text))
    assert report.tokens_per_word == len(words.encode(text)) / 4
    assert report.used == len(set(words.encode(text))) / 512
    assert "bytes per token" in str(report)
    # Code in the standard library needs fewer tokens than text that the vocabulary has never seen.
    assert words.report(documents["text"]).bytes_per_token > 2 > words.report(["žluťoučký kůň"]).bytes_per_token
    assert words.report([]).bytes_per_token == words.report([]).tokens_per_word == 0


def test_more_vocabulary_compresses_more_until_the_text_is_used_up():
    text = ["the cat sat on the mat and the rat sat on the cat"]
    sizes = [tokenizer.train(text, size).report(text).tokens for size in (257, 265, 275)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert tokenizer.train(text, 5000).vocabulary < 300


def test_what_cannot_be_is_said(tmp_path):
    with pytest.raises(DataError, match="a vocabulary of 256 cannot hold 256 bytes and an end"):
        tokenizer.train(["a"], 256)
    for nothing in ([], ["", ""]):
        with pytest.raises(DataError, match="no text to learn"):
            tokenizer.train(nothing)
    with pytest.raises(ModelError, match=r"holds no tokenizer: no tokenizer\.json"):
        Tokenizer.load(tmp_path)
    path = SMALL.save(tmp_path) / "tokenizer.json"
    path.write_text(path.read_text().replace(END, "<stop>"))
    with pytest.raises(ModelError, match=r"has no <\|endoftext\|>"):
        Tokenizer.load(tmp_path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.load(tmp_path)
