"""The registry: versions of a model, which one is champion, and where each comes from.

A version is a bundle folder; how versions are kept, `versions` says. This module does not train and does not serve.

>>> registry = Registry("workspace", name="flights-late")
>>> registry.uri.endswith("workspace/mlflow.db")
True
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from aifactory_lab.train.bundle import Bundle
from aifactory_lab.train.card import model_card
from aifactory_lab.train.versions import Versions

if TYPE_CHECKING:
    from aifactory_lab.train.result import Result

CURVE_POINTS = 100
AUC = ("auc", "auc_low", "auc_high")


class Registry(Versions[Bundle]):
    """Versions of one model under a folder; `versions()` tells estimator, AUC and the hash of the features of each.

    Parameters
    ----------
    root
        The workspace; holds `mlflow.db` and `mlflow-artifacts/`. It may be moved: versions are found relative to it.
    name
        What the model is registered as.
    """

    ARTIFACT = "bundle"
    SEAL = "bundle_sha256"
    MEND = "registry.promote(registry.register(result))"
    COLUMNS: ClassVar[Mapping[str, pl.DataType | type[pl.DataType]]] = {
        "estimator": pl.String,
        **dict.fromkeys(AUC, pl.Float64),
        "features_sha256": pl.String,
    }

    def _open(self, folder: Path) -> Bundle:
        return Bundle.load(folder)

    def _told(self, tags: Mapping[str, str]) -> dict[str, Any]:
        return {name: float(tags[name]) if name in AUC else tags[name] for name in self.COLUMNS}

    def register(self, result: "Result") -> int:
        """Record a training run and make its model a version.

        Returns
        -------
        int
            The version; it is not champion until it is promoted.

        Raises
        ------
        ModelError
            If the bundle is damaged.
        """
        bundle = result.bundle
        return self._record(bundle.folder, bundle.estimator, _tags(bundle), _metrics(result), bundle.lineage["params"])

    def bundle(self, version: int) -> Bundle:
        """Return the bundle of a version, with every file as it was registered.

        Raises
        ------
        ModelError
            If there is no such version, or a file changed since.
        """
        return self.open(version)

    def lineage(self, version: int) -> dict[str, Any]:
        """Return where a version comes from: run, data hash, parameters, library versions."""
        found = self._version(version)
        seal = {"version": version, "run_id": found.run_id, "bundle_sha256": found.tags["bundle_sha256"]}
        return {**seal, **self.bundle(version).lineage}

    def model_card(self, version: int) -> str:
        """Return the model card of a version as Markdown."""
        return model_card(self.bundle(version), title=f"{self.name}, version {version}")


def _metrics(result: "Result") -> dict[str, list[tuple[int, float]]]:
    """Return scores, cost and the loss curve (thinned)."""
    report = result.report
    numbers = {name: score.value for name, score in result.scores.items()}
    numbers |= {"seconds": report.seconds, "cpu_seconds": report.cpu_seconds, "threshold": result.threshold.value}
    history = result.history()
    thin = history.gather_every(max(1, history.height // CURVE_POINTS))
    curves = {f"loss_{name}": list(zip(thin["round"], thin[name], strict=True)) for name in history.columns[1:]}
    return {name: [(0, value)] for name, value in numbers.items()} | curves


def _tags(bundle: Bundle) -> dict[str, str]:
    auc = bundle.metrics["test"]["auc"]
    return {
        "features_sha256": str(bundle.lineage["features_sha256"]),
        "estimator": bundle.estimator,
        "auc": str(auc["value"]),
        "auc_low": str(auc["low"]),
        "auc_high": str(auc["high"]),
    }
