"""FLOPs per token by count of the products, and a peak that is measured and remembered."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import flops
from aifactory_lab.lm.model import Llama, shape


@pytest.fixture(autouse=True)
def _briefly(monkeypatch):
    monkeypatch.setattr(flops, "SECONDS", 0.02)
    remembering = flops.measured_peak
    remembering.cache_clear()
    yield
    remembering.cache_clear()


@pytest.mark.parametrize("depth", [1, 3])
def test_the_formula_counts_the_products_that_pytorch_does(depth):
    small = shape(depth, 300, context=64)
    model, ids = Llama(small).bfloat16(), torch.zeros((2, 64), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:  # bfloat16: attention is written out, so its products are seen
        model.loss(ids, ids).backward()
    assert counter.get_total_flops() == 2 * 64 * flops.per_token(small)


def test_mfu_is_work_over_peak():
    small = shape(4, 2048)
    assert flops.mfu(small, tokens_per_second=1e12 / flops.per_token(small), peak=2e12) == pytest.approx(0.5)


def test_the_peak_is_remembered_and_only_rises(tmp_path):
    found = flops.measured_peak("float32", folder=tmp_path)
    kept = json.loads((tmp_path / flops.FILE).read_text())
    assert list(kept.values()) == [found]
    assert 1e8 < found < 1e14
    (tmp_path / flops.FILE).write_text(json.dumps({next(iter(kept)): 1e15}))
    flops.measured_peak.cache_clear()
    assert flops.measured_peak("float32", folder=tmp_path) == 1e15


@pytest.mark.parametrize("torn", ["{", "[]", '{"a": "b"}'])
def test_a_torn_memory_is_measured_again(tmp_path, torn):
    (tmp_path / flops.FILE).write_text(torn)
    assert flops.measured_peak("float32", folder=tmp_path) > 1e8


def test_a_home_that_cannot_be_written_costs_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    assert flops.measured_peak("float32", folder=tmp_path / "file") > 1e8


def test_measuring_leaves_the_threads_as_they_were():
    before = torch.get_num_threads()
    flops.measure_peak("float32", threads=before + 1)
    assert torch.get_num_threads() == before


def test_the_faster_dtype_is_taken_only_where_it_clearly_is(monkeypatch):
    peaks = {"float32": 100.0, "bfloat16": 129.0}
    monkeypatch.setattr(flops, "measured_peak", lambda name, **_: peaks[name])
    assert flops.fastest() == "float32"
    peaks["bfloat16"] = 131.0
    assert flops.fastest() == "bfloat16"


def test_an_unknown_dtype_says_which_there_are():
    with pytest.raises(ModelError, match="'float8'; there are: float32, bfloat16"):
        flops.dtype("float8")
