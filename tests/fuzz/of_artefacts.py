"""Readers of what stations leave behind, and of models that strangers give: manifests, weights, tokenizers, headers.

Where a manifest proves other files, it is written with the right proof after it was mutated, so that its other fields
are reached.
"""

import hashlib
import json
import struct
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from aifactory_lab.etl.features import SPEC, FeatureSpec
from aifactory_lab.serve import answers
from aifactory_lab.serve.calibration import Calibration, Cell, choose, probe_rows
from aifactory_lab.serve.llm import gguf_header
from aifactory_lab.serve.schemas import RowSchema
from aifactory_lab.train.bundle import MANIFEST, Bundle, Feature, _estimator
from aifactory_lab.train.card import model_card
from aifactory_lab.workspace import Workspace
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, put

NO_BYTES = hashlib.sha256(b"").hexdigest()
FEATURES = (Feature("hour", 0, 23, 0.1, "of day"), Feature("distance", 80.0, 4983.0))


def bundle(data: bytes) -> Any:
    """Load a model folder, write its card, draw rows for it, and answer one."""
    put("bundle/model.ubj", b"")
    found = Bundle.load(put(f"bundle/{MANIFEST}", data).parent)
    model_card(found).encode()
    rows = probe_rows(found, 3)
    parsed = RowSchema(found.features).read(rows.astype(float).tolist())
    body = answers.rows(parsed, np.zeros(len(parsed.rows), np.float32), found.threshold, ()).body
    return json.loads(body)


def _bundle(sha256: str = NO_BYTES) -> bytes:
    test = {"auc": {"value": 0.7, "low": 0.6, "high": 0.8}}
    metrics = {"test": test, "base_rate": {"valid": 0.2, "test": 0.2}, "calibration_error": 0.01}
    one = Bundle("xgboost", "xgboost", FEATURES, "late", 0.3, metrics, {"rounds": 9, "leaks": []})
    values = {name: value for name, value in asdict(one).items() if name != "folder"}
    return json.dumps(values | {"format": 1, "sha256": sha256}).encode()


def booster(data: bytes) -> Any:
    """Open a model of XGBoost's whose manifest proves the whole one: XGBoost's own reader crashes on a damaged one."""
    put("booster/bundle.json", _bundle(hashlib.sha256(_booster_bytes()).hexdigest()))
    found = Bundle.load(put("booster/model.ubj", data).parent).model()
    assert data == _booster_bytes()
    return found.inplace_predict(np.zeros((1, 2), np.float32))


@cache
def _booster_bytes() -> bytes:
    import xgboost

    random = np.random.default_rng(0)
    rows = random.random((60, 2), dtype=np.float32)
    table = xgboost.DMatrix(rows, label=(rows[:, 0] > 0.5).astype(int))
    trained = xgboost.train({"max_depth": 2, "objective": "binary:logistic", "nthread": 1}, table, 2)
    return bytes(trained.save_raw("ubj"))


def estimator(data: bytes) -> Any:
    """Open an estimator of scikit-learn's."""
    return _estimator(put("estimator/model.skops", data))


@cache
def _estimator_bytes() -> bytes:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    return bytes(skops.io.dumps(model))


def features(data: bytes) -> Any:
    """Read the words of a feature table."""
    found = FeatureSpec.load(put(f"features/{SPEC}", data).parent)
    found.columns()
    return [", ".join((found.target, found.time, found.split, *found.columns(name))).encode() for name in found.groups]


def _features() -> bytes:
    spec = FeatureSpec("late", "sched_dep", "split", {"schedule": ("hour", "month")}, (), {"hour": "h"})
    return json.dumps(asdict(spec)).encode()


def calibration(data: bytes) -> Any:
    """Read what was measured of engines, and choose by it; what is not believed is measured anew."""
    found = Calibration.load(put("calibrations/one.json", data))
    if found is not None:
        choose(found.cells, [1, 64, 100_000])
        bool(found.takes_missing), "; ".join(found.left_out.values())
    return found


def _calibration() -> bytes:
    cells = tuple(Cell(name, 1, size, 1e4 * size) for name in ("onnx", "xgboost") for size in (1, 64))
    return json.dumps(asdict(Calibration(cells, {"nvforest": "no GPU"}, takes_missing=True, seconds=1.5))).encode()


def manifest(data: bytes) -> Any:
    """Ask a workspace whether an artefact is whole."""
    folder = emptied("workspace/etl-0123456789ab")
    (folder / "manifest.json").write_bytes(data)
    for left in folder.parent.glob("*.damaged-*"):
        (left / "manifest.json").unlink(missing_ok=True)
        left.rmdir()
    report = Workspace(folder.parent)._whole(folder)
    return report and str(report).encode()


def _manifest() -> bytes:
    from aifactory_lab.measure import Meter

    with Meter("etl", unit="rows") as meter:
        meter.count(5, result=3)
    return json.dumps({"report": meter.report.to_dict(), "files": {}}).encode()


def gguf(data: bytes) -> Any:
    """Look up a context in a header."""
    return gguf_header.read(put("models/one.gguf", data), ".context_length")


def _gguf() -> bytes:
    def text(word: bytes) -> bytes:
        return struct.pack("<Q", len(word)) + word

    words = struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"bc")
    pairs = (
        text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama"),
        text(b"tokenizer.tokens") + words,
        text(b"tokenizer.scores") + struct.pack("<IIQff", 9, 6, 2, 0.5, 1.5),
        text(b"llama.context_length") + struct.pack("<II", 4, 2048),
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


def targets() -> tuple[Target, ...]:
    """Return the readers of artefacts that need no PyTorch."""
    return (
        Target("bundle.json", bundle, (_bundle(),), words=(NO_BYTES.encode(), b"sklearn")),
        Target("XGBoost model", booster, (_booster_bytes(),)),
        Target("skops model", estimator, (_estimator_bytes(),)),
        Target("features.json", features, (_features(),)),
        Target("calibration", calibration, (_calibration(),)),
        Target("artefact's manifest", manifest, (_manifest(),)),
        Target("GGUF header", gguf, (_gguf(),), words=(struct.pack("<IIQ", 9, 9, 1), struct.pack("<Q", 2**63))),
    )
