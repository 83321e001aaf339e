"""On a machine with a GPU and a PyTorch for it: pre-training runs there in bfloat16 and learns what the CPU learns."""

import polars as pl
import pytest

from aifactory_lab.lm import pretrain, shards, tokenizer

pytestmark = pytest.mark.gpu


def test_a_model_trained_on_the_gpu_is_as_good(tmp_path):
    texts = pl.DataFrame({"split": ["train", "valid"], "text": ["total = total + 1\nprint(total)\n" * 800] * 2})
    words = tokenizer.train(texts["text"], vocabulary=280)
    packed = shards.write(texts, words, tmp_path / "shards")
    usual = {"depth": 2, "tokens": 40_000, "batch": 4, "context": 64, "show": False}
    there, here = (pretrain.run(packed, words, tmp_path / kind, device=kind, **usual) for kind in ("gpu", "cpu"))
    assert there.report.device == "gpu"
    assert there.report.details["dtype"] == "bfloat16"
    assert there.scores["nats_per_token"] == pytest.approx(here.scores["nats_per_token"], abs=0.05)
    assert 0 < there.scores["mfu"] < 1
