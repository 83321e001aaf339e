"""Tokens on disk: nothing lost, nothing seen twice before all is seen once, nothing torn believed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.lm import shards, tokenizer
from aifactory_lab.lm.shards import Shards

BYTES = tokenizer.train(["a"], 257)


def numbered(folder, tokens):
    """Shards whose stream is 0, 1, 2, …: a token tells its place."""
    np.arange(tokens, dtype="<u2").tofile(folder / "train.bin")
    return Shards(folder, 1 << 16, 0, "", {"train": shards.Shard(1, tokens, tokens, "")})


def test_documents_come_back_in_order(packed, documents, words):
    for split in ("train", "valid"):
        texts = documents.filter(pl.col("split") == split)["text"].to_list()
        stream = packed.stream(split)
        ends = np.flatnonzero(stream == words.end)
        found = [words.decode(part[:-1]) for part in np.split(stream, ends + 1)[:-1]]
        assert found == texts
        assert packed.tokens(split) == len(stream)
        assert packed.bytes(split) == sum(len(text.encode()) for text in texts)
        assert packed.splits[split].documents == len(texts)
    assert packed.train.dtype == np.uint16
    assert isinstance(packed.train, np.memmap)


def test_more_tokens_than_two_bytes_can_count(tmp_path):
    inner = tokenizers.Tokenizer.from_str(BYTES.inner.to_str())
    inner.add_tokens([f"word{number}." for number in range(70_000)])
    large = tokenizer.Tokenizer(inner)
    documents = pl.DataFrame({"split": ["train"], "text": ["word69999.a"]})
    written = shards.write(documents, large, tmp_path)
    assert written.train.dtype == np.uint32
    assert written.train.tolist() == [257 + 69_999, *large.encode("a"), large.end]
    assert written.tokens("valid") == len(written.valid) == 0


@settings(deadline=None)
@given(
    windows=st.integers(1, 40),
    context=st.integers(1, 17),
    spare=st.integers(0, 16),
    ranks=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_shows_every_token_once(tmp_path_factory, windows, context, spare, ranks, seed):
    stream = numbered(tmp_path_factory.mktemp("epoch"), windows * context + 1 + spare % context)
    seen = []
    for step in range(-(-windows // ranks)):
        for rank in range(ranks):
            inputs, targets = stream.batch("train", step, batch=1, context=context, seed=seed, rank=rank, ranks=ranks)
            assert inputs.dtype == targets.dtype == torch.int64
            assert torch.equal(inputs + 1, targets)
            seen.append(inputs[0, 0].item())
    first = seen[:windows]
    assert sorted(first) == list(range(min(first), min(first) + windows * context, context))


@settings(deadline=None)
@given(step=st.integers(0, 500), batch=st.integers(1, 5), ranks=st.integers(1, 4), seed=st.integers(0, 9))
def test_ranks_together_see_what_one_would(packed, step, batch, ranks, seed):
    alone = packed.batch("train", step, batch=batch * ranks, context=16, seed=seed)
    parts = [
        packed.batch("train", step, batch=batch, context=16, seed=seed, rank=rank, ranks=ranks) for rank in range(ranks)
    ]
    for side in (0, 1):
        assert torch.equal(torch.cat([part[side] for part in parts]), alone[side])


def test_a_batch_depends_on_its_arguments_alone(packed):
    asked = {"batch": 4, "context": 32}
    first = packed.batch("train", 7, seed=3, **asked)[0]
    packed.batch("train", 900, seed=1, **asked)  # whatever was asked in between
    again = Shards.load(packed.folder).batch("train", 7, seed=3, **asked)[0]
    assert torch.equal(first, again)
    for other in (packed.batch("train", 8, seed=3, **asked), packed.batch("train", 7, seed=4, **asked)):
        assert not torch.equal(first, other[0])
    epoch = packed.tokens("train") // 32 // 4
    assert not torch.equal(first, packed.batch("train", 7 + epoch, seed=3, **asked)[0])


def test_tokens_of_another_tokenizer_are_refused(packed, words):
    assert Shards.load(packed.folder, words).splits == packed.splits
    with pytest.raises(DataError, match=r"made by another tokenizer \(.*of 512 tokens, not .*of 257\)"):
        Shards.load(packed.folder, BYTES)


def test_damage_is_found(documents, words, tmp_path):
    written = shards.write(documents.head(2), words, tmp_path)
    with (tmp_path / "train.bin").open("r+b") as stream:
        stream.seek(20)
        stream.write(b"\xff\xff")
    with pytest.raises(DataError, match=r"train\.bin is damaged"):
        Shards.load(tmp_path)
    (tmp_path / "train.bin").unlink()
    with pytest.raises(DataError, match="found no file"):
        Shards.load(tmp_path)
    assert shards.write(documents.head(2), words, tmp_path).splits == Shards.load(tmp_path).splits == written.splits
    (tmp_path / "shards.json").write_text('{"format": 7}')
    with pytest.raises(DataError, match="not of format 1"):
        Shards.load(tmp_path)


def test_what_cannot_be_is_said(packed, words, tmp_path):
    with pytest.raises(DataError, match="holds no shards"):
        Shards.load(tmp_path)
    with pytest.raises(DataError, match="have no column split; there are: text"):
        shards.write(pl.DataFrame({"text": ["a"]}), words, tmp_path)
    for names in (["valid"], ["train", "test"], []):
        frame = pl.DataFrame({"split": names, "text": names}, schema={"split": pl.String, "text": pl.String})
        with pytest.raises(DataError, match="'train' and 'valid' are known"):
            shards.write(frame, words, tmp_path)
    with pytest.raises(DataError, match="there is no split 'test'"):
        packed.tokens("test")
    with pytest.raises(DataError, match="has 6 tokens, a window needs 17"):
        shards.write(pl.DataFrame({"split": ["train"], "text": ["12345"]}), BYTES, tmp_path).batch(
            "train", 0, batch=1, context=16, seed=0
        )


def test_killed_while_writing_nothing_is_believed(packed, words, documents, tmp_path):
    shards.write(documents.head(2), words, tmp_path)
    words.save(tmp_path / "tokenizer")
    code = (
        "import sys, polars as pl; from aifactory_lab.lm import shards, tokenizer;"
        "documents = pl.DataFrame({'split': ['train'] * 600, 'text': ['x = 1\\n' * 20_000] * 600});"
        "shards.write(documents, tokenizer.Tokenizer.load(sys.argv[1] + '/tokenizer'), sys.argv[1])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while not list(tmp_path.glob(".train.bin.partial-*")):
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(DataError, match="holds no shards"):
        Shards.load(tmp_path)
    shards.write(documents.head(2), words, tmp_path)
    assert Shards.load(tmp_path).tokens("train")
    assert not list(tmp_path.glob(".*partial*"))
