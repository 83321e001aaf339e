"""Estimators by name: one set of house parameters, translated for each device.

On a CPU a name means scikit-learn, XGBoost or umap-learn; on a GPU it means cuML, or XGBoost on CUDA. What
prepares the rows (imputing, scaling) is scikit-learn on both devices: it costs one pass over the data, and a
model trained on a GPU then leaves it as a scikit-learn pipeline that any machine can serve. This module does not
train and does not know any dataset.

>>> from aifactory_lab.train import estimators
>>> estimators.gpu_call("kmeans")
('cuml.cluster.KMeans', {'n_clusters': 8, 'max_iter': 300, 'random_state': 7})
>>> estimators.make("kmeans", device="cpu", n_clusters=3)[-1]
KMeans(n_clusters=3, n_init=1, random_state=7)
"""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aifactory_lab import device as devices
from aifactory_lab.errors import ModelError, require

Task = Literal["classify", "cluster", "embed"]
SEED = 7
FEW_ROWS = 20_000  # training rows from which on the house parameters, chosen on 244,737, are taken as they are
XGBOOST_NATIVE = {"n_jobs": "nthread", "random_state": "seed"}  # scikit-learn's word → XGBoost's own


@dataclass(frozen=True)
class Twin:
    """One class on one device, and how it says the house's words.

    Attributes
    ----------
    path
        Dotted class path.
    words
        House word → the class's word; `None` where the class has no such parameter.
    fixed
        Parameters that only this device needs.
    """

    path: str
    words: Mapping[str, str | None] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def translate(self, house: Mapping[str, Any]) -> dict[str, Any]:
        """Say the house parameters in this class's words."""
        said = {self.words.get(word, word): value for word, value in house.items()}
        return {word: value for word, value in said.items() if word is not None} | dict(self.fixed)


@dataclass(frozen=True)
class Estimator:
    """A name of the house: its task, what it is, its twins, its defaults, and the steps that prepare its rows.

    `dask` is cuML's class for many GPUs, where there is one; it takes the words of the one for a single GPU.
    """

    task: Task
    title: str
    cpu: Twin
    gpu: Twin
    house: Mapping[str, Any]
    prepare: tuple[str, ...] = ()
    dask: str = ""


