"""A few modules of the standard library as tokens: what a sweep of blinks is trained on."""

import sysconfig
from pathlib import Path

import polars as pl
import pytest

from aifactory_lab.lm import shards, tokenizer


@pytest.fixture(scope="session")
def words(texts):
    return tokenizer.train(texts["text"], vocabulary=300)


@pytest.fixture(scope="session")
def texts() -> pl.DataFrame:
    root = Path(sysconfig.get_path("stdlib"))
    found = [(root / name).read_text() for name in ("heapq.py", "bisect.py", "textwrap.py", "shlex.py")]
    return pl.DataFrame({"split": ["train", "train", "train", "valid"], "text": found})


@pytest.fixture(scope="session")
def packed(texts, words, tmp_path_factory):
    return shards.write(texts, words, tmp_path_factory.mktemp("packed"))
