"""Importance and learning curve."""

import numpy as np
import pytest

from aifactory_lab import train
from aifactory_lab.train import inspection
from aifactory_lab.train.table import Rows


@pytest.fixture(scope="module")
def bundle(features, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    return train.fit(features, out=out, device="cpu", threads=1, rounds=40, refit=False).bundle


def test_only_what_the_model_uses_is_important():
    random = np.random.default_rng(0)
    x = random.random((2000, 3)).astype("f4")
    rows = Rows(x, (x[:, 0] + 0.3 * x[:, 1] > 0.65).astype(np.int8), np.zeros(2000, "datetime64[D]"))
    frame = inspection.importance_of(
        lambda x: (x[:, 0] + 0.3 * x[:, 1]) / 1.3, rows, {"a": [0], "b": [1], "noise": [2], "both": [0, 1]}
    )
    drop = dict(frame.select("name", "drop").rows())
    assert frame["name"][0] == "both"
    assert drop["a"] > drop["b"] > 0.005
    assert drop["noise"] == 0
    assert drop["both"] == pytest.approx(0.5, abs=0.05)


def test_importance_names_every_feature_and_its_group(bundle, features):
    frame = inspection.importance(bundle, features, sample=2000, repeats=2)
    assert set(frame["name"]) == set(bundle.names)
    assert dict(frame.select("name", "group").rows())["humid"] == "weather"
    assert frame["drop"].is_sorted(descending=True)
    assert frame["drop"][0] > 0.01


def test_groups_tell_the_sum(bundle, features):
    frame = inspection.importance(bundle, features, by="group", sample=2000, repeats=2)
    assert set(frame["name"]) == {"schedule", "weather", "plane"}
    assert (frame["low"] <= frame["drop"]).all()
    assert (frame["drop"] <= frame["high"]).all()


def test_more_rows_teach_more(features):
    frame = inspection.learning_curve(
        features, shares=(1.0, 0.02), device="cpu", threads=1, rounds=50, learning_rate=0.1
    )
    assert frame["rows"].is_sorted()
    assert frame["auc"][1] > frame["auc"][0] + 0.01