_Words = dict[str, str | None]
_SEED: _Words = {"seed": "random_state"}
_THREADS: _Words = {"threads": "n_jobs"}
_NO_THREADS: _Words = {"threads": None}
_NO_SEED: _Words = {"seed": None}
TABLE: dict[str, Estimator] = {
    "xgboost": Estimator(
        "classify",
        "gradient-boosted trees",
        cpu=Twin("xgboost.XGBClassifier", _SEED | _THREADS | {"rounds": "n_estimators"}, {"device": "cpu"}),
        gpu=Twin("xgboost.XGBClassifier", _SEED | _THREADS | {"rounds": "n_estimators"}, {"device": "cuda"}),
        # Measured on late flights, validation rows: depth 6 with these regularisers 0.777 AUC, without them 0.776,
        # depth 8 without them 0.773; a learning rate of 0.05 costs twice the time of 0.1 for the same AUC (±0.001).
        house={
            "rounds": 600,
            "max_depth": 6,
            "learning_rate": 0.1,
            "subsample": 0.8,
            "colsample_bytree": 0.7,
            "min_child_weight": 50,
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "seed": SEED,
            "threads": None,
        },
    ),
    "random_forest": Estimator(
        "classify",
        "a forest of independent trees",
        cpu=Twin("sklearn.ensemble.RandomForestClassifier", _SEED | _THREADS),
        # cuML bins features into n_bins and grows trees on streams: it has neither n_jobs nor criterion.
        gpu=Twin("cuml.ensemble.RandomForestClassifier", _SEED | _NO_THREADS, {"n_bins": 128, "max_leaves": -1}),
        house={
            "n_estimators": 100,
            "max_depth": 14,
            "min_samples_leaf": 20,
            "max_features": "sqrt",
            "seed": SEED,
            "threads": None,
        },
        prepare=("impute",),
        dask="cuml.dask.ensemble.RandomForestClassifier",
    ),
    "logistic_regression": Estimator(
        "classify",
        "a linear model of log-odds",
        cpu=Twin("sklearn.linear_model.LogisticRegression", _NO_SEED | _NO_THREADS, {"solver": "lbfgs"}),
        gpu=Twin("cuml.linear_model.LogisticRegression", _NO_SEED | _NO_THREADS, {"solver": "qn"}),
        house={"C": 1.0, "max_iter": 1000, "tol": 1e-4, "seed": SEED, "threads": None},
        prepare=("impute", "scale"),
        dask="cuml.dask.linear_model.LogisticRegression",
    ),
    "kmeans": Estimator(
        "cluster",
        "clusters around so many means",
        cpu=Twin("sklearn.cluster.KMeans", _SEED | _NO_THREADS, {"n_init": 1}),
        gpu=Twin("cuml.cluster.KMeans", _SEED | _NO_THREADS),
        house={"n_clusters": 8, "max_iter": 300, "seed": SEED, "threads": None},
        prepare=("impute", "scale"),
        dask="cuml.dask.cluster.KMeans",
    ),
    "pca": Estimator(
        "embed",
        "principal components: the directions of most variance",
        cpu=Twin("sklearn.decomposition.PCA", _SEED | _NO_THREADS, {"svd_solver": "full"}),
        gpu=Twin("cuml.decomposition.PCA", _NO_SEED | _NO_THREADS, {"svd_solver": "full"}),
        house={"n_components": 2, "whiten": False, "seed": SEED, "threads": None},
        prepare=("impute", "scale"),
        dask="cuml.dask.decomposition.PCA",
    ),
    "umap": Estimator(
        "embed",
        "a map that keeps neighbours together",
        # With a seed umap-learn runs on one thread, and says so in a warning unless it is told.
        cpu=Twin("umap.UMAP", _SEED | _NO_THREADS, {"n_jobs": 1}),
        gpu=Twin("cuml.manifold.UMAP", _SEED | _NO_THREADS),
        house={"n_components": 2, "n_neighbors": 15, "min_dist": 0.1, "seed": SEED, "threads": None},
        prepare=("impute", "scale"),
    ),
    "hdbscan": Estimator(
        "cluster",
        "clusters by density, with noise left out",
        cpu=Twin("sklearn.cluster.HDBSCAN", _NO_SEED | _THREADS, {"copy": True}),
        gpu=Twin("cuml.cluster.HDBSCAN", _NO_SEED | _NO_THREADS),
        house={"min_cluster_size": 50, "min_samples": 5, "seed": SEED, "threads": None},
        prepare=("impute", "scale"),
    ),
}
STEPS = {
    "impute": ("sklearn.impute.SimpleImputer", {"strategy": "median"}),
    "scale": ("sklearn.preprocessing.StandardScaler", {}),
}


def names(task: Task | None = None) -> list[str]:
    """Return the names of the house, or those of one task.

    Examples
    --------
    >>> names("classify")
    ['xgboost', 'random_forest', 'logistic_regression']
    """
    return [name for name, entry in TABLE.items() if task in (None, entry.task)]


def house(name: str, **overrides: Any) -> dict[str, Any]:
    """Return the house parameters of an estimator with some of them replaced.

    Raises
    ------
    ModelError
        If there is no such estimator or parameter; the message lists those there are.

    Examples
    --------
    >>> house("xgboost", max_depth=8)["max_depth"]
    8
    """
    entry = _entry(name)
    if unknown := [word for word in overrides if word not in entry.house]:
        msg = f"{name} has no parameter {unknown[0]!r}; it has: {', '.join(entry.house)}"
        raise ModelError(msg)
    values = {**entry.house, **overrides}
    return values if values["threads"] else {**values, "threads": threads()}


