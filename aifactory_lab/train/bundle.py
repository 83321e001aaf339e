"""A model on disk: one folder that says what it is, where it comes from, and proves that it is whole.

`bundle.json` holds the features in order, the threshold, the metrics, the lineage and the sha256 of the model
file beside it: XGBoost's own `model.ubj`, or `model.skops` for scikit-learn (skops reads types from an
allow-list and executes nothing; there is no pickle here). What is damaged or foreign is refused with a
reason. This module does not train and does not predict.

>>> from aifactory_lab.train.bundle import Bundle
>>> Bundle.load("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from aifactory_lab import decoding
from aifactory_lab.aside import write_text
from aifactory_lab.errors import ModelError
from aifactory_lab.workspace import file_hash

FORMAT = 1
MANIFEST = "bundle.json"
LARGEST = 3.4e38  # of float32
FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError, ArithmeticError)
FILES = {"xgboost": "model.ubj", "sklearn": "model.skops"}
# Beyond what skops trusts by itself: the node arrays of scikit-learn's trees, plain data in compiled classes.
TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


@dataclass(frozen=True)
class Feature:
    """One input of the model, with the range seen in training (missing values are NaN)."""

    name: str
    minimum: float
    maximum: float
    missing_share: float = 0.0
    description: str = ""


@dataclass(frozen=True)
class Bundle:
    """A model folder.

    Attributes
    ----------
    kind
        ``"xgboost"`` (a `Booster`) or ``"sklearn"`` (an estimator or pipeline with `predict_proba`).
    estimator
        The name it was trained by, for example ``"random_forest"``.
    features
        Inputs in the order that the model expects; float32.
    target
        What a prediction is the probability of.
    threshold
        The probability from which the decision is "yes".
    metrics, lineage
        Plain JSON values: scores with intervals; data hash, recipe, parameters, library versions.
    """

    kind: str
    estimator: str
    features: tuple[Feature, ...]
    target: str
    threshold: float
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def names(self) -> list[str]:
        """Feature names in the order that the model expects."""
        return [feature.name for feature in self.features]

    @property
    def file(self) -> Path:
        """The model file."""
        return self.folder / FILES[self.kind]

    def save(self, folder: Path | str, model: Any) -> Self:
        """Write the model and its manifest; the manifest comes last, so a torn folder is never believed.

        Returns
        -------
        Bundle
            The same bundle with `folder` set.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        _dump(self.kind, model, folder / FILES[self.kind])
        values = {name: value for name, value in asdict(self).items() if name != "folder"}
        values |= {"format": FORMAT, "sha256": file_hash(folder / FILES[self.kind])}
        write_text(folder / MANIFEST, json.dumps(values, indent=1))
        return self.load(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read and verify a model folder; the model itself is read by `model()`.

        Raises
        ------
        ModelError
            If it is not ours, is of another format, or its model file is missing or changed.
        """
        folder = Path(folder)
        values = _manifest(folder)
        expected = str(values.pop("sha256"))
        path = folder / FILES[values["kind"]]
        found = file_hash(path) if path.exists() else "no file"
        if found != expected:
            msg = f"{path} is damaged or was changed: its sha256 should be {expected[:12]}…, found {found[:12]}…"
            raise ModelError(msg, mend="train again, or take an earlier version from the registry")
        try:
            own = decoding.fit(cls, {**values, "folder": folder})
            _check(own)
        except ValueError as error:
            msg = f"{folder} is not a model of ours: {error}"
            raise ModelError(msg) from error
        return own

    def model(self) -> Any:
        """Read the model: an `xgboost.Booster` or a scikit-learn estimator.

        Raises
        ------
        ModelError
            If the file holds types that are not on the allow-list, or cannot be read.
        """
        if self.kind == "xgboost":
            return _booster(self.file)
        return _estimator(self.file)


def _check(found: Bundle) -> None:
    """Refuse a bundle that names no feature, one twice, or a figure that float32 does not hold."""
    if not found.features or len(set(found.names)) != len(found.names):
        raise ValueError("features: every one needs a name of its own")
    figures = [(feature.name, value) for feature in found.features for value in (feature.minimum, feature.maximum)]
    if wrong := [name for name, value in [*figures, ("threshold", found.threshold)] if abs(value) > LARGEST]:
        msg = f"{wrong[0][:60]}: beyond float32"
        raise ValueError(msg)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        msg = f"{folder} is not a model of ours: no {MANIFEST} in it"
        raise ModelError(msg)
    try:
        values = decoding.table(path.read_bytes(), nans=True)  # of a column without values the range is NaN
    except ValueError as error:
        msg = f"{path} cannot be read: {error}"
        raise ModelError(msg) from error
    if values.pop("format", None) != FORMAT or str(values.get("kind")) not in FILES or "sha256" not in values:
        msg = f"{folder} is not a model of ours: {MANIFEST} is not of format {FORMAT} (kinds: {', '.join(FILES)})"
        raise ModelError(msg)
    return values


def _dump(kind: str, model: Any, path: Path) -> None:
    if kind == "xgboost":
        model.save_model(path)
    else:
        import skops.io

        skops.io.dump(model, path)


def _booster(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except (xgboost.core.XGBoostError, UnicodeDecodeError) as error:  # the latter: its message quotes the bytes
        msg = f"{path} is not an XGBoost model: {str(error).splitlines()[0]}"
        raise ModelError(msg) from error
    return booster


def _estimator(path: Path, trusted: Sequence[str] = TRUSTED) -> Any:
    import zipfile

    import skops.io

    try:
        foreign = sorted(set(skops.io.get_untrusted_types(file=path)) - set(trusted))
    except (zipfile.BadZipFile, *FAULTS) as error:
        msg = f"{path} is not a skops file ({error!r})"
        raise ModelError(msg) from error
    if foreign:
        msg = f"{path} holds types that are not on the allow-list: {', '.join(foreign)}"
        raise ModelError(msg, mend="load only models that this factory trained")
    try:
        return skops.io.load(path, trusted=list(trusted))
    except (zipfile.BadZipFile, *FAULTS) as error:
        msg = f"{path} is not a skops file ({error!r})"
        raise ModelError(msg) from error
