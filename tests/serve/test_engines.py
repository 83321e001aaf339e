import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aifactory_lab.errors import FactoryError, MissingPackageError, ModelError
from aifactory_lab.serve.engines import candidates, open_engine
from aifactory_lab.train.bundle import Bundle
from tests.serve.conftest import FEATURES

VALUES = st.floats(-5_000, 5_000, width=32) | st.just(float("nan"))
MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(len(FEATURES))), elements=VALUES)


def opened(bundle: Bundle) -> list:
    """Every engine that this environment has for the model."""
    engines = []
    for name in candidates(bundle.kind, gpu=False):
        try:
            engines += [open_engine(name, bundle, threads=count) for count in (1, 2)]
        except MissingPackageError:
            assert name == "nvforest"
    return engines


@pytest.fixture(scope="module")
def xgboost_engines(bundle):
    return opened(bundle)


@pytest.fixture(scope="module")
def linear(tmp_path_factory, rows, flights, features):
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    model.fit(rows[:4_000], flights["late"][:4_000].to_numpy())
    return Bundle("sklearn", "logistic_regression", features, "late", 0.3).save(
        tmp_path_factory.mktemp("linear"), model
    )


@given(MATRICES)
@settings(max_examples=60, deadline=None)
def test_all_engines_agree_on_any_rows(xgboost_engines, matrix):
    expected = xgboost_engines[0].predict(matrix)
    for engine in xgboost_engines:
        answer = engine.predict(matrix)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected, atol=1e-6, err_msg=str(engine))


def test_all_engines_agree_with_xgboost_on_real_flights(xgboost_engines, bundle, rows):
    expected = bundle.model().inplace_predict(rows)
    assert {engine.name for engine in xgboost_engines} >= {"xgboost", "onnx"}
    for engine in xgboost_engines:
        np.testing.assert_allclose(engine.predict(rows), expected, atol=1e-6, err_msg=str(engine))


def test_the_scikit_learn_engines_agree(linear, rows):
    expected = linear.model().predict_proba(rows)[:, 1]
    found = [open_engine(name, linear, threads=1).predict(rows) for name in ("sklearn", "onnx")]
    for answer in found:
        np.testing.assert_allclose(answer, expected, atol=2e-6)


def test_a_forest_goes_through_the_engines_of_scikit_learn(tmp_path, rows, flights, features):
    filled = np.nan_to_num(rows)
    model = RandomForestClassifier(10, max_depth=6, random_state=0, n_jobs=1).fit(filled, flights["late"].to_numpy())
    bundle = Bundle("sklearn", "random_forest", features, "late", 0.3).save(tmp_path, model)
    expected = model.predict_proba(filled)[:, 1]
    for engine in opened(bundle):
        np.testing.assert_allclose(engine.predict(filled), expected, atol=2e-6, err_msg=str(engine))


def test_early_stopping_marks_do_not_change_the_onnx_answers(bundle, rows, tmp_path):
    booster = bundle.model()
    booster.set_attr(best_iteration="3")
    marked = Bundle("xgboost", "xgboost", bundle.features, "late", 0.3).save(tmp_path, booster)
    answers = [open_engine(name, marked).predict(rows[:100]) for name in ("xgboost", "onnx")]
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_an_unknown_engine_lists_those_there_are(bundle):
    with pytest.raises(ModelError, match="no engine 'tensorrt'; there are: xgboost"):
        open_engine("tensorrt", bundle)


@pytest.mark.parametrize(("name", "kind"), [("sklearn", "xgboost"), ("xgboost", "sklearn")])
def test_an_engine_refuses_the_other_librarys_model(name, kind, bundle, linear):
    with pytest.raises(ModelError, match=f"cannot serve a model of kind '{kind}'"):
        open_engine(name, bundle if kind == "xgboost" else linear)


def test_what_onnx_cannot_express_is_refused_with_the_reason(tmp_path, rows, flights, features):
    from sklearn.semi_supervised import SelfTrainingClassifier

    model = SelfTrainingClassifier(LogisticRegression(max_iter=20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(np.nan_to_num(rows[:500]), flights["late"][:500].to_numpy())
    bundle = Bundle("sklearn", "self_training", features, "late", 0.3).save(tmp_path, model)
    with pytest.raises(FactoryError, match="ONNX cannot express this self_training"):
        open_engine("onnx", bundle)


def test_the_conversion_is_kept_and_taken_again(bundle, cache):
    open_engine("onnx", bundle)
    kept = list((cache / "onnx").glob("*.onnx"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    open_engine("onnx", bundle)
    assert kept
    assert [path.stat().st_mtime_ns for path in kept] == stamps