def sized(name: str, rows: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return overrides of the house parameters for so many training rows: what is not given, and was chosen for many.

    XGBoost's `min_child_weight` counts about a quarter of a row for a row; of a few hundred rows the house's would
    leave no leaf to split, and the model would say the same of all. Below `FEW_ROWS` it shrinks with them, to one.

    Examples
    --------
    >>> sized("xgboost", 400, {}), sized("xgboost", 244_737, {}), sized("xgboost", 400, {"min_child_weight": 7})
    ({'min_child_weight': 1.0}, {}, {'min_child_weight': 7})
    """
    if name != "xgboost" or rows >= FEW_ROWS or "min_child_weight" in overrides:
        return dict(overrides)
    usual = _entry(name).house["min_child_weight"]
    return {**overrides, "min_child_weight": max(1.0, round(usual * rows / FEW_ROWS, 1))}


def call(name: str, kind: devices.Kind, **overrides: Any) -> tuple[str, dict[str, Any]]:
    """Return the class path and parameters that `make` calls on a device.

    Examples
    --------
    >>> call("logistic_regression", "gpu")[1]["solver"]
    'qn'
    """
    entry = _entry(name)
    twin = entry.gpu if kind == "gpu" else entry.cpu
    return twin.path, twin.translate(house(name, **overrides))


def gpu_call(name: str, **overrides: Any) -> tuple[str, dict[str, Any]]:
    """Return what `make` calls on a GPU; its signature can be checked where there is none."""
    return call(name, "gpu", **overrides)


def dask_call(name: str, **overrides: Any) -> tuple[str, dict[str, Any]]:
    """Return the class path and parameters that train on many GPUs (`train.many_gpus`).

    Raises
    ------
    ModelError
        If cuML has no such class.
    """
    if not (path := _entry(name).dask):
        there = ", ".join(word for word, entry in TABLE.items() if entry.dask)
        msg = f"cuML does not train {name} on many GPUs; it does: {there}"
        raise ModelError(msg)
    return path, gpu_call(name, **overrides)[1]


def preparation(name: str) -> Any:
    """Return the pipeline that prepares an estimator's rows, not yet fitted; None if it takes them as they are."""
    steps = [(step, _class(STEPS[step][0])(**STEPS[step][1])) for step in _entry(name).prepare]
    return _class("sklearn.pipeline.Pipeline")(steps) if steps else None


def make(name: str, device: str | None = None, **overrides: Any) -> Any:
    """Make an estimator that is not yet fitted.

    Parameters
    ----------
    name
        One of `names()`.
    device
        ``"cpu"``, ``"gpu"`` or ``"auto"``; by default what `aifactory_lab.device` chooses.
    **overrides
        House parameters to replace; they are the same on both devices.

    Returns
    -------
    object
        With scikit-learn's interface; a `Pipeline` where rows are prepared first. Missing values are NaN.

    Raises
    ------
    ModelError
        If there is no such estimator or parameter.
    """
    path, params = call(name, devices.kind(device), **overrides)
    model = _class(path)(**params)
    prepare = preparation(name)
    return model if prepare is None else type(prepare)([*prepare.steps, (name, model)])


def xgboost_params(device: str | None = None, **overrides: Any) -> tuple[dict[str, Any], int]:
    """Return parameters for `xgboost.train` (its own words) and the number of rounds.

    Examples
    --------
    >>> params, rounds = xgboost_params("cpu", threads=2)
    >>> params["nthread"], params["device"], rounds
    (2, 'cpu', 600)
    """
    _, params = call("xgboost", devices.kind(device), **overrides)
    rounds = params.pop("n_estimators")
    return {XGBOOST_NATIVE.get(word, word): value for word, value in params.items()}, rounds


def portable(model: Any) -> Any:
    """Return the model as scikit-learn: a cuML step becomes its twin, anything else stays as it is.

    cuML's `as_sklearn` needs the GPU, so this is called where the model was trained.
    """
    if not hasattr(model, "steps"):
        return model
    name, last = model.steps[-1]
    if not hasattr(last, "as_sklearn"):
        return model
    return type(model)([*model.steps[:-1], (name, last.as_sklearn())])


def probability(model: Any, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of the positive class, shape ``(n,)``, from a Booster or an estimator."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features), dtype=np.float64)[:, 1]
    return np.asarray(model.inplace_predict(features), dtype=np.float64)


def threads() -> int:
    """Return how many threads to use: `OMP_NUM_THREADS`, else the cores that this process may run on."""
    word = os.environ.get("OMP_NUM_THREADS", "")
    return int(word) if word.isdecimal() and int(word) > 0 else len(os.sched_getaffinity(0))


def _entry(name: str) -> Estimator:
    if name not in TABLE:
        msg = f"no estimator {name!r}; there are: {', '.join(TABLE)}"
        raise ModelError(msg)
    return TABLE[name]


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    if module.startswith("cuml"):
        require("cuml", extra="gpu")
    with warnings.catch_warnings():  # umap-learn announces that TensorFlow, which we do not use, is missing
        warnings.simplefilter("ignore", ImportWarning)
        return getattr(import_module(module), name)
