"""Engines: several libraries that answer the same question, behind one small interface.

An engine takes float32 rows (NaN = missing) and returns float32 probabilities; all of them agree to about
1e-6, because they walk the same trees. They differ in speed by up to 30 times, and which is fastest depends
on the batch: see `aifactory_lab.serve.calibration`, which measures, and `Predictor`, which chooses.

>>> from aifactory_lab.serve import engines
>>> engines.candidates("xgboost", gpu=False)
('xgboost', 'onnx', 'nvforest')
"""

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from aifactory_lab import device
from aifactory_lab.aside import write_aside
from aifactory_lab.errors import FactoryError, ModelError, require
from aifactory_lab.serve.rows import Rows
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.workspace import cache_folder, file_hash

Predict: TypeAlias = Callable[[Rows], Rows]
ON_GPU = "nvforest-gpu"


@dataclass(frozen=True)
class Engine:
    """A way to predict.

    Attributes
    ----------
    name, threads
        Which library, on how many threads.
    predict
        float32 rows [n, features] → float32 probabilities [n].
    """

    name: str
    threads: int
    predict: Predict

    def __str__(self) -> str:
        return f"{self.name} ({self.threads} thread{'s' if self.threads > 1 else ''})"


def candidates(kind: str, *, gpu: bool | None = None) -> tuple[str, ...]:
    """Return the engines that may serve a kind of bundle; the first is the reference, the library that trained it."""
    own = "xgboost" if kind == "xgboost" else "sklearn"
    names = (own, "onnx", "nvforest")
    return (*names, ON_GPU) if (device.kind() == "gpu" if gpu is None else gpu) else names


def open_engine(name: str, bundle: Bundle, *, threads: int = 1) -> Engine:
    """Load a bundle into one engine.

    Parameters
    ----------
    name
        One of `candidates(bundle.kind)`.
    threads
        How many threads one call may use.

    Raises
    ------
    ModelError
        If there is no such engine, or it cannot take this model; the message says why.
    MissingPackageError
        If its package is not installed.
    """
    if name not in OPENERS:
        msg = f"no engine {name!r}; there are: {', '.join(OPENERS)}"
        raise ModelError(msg)
    return Engine(name, threads, OPENERS[name](bundle, threads))


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _xgboost(bundle: Bundle, threads: int) -> Predict:
    if bundle.kind != "xgboost":
        msg = f"XGBoost cannot serve a model of kind {bundle.kind!r}"
        raise ModelError(msg)
    booster = bundle.model()
    booster.set_param({"nthread": threads, "device": "cpu"})

    def predict(rows: Rows) -> Rows:
        return booster.inplace_predict(rows, validate_features=False)  # type: ignore[no-any-return]

    return predict


def _sklearn(bundle: Bundle, threads: int) -> Predict:
    if bundle.kind != "sklearn":
        msg = f"scikit-learn cannot serve a model of kind {bundle.kind!r}"
        raise ModelError(msg)
    model = bundle.model()
    parallel = {name: threads for name in model.get_params() if name.rsplit("__", 1)[-1] == "n_jobs"}
    model.set_params(**parallel)

    def predict(rows: Rows) -> Rows:
        return model.predict_proba(rows)[:, 1].astype(np.float32)  # type: ignore[no-any-return]

    return predict


def _onnx(bundle: Bundle, threads: int) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A waiting worker that spins takes the core from whoever shares the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(to_onnx(bundle), options, providers=["CPUExecutionProvider"])
    run, outputs = session.run, [session.get_outputs()[1].name]

    def predict(rows: Rows) -> Rows:
        return run(outputs, {"rows": rows})[0][:, 1]  # type: ignore[no-any-return]

    return predict


def _nvforest(bundle: Bundle, threads: int, kind: str = "cpu") -> Predict:
    nvforest = require("nvforest", extra="gpu")
    with warnings.catch_warnings():  # treelite warns of a newer version in the model; the results are compared
        warnings.simplefilter("ignore")
        try:
            forest = _forest(nvforest, bundle, kind)
        except _refusals() as error:
            msg = f"nvforest cannot take this {bundle.estimator}: {_first_line(error)}"
            raise ModelError(msg) from error
    predict_proba = forest.predict_proba
    set_threads = _openmp_threads() if kind == "cpu" else []

    def predict(rows: Rows) -> Rows:
        for each in set_threads:  # a property of the calling thread in OpenMP, 0.3 µs
            each(threads)
        return _on_host(predict_proba(rows))[:, -1].astype(np.float32, copy=False)  # type: ignore[no-any-return]

    return predict


def _nvforest_gpu(bundle: Bundle, threads: int) -> Predict:
    return _nvforest(bundle, threads, kind="gpu")


OPENERS: dict[str, Callable[[Bundle, int], Predict]] = {
    "xgboost": _xgboost,
    "sklearn": _sklearn,
    "onnx": _onnx,
    "nvforest": _nvforest,
    ON_GPU: _nvforest_gpu,
}


def _forest(nvforest: Any, bundle: Bundle, kind: str) -> Any:
    if bundle.kind == "xgboost":
        return nvforest.load_model(bundle.file, device=kind, layout="layered")
    return nvforest.load_from_sklearn(bundle.model(), device=kind, layout="layered")


def _refusals() -> tuple[type[Exception], ...]:
    from treelite.core import TreeliteError

    return (RuntimeError, ValueError, TypeError, NotImplementedError, TreeliteError)


def _openmp_threads() -> list[Callable[[int], None]]:
    """Return the thread switches of the OpenMP that nvforest brings (the environment is read only at its start)."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    pools = ThreadpoolController().select(user_api="openmp").lib_controllers
    return [pool.set_num_threads for pool in pools if "libraft" in pool.filepath or "nvforest" in pool.filepath]


def _on_host(values: Any) -> Any:
    return values.get() if hasattr(values, "get") else values


def to_onnx(bundle: Bundle) -> bytes:
    """Return the model in ONNX: from the cache (by the sha256 of the model file), or converted now.

    Raises
    ------
    ModelError
        If ONNX cannot express the model.
    """
    path = cache_folder() / "onnx" / f"{file_hash(bundle.file)[:32]}.onnx"
    if path.exists():
        return path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content: bytes = _convert(bundle).SerializeToString()
    except FactoryError:
        raise
    except (RuntimeError, ValueError, TypeError, NotImplementedError, KeyError, AttributeError) as error:
        msg = f"ONNX cannot express this {bundle.estimator}: {_first_line(error)}"
        raise ModelError(msg) from error
    # A cache that cannot be written costs the conversion again, nothing else.
    with suppress(OSError), write_aside(path) as aside:
        aside.write_bytes(content)
    return content


def _convert(bundle: Bundle) -> Any:
    model, width = bundle.model(), len(bundle.features)
    if bundle.kind == "xgboost":
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        model.feature_names = None  # the converter takes only f0, f1, …
        model.set_attr(best_iteration=None)  # every tree in the file counts, here as in the other engines
        return convert_xgboost(model, initial_types=[("rows", FloatTensorType([None, width]))])
    from skl2onnx import to_onnx as convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType as Floats

    return convert_sklearn(model, initial_types=[("rows", Floats([None, width]))], options={"zipmap": False})


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
