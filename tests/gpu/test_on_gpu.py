"""On a machine with a GPU: every recipe and every estimator runs on it and agrees with the CPU."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aifactory_lab import datasets, device, etl
from aifactory_lab.etl import curation, translation
from aifactory_lab.etl.curation import processors
from aifactory_lab.etl.features import TABLE
from aifactory_lab.lm import corpus
from aifactory_lab.serve import engines
from aifactory_lab.train import estimators
from aifactory_lab.train.bundle import Bundle, Feature

pytestmark = pytest.mark.gpu
SAME_AUC = 0.005  # different binning, sampling and summation order; a wrong parameter moves it by more


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Five clouds of points and which cloud each is of."""
    rng = np.random.default_rng(7)
    label = rng.integers(0, 5, 5_000)
    return (rng.normal(size=(5_000, 8)) + label[:, None] * 6).astype(np.float32), label


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows with gaps, and a label that depends on them."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(20_000, 6)).astype(np.float32)
    odds = values[:, 0] + values[:, 1] * values[:, 2] + 0.5 * rng.normal(size=20_000)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values, (odds > 0.7).astype(np.int8)


def test_the_device_says_which_gpu_it_is():
    found = device.current("gpu")
    assert found.kind == "gpu"
    assert found.gpus[0].memory_bytes > 0
    assert found.gpus[0].name in found.reason


@pytest.mark.parametrize("engine", ["gpu", "cluster"])
@pytest.mark.parametrize("recipe", translation.RECIPES, ids=lambda make: make.__name__)
def test_a_recipe_gives_the_same_features_on_a_gpu(recipe, engine, tmp_path):
    made = recipe()
    raw = datasets.load(made.table)
    frames = []
    for name in ("cpu", engine):
        etl.run(made, raw, engine=name, out=tmp_path / name, progress=False)
        frames.append(pl.read_parquet(tmp_path / name / TABLE).sort(made.keys, nulls_last=True))
    assert_frame_equal(*frames, check_dtypes=True, rel_tol=1e-4, abs_tol=1e-4)


def test_curation_keeps_the_same_documents_on_a_gpu(tmp_path, monkeypatch):
    """With the GPU's signatures in both runs, for rensa's hashes are others."""
    signed = processors.Gpu().signatures
    monkeypatch.setattr(processors.Host, "signatures", lambda _, texts, settings: signed(texts, settings))
    library = corpus.standard_library(("code", "docstring", "prose"))
    on_cpu, on_gpu = (curation.run(library, tmp_path / name, engine=name) for name in ("cpu", "gpu"))
    for name in ("documents", "dropped", "funnel", "tags"):
        assert_frame_equal(getattr(on_cpu, name), getattr(on_gpu, name))


@pytest.mark.parametrize("name", estimators.names("classify"))
def test_a_classifier_is_as_good_on_a_gpu(name, rows):
    from sklearn.metrics import roc_auc_score

    values, late = rows
    scores = []
    for kind in ("cpu", "gpu"):
        model = estimators.make(name, device=kind).fit(values[:15_000], late[:15_000])
        probability = estimators.probability(estimators.portable(model), values[15_000:])
        scores.append(roc_auc_score(late[15_000:], probability))
    assert scores[1] == pytest.approx(scores[0], abs=SAME_AUC)


@pytest.mark.parametrize("name", estimators.names("cluster"))
def test_a_clustering_finds_the_same_groups_on_a_gpu(name, blobs):
    from sklearn.metrics import adjusted_rand_score

    points, label = blobs
    overrides = {"n_clusters": 5} if name == "kmeans" else {}
    for kind in ("cpu", "gpu"):
        found = estimators.make(name, device=kind, **overrides).fit_predict(points)
        assert adjusted_rand_score(label, np.asarray(found)) > 0.9


@pytest.mark.parametrize("name", estimators.names("embed"))
def test_an_embedding_keeps_neighbours_together_on_a_gpu(name, blobs):
    from sklearn.manifold import trustworthiness

    points, _ = blobs
    kept = []
    for kind in ("cpu", "gpu"):
        flat = np.asarray(estimators.make(name, device=kind).fit_transform(points[:2_000]))
        kept.append(trustworthiness(points[:2_000], flat, n_neighbors=10))
    assert kept[1] == pytest.approx(kept[0], abs=0.02)


def test_nvforest_on_a_gpu_predicts_what_xgboost_does(rows, tmp_path):
    import xgboost

    values, late = rows
    params, _ = estimators.xgboost_params("gpu")
    booster = xgboost.train(params, xgboost.DMatrix(values, late), 50)
    features = tuple(Feature(f"f{index}", -9.0, 9.0) for index in range(values.shape[1]))
    bundle = Bundle(kind="xgboost", estimator="xgboost", target="late", threshold=0.5, features=features)
    bundle = bundle.save(tmp_path / "model", booster)
    exact = engines.open_engine("xgboost", bundle).predict(values)
    np.testing.assert_allclose(engines.open_engine("nvforest-gpu", bundle).predict(values), exact, atol=1e-5)
