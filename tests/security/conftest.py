"""Small real models to be served, and a secret that stands in no file."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import xgboost

from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm import model, tokenizer
from aifactory_lab.train.bundle import Bundle, Feature

ROW = {"temp": 1.0, "wind_gust": 2.0, "visib": 3.0}


@pytest.fixture(scope="session", autouse=True)
def of_its_own(tmp_path_factory) -> Iterator[None]:
    """What is cached or announced stays out of the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIFACTORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        for name in ("AIFACTORY_TOKEN", "AIFACTORY_TOKEN_FILE", "AIFACTORY_LLM_KEY", "AIFACTORY_HOSTS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def secret() -> str:
    """Made anew for each test: whatever holds it has it from there."""
    return secrets.token_urlsafe(24)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Bundle:
    random = np.random.default_rng(0)
    rows = random.normal(size=(200, len(ROW))).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(rows, rows[:, 0] > 0, nthread=1), 3)
    features = tuple(Feature(name, -5.0, 5.0, 0.0) for name in ROW)
    folder = tmp_path_factory.mktemp("models") / "decisions"
    return Bundle("xgboost", "xgboost", features, "late", 0.5).save(folder, booster)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> checkpoints.Checkpoint:
    """A model that never learnt anything: its tokens are as good as any here."""
    torch.set_num_threads(1)
    words = tokenizer.train(["import os, sys\nfor name in sys.path:\n    print(name)\n" * 50], vocabulary=300)
    llama = model.Llama(model.shape(1, words.vocabulary, context=64), seed=1)
    return checkpoints.save(tmp_path_factory.mktemp("models") / "tiny", llama, words, {"title": "tiny"})


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def doors(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes listen."""
    listening = (c for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN)
    return {connection.laddr.ip for connection in listening}


def told(processes: list[psutil.Process]) -> str:
    """What anybody on this machine sees of processes."""
    return "\n".join(Path(f"/proc/{process.pid}/cmdline").read_text() for process in processes)
