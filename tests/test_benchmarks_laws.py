"""The laws' benchmark compares like with like: the loops that it times make the same losses, and others are refused."""

from pathlib import Path

import polars as pl
import pytest

from aifactory_lab.lm import shards, tokenizer
from aifactory_lab.lm.place import use_threads
from tests.benchmarks import bench_laws as room
from tests.benchmarks.__main__ import ORDER


@pytest.fixture(autouse=True)
def threads_are_given_back():
    with use_threads(1):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made, text = tmp_path_factory.mktemp("tokens"), Path(room.__file__).read_text()
    texts = pl.DataFrame({"split": ["train", "valid"], "text": [text, text[:2000]]})
    shards.write(texts, tokenizer.train(texts["text"], vocabulary=300), made)
    return str(made)


def test_it_is_one_of_make_bench():
    assert "laws" in ORDER


def test_the_loops_make_the_same_losses(folder):
    assert "In float32 from the same weights" in room._agree(folder, 1)


def test_a_loop_that_trains_otherwise_is_refused(folder, monkeypatch):
    monkeypatch.setattr(room, "_both", room._adamw)
    with pytest.raises(AssertionError, match="are not"):
        room._agree(folder, 1)
