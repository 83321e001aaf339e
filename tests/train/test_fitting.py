"""The training station on real flights."""

import numpy as np
import polars as pl
import pytest

from aifactory_lab import train
from aifactory_lab.errors import DataError, ModelError
from aifactory_lab.train import estimators
from aifactory_lab.train.evaluation import Costs
from aifactory_lab.train.table import Table
from tests.train.conftest import write_features

QUICK = {
    "xgboost": {"rounds": 60},
    "random_forest": {"n_estimators": 20, "max_depth": 8},
    "logistic_regression": {},
}


@pytest.fixture(scope="module", params=estimators.names("classify"))
def result(request, features, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    return train.fit(features, request.param, out=out, device="cpu", threads=1, **QUICK[request.param])


def test_every_estimator_beats_chance_by_its_whole_interval(result):
    assert result.scores["auc"].low > 0.6
    assert result.scores["brier"].high < 0.2
    assert result.bundle.metrics["calibration_error"] < 0.1


def test_a_saved_model_predicts_exactly_what_was_scored(result, features):
    test = Table.open(features).rows("test")
    model = train.Bundle.load(result.bundle.folder).model()
    np.testing.assert_array_equal(estimators.probability(model, test.x), result.predicted()["probability"])


def test_the_bundle_says_what_it_is_and_where_it_comes_from(result, features):
    bundle, table = result.bundle, Table.open(features)
    assert bundle.names == list(table.columns)
    assert bundle.target == "late"
    assert bundle.threshold == result.threshold.value
    assert bundle.lineage["features_sha256"] == table.content_hash
    assert bundle.lineage["rows"]["test"] == len(table.rows("test"))
    assert bundle.lineage["params"]["threads"] == 1
    assert "xgboost" in bundle.lineage["versions"]


def test_the_report_counts_rows_and_memory(result):
    assert result.report.station == "train"
    assert result.report.made == result.bundle.lineage["rows"]["train"]
    assert result.report.peak_memory_bytes > 0
    assert result.report.details["auc"] == result.scores["auc"].value


def test_deciding_by_cost_beats_deciding_always_the_same(result):
    metrics = result.bundle.metrics
    assert metrics["test_cost"] < min(metrics["test_cost_never"], metrics["test_cost_always"])


def test_a_finished_training_is_read_back(result):
    again = train.Result.load(result.folder)
    assert again.scores == result.scores
    assert again.calibration().height == 10
    assert again.curve()["recall"].is_sorted()


def test_xgboost_keeps_its_loss_curve_and_stops_on_the_validation_rows(features, tmp_path):
    result = train.fit(features, out=tmp_path, device="cpu", threads=1, rounds=50, learning_rate=0.5)
    history = result.history()
    assert history.columns == ["round", "learn", "valid"]
    assert result.bundle.lineage["rounds"] == history["valid"].arg_min() + 1


def test_the_threshold_follows_the_costs_and_never_sees_the_test(features, tmp_path):
    dear = train.fit(
        features, "logistic_regression", out=tmp_path / "a", device="cpu", costs=Costs(miss=20), refit=False
    )
    cheap = train.fit(
        features, "logistic_regression", out=tmp_path / "b", device="cpu", costs=Costs(miss=2), refit=False
    )
    assert dear.threshold.value < cheap.threshold.value
    valid = dear.predicted("valid")
    again = train.evaluation.best_threshold(valid["label"], valid["probability"], Costs(miss=20))
    assert again == dear.threshold


def test_shuffled_test_labels_change_no_model(features, tmp_path):
    """What learns from the test would notice."""
    from aifactory_lab.etl.features import TABLE, FeatureSpec

    frame = pl.read_parquet(features / TABLE)
    flipped = pl.when(pl.col("split") == "test").then(1 - pl.col("late")).otherwise(pl.col("late")).cast(pl.Int8)
    (tmp_path / "flipped").mkdir()
    frame.with_columns(late=flipped).write_parquet(tmp_path / "flipped" / TABLE)
    FeatureSpec.load(features).save(tmp_path / "flipped")
    quick = {"device": "cpu", "threads": 1, "rounds": 25}
    honest = train.fit(features, out=tmp_path / "a", **quick)
    blind = train.fit(tmp_path / "flipped", out=tmp_path / "b", **quick)
    assert blind.bundle.file.read_bytes() == honest.bundle.file.read_bytes()
    assert blind.threshold == honest.threshold
    assert blind.scores["auc"].value == pytest.approx(1 - honest.scores["auc"].value)


def test_the_order_of_rows_on_disk_changes_nothing(features, tmp_path):
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    (shuffled / "features.json").write_bytes((features / "features.json").read_bytes())
    table = pl.read_parquet(features / "features.parquet")
    table.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(shuffled / "features.parquet")
    runs = [
        train.fit(folder, out=tmp_path / folder.name, device="cpu", threads=1, rounds=30)
        for folder in (features, shuffled)
    ]
    assert runs[0].scores == runs[1].scores
    assert runs[0].bundle.file.read_bytes() == runs[1].bundle.file.read_bytes()


def test_extra_lineage_is_kept(features, tmp_path):
    result = train.fit(
        features, "logistic_regression", out=tmp_path, device="cpu", groups=("schedule",), lineage={"recipe": "flights"}
    )
    assert result.bundle.lineage["recipe"] == "flights"


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        ({"estimator": "kmeans"}, ModelError, "kmeans does not classify"),
        ({"estimator": "svm"}, ModelError, "no estimator 'svm'"),
        ({"depth": 3}, ModelError, "no parameter 'depth'"),
        ({"groups": ("sky",)}, DataError, "no feature group 'sky'"),
    ],
)
def test_mistakes_are_answered(features, tmp_path, call, kind, said):
    with pytest.raises(kind, match=said):
        train.fit(features, out=tmp_path, **call)


def test_a_failed_second_training_is_not_mistaken_for_the_first(features, tmp_path):
    train.fit(features, "logistic_regression", out=tmp_path, device="cpu")
    with pytest.raises(DataError):
        train.fit(features, "logistic_regression", ("sky",), out=tmp_path, device="cpu")
    with pytest.raises(ModelError, match="is not a finished training"):
        train.Result.load(tmp_path)


def test_an_unfinished_training_is_not_read(features, tmp_path):
    with pytest.raises(ModelError, match="is not a finished training"):
        train.Result.load(tmp_path)


def test_a_few_hundred_rows_are_enough_for_trees(tmp_path):
    """The house's leaf weight was chosen on hundreds of thousands of rows; of 400 it would leave one leaf."""
    features = write_features(tmp_path / "features", every=600)
    made = train.fit(features, out=tmp_path / "sized", device="cpu", threads=1, rounds=30)
    house = train.fit(features, out=tmp_path / "house", device="cpu", threads=1, rounds=30, min_child_weight=50)
    assert made.predicted()["probability"].n_unique() > 50
    assert house.predicted()["probability"].n_unique() < 5
    assert made.bundle.lineage["params"]["min_child_weight"] == pytest.approx(1.0, abs=0.1)
