import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from aifactory_lab.errors import DataError, ModelError
from aifactory_lab.serve import calibration
from aifactory_lab.serve.calibration import Cell, calibrate, calibration_file, choose, probe_rows
from aifactory_lab.serve.engines import Engine
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.train.bundle import Bundle
from tests.serve.conftest import FEATURES

CELLS = st.builds(
    Cell,
    st.sampled_from(["xgboost", "onnx"]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 64, 1_024]),
    st.floats(1, 1e6),
)


@pytest.mark.parametrize("count", [0, 1, 3, 64, 1_000, 9_000, 20_000])
def test_every_batch_size_gives_the_model_s_answers(predictor, bundle, rows, count):
    answer = predictor(rows[:count])
    assert (answer.dtype, answer.shape) == (np.float32, (count,))
    if count:
        np.testing.assert_allclose(answer, bundle.model().inplace_predict(rows[:count]), atol=1e-6)


def test_frames_doubles_and_views_are_taken(predictor, flights, rows):
    expected = predictor(rows[:10])
    np.testing.assert_array_equal(predictor(flights[:10]), expected)
    np.testing.assert_array_equal(predictor(flights[:10].to_pandas()), expected)
    np.testing.assert_array_equal(predictor(rows[:10].astype(np.float64)), expected)
    np.testing.assert_allclose(predictor(np.asfortranarray(rows[:10])), expected, atol=1e-6)
    np.testing.assert_allclose(predictor(rows[:20:2]), predictor(rows[:20])[::2], atol=1e-6)


@pytest.mark.parametrize("shape", [(10,), (3, 9), (2, 3, 10)])
def test_a_wrong_shape_is_refused(predictor, shape):
    with pytest.raises(DataError, match=r"rows must be \[n, 10\]"):
        predictor(np.zeros(shape, dtype=np.float32))


def test_the_table_says_why(predictor):
    table = predictor.table
    assert table["batch"].to_list()[:4] == [1, 4, 16, 64]
    assert table["reason"].str.contains("rows/s").all()
    best = predictor.measurements.group_by("batch").agg(pl.col("rows_per_second").max()).sort("batch")
    joined = table.join(best, on="batch", suffix="_best")
    assert (joined["rows_per_second"] * calibration.LEVEL * calibration.CUT >= joined["rows_per_second_best"]).all()


def test_measurements_are_kept_by_model_machine_and_threads(predictor, bundle, successor):
    path = calibration_file(bundle, 1, ())
    assert path.exists()
    assert calibration_file(bundle, 2, ()) != path != calibration_file(successor, 1, ())
    again = Predictor.load(bundle, threads=1)
    assert again.calibration == predictor.calibration


def test_a_damaged_cache_is_measured_again(bundle, predictor):
    path = calibration_file(bundle, 1, ())
    for damage in ("{", json.dumps({"cells": []}), json.dumps([1])):
        path.write_text(damage)
        assert Predictor.load(bundle, threads=1).choices
    assert json.loads(path.read_text())["cells"]


def test_a_cache_that_cannot_be_written_does_no_harm(bundle, monkeypatch, tmp_path, rows):
    monkeypatch.setenv("AIFACTORY_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a folder")
    assert Predictor.load(bundle, threads=1, engines=["onnx"])(rows[:2]).shape == (2,)


def test_engines_can_be_restricted(bundle):
    found = Predictor.load(bundle, threads=1, engines=["xgboost"])
    assert set(found.table["engine"]) == {"xgboost"}


def test_an_engine_that_answers_differently_is_left_out_with_the_reason(bundle, monkeypatch):
    honest = calibration.open_engine

    def open_one(name, *args, **options):
        engine = honest(name, *args, **options)
        return Engine(name, 1, lambda rows: engine.predict(rows) + np.float32(0.01)) if name == "onnx" else engine

    monkeypatch.setattr(calibration, "open_engine", open_one)
    found = calibrate(bundle, threads=1)
    assert "answers differ from xgboost by up to 0.01" in found.left_out["onnx"]
    assert {cell.engine for cell in found.cells}.isdisjoint({"onnx"})


def test_no_engine_at_all_is_an_error_with_the_reasons(bundle):
    with pytest.raises(ModelError, match=r"no engine can serve .* sklearn: scikit-learn cannot serve"):
        calibrate(bundle, threads=1, names=["sklearn"])


def test_a_model_that_refuses_gaps_is_known_to(tmp_path, rows, flights, features):
    model = LogisticRegression(max_iter=50).fit(np.nan_to_num(rows[:500]) / 1_000, flights["late"][:500].to_numpy())
    bundle = Bundle("sklearn", "logistic_regression", features, "late", 0.3).save(tmp_path, model)
    found = Predictor.load(bundle, threads=1)
    assert not found.takes_missing
    assert found(np.nan_to_num(rows[:3])).shape == (3,)


def test_probe_rows_lie_in_the_ranges_of_training(bundle):
    probe = probe_rows(bundle, 500, missing=0.2)
    assert 0.1 < np.isnan(probe).mean() < 0.3
    for column, feature in zip(probe.T, bundle.features, strict=True):
        assert np.nanmin(column) >= feature.minimum - 1e-3
        assert np.nanmax(column) <= feature.maximum + abs(feature.maximum) * 1e-6


@given(st.lists(CELLS, min_size=1, max_size=12, unique_by=lambda cell: (cell.engine, cell.threads, cell.batch)))
def test_a_choice_is_never_far_from_the_best_measured(cells):
    for choice in choose(cells):
        able = [cell for cell in cells if cell.batch <= choice.batch]
        assert choice.chunk <= choice.batch
        assert choice.rows_per_second * calibration.LEVEL * calibration.CUT >= max(c.rows_per_second for c in able)


def test_fewer_threads_win_a_draw_and_a_chunk_must_earn_its_keep():
    cells = [Cell("onnx", 2, 64, 104.0), Cell("onnx", 1, 64, 100.0), Cell("onnx", 1, 1_024, 90.0)]
    assert [(c.threads, c.chunk) for c in choose(cells)] == [(1, 64), (1, 1_024)]
    assert choose([*cells[:2], Cell("onnx", 1, 1_024, 50.0)])[1].chunk == 64


def test_the_best_batch_is_where_the_rate_levels_off(predictor):
    assert predictor.best_batch in predictor.table["batch"].to_list()
    assert predictor.seconds(10_000) > predictor.seconds(10) > 0
    assert len(FEATURES) == len(predictor.bundle.features)
    assert "thread" in predictor.engine_for(1)
