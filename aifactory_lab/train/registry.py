"""The registry: versions of a model, which one is champion, and where each comes from.

MLflow on one SQLite file keeps runs, metrics, versions and aliases; the artifact of a version is our own bundle
folder, copied and verified before the version appears. A version is one row in one transaction, written last: a
process killed while it registers leaves an unfinished run behind and never a half version. No pickle is written
or read. This module does not train and does not serve.

MLflow takes seconds to import and is imported at the first use; its telemetry stays off, and it writes nothing
outside the folder given.

>>> registry = Registry("workspace", name="flights-late")
>>> registry.uri.endswith("workspace/mlflow.db")
True
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from aifactory_lab.errors import ModelError, WorkspaceError
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.train.card import model_card
from aifactory_lab.workspace import files_hash

if TYPE_CHECKING:
    from aifactory_lab.train.result import Result

CHAMPION = "champion"
DATABASE, ARTIFACTS, BUNDLE = "mlflow.db", "mlflow-artifacts", "bundle"
SQLITE = b"SQLite format 3\x00"
CURVE_POINTS = 100
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "version": pl.Int64,
    "alias": pl.String,
    "estimator": pl.String,
    "auc": pl.Float64,
    "auc_low": pl.Float64,
    "auc_high": pl.Float64,
    "features_sha256": pl.String,
    "registered": pl.Datetime("ms", "UTC"),
    "run_id": pl.String,
}


class Registry:
    """Versions of one model under a folder.

    Parameters
    ----------
    root
        The workspace; holds `mlflow.db` and `mlflow-artifacts/`. It may be moved: versions are found relative to it.
    name
        What the model is registered as.
    """

    def __init__(self, root: Path | str, name: str = "model") -> None:
        self.root = Path(root).absolute()
        self.name = name

    @property
    def uri(self) -> str:
        """The tracking and registry address that MLflow understands."""
        return f"sqlite:///{self.root / DATABASE}"

    @property
    def ui_command(self) -> str:
        """The line to paste for MLflow's own pages (http://127.0.0.1:5000)."""
        return f"MLFLOW_DISABLE_TELEMETRY=true {sys.executable} -m mlflow ui --backend-store-uri {self.uri}"

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
        Bundle.load(result.bundle.folder)
        with _quiet():
            run = self._client.create_run(self._experiment(), run_name=result.bundle.estimator).info
            self._log(run.run_id, result)
            self._client.log_artifacts(run.run_id, str(result.bundle.folder), BUNDLE)
            bundle = Bundle.load(self._folder(run.run_id))
            tags = _tags(bundle)
            source = f"{run.artifact_uri}/{BUNDLE}"
            made = self._client.create_model_version(self._registered(), source, run_id=run.run_id, tags=tags)
            self._client.set_terminated(run.run_id)
        return int(made.version)

    def promote(self, version: int) -> Bundle:
        """Make a version the champion, in one step; return its bundle.

        Raises
        ------
        ModelError
            If there is no such version, or its bundle is damaged: the old champion then stays.
        """
        bundle = self.bundle(version)
        with _quiet():
            self._client.set_model_version_tag(self.name, str(version), "promoted", str(time.time_ns()))
            self._client.set_registered_model_alias(self.name, CHAMPION, str(version))
        return bundle

    def rollback(self) -> int:
        """Make the version that was champion before this one champion again; return it.

        Raises
        ------
        ModelError
            If there was none before.
        """
        now = self.champion_version()
        when = {int(version.version): int(version.tags.get("promoted", 0)) for version in self._all()}
        earlier = {version: at for version, at in when.items() if 0 < at < when[now]}
        if not earlier:
            msg = f"{self.name} has no champion before version {now}"
            raise ModelError(msg, mend="registry.versions() shows what there is to promote")
        last = max(earlier, key=lambda version: earlier[version])
        self.bundle(last)
        with _quiet():
            self._client.set_registered_model_alias(self.name, CHAMPION, str(last))
        return last

    def champion(self) -> Bundle:
        """Return the champion's bundle, verified.

        Raises
        ------
        ModelError
            If nothing was promoted yet, or the champion's files are damaged.
        """
        return self.bundle(self.champion_version())

    def champion_version(self) -> int:
        """Return the champion's version number.

        Raises
        ------
        ModelError
            If nothing was promoted yet.
        """
        if (version := self._aliases().get(CHAMPION)) is None:
            msg = f"{self.name} has no champion in {self.root / DATABASE}"
            raise ModelError(msg, mend="registry.promote(registry.register(result))")
        return int(version)

    def bundle(self, version: int) -> Bundle:
        """Return the bundle of a version, with every file as it was registered.

        Raises
        ------
        ModelError
            If there is no such version, or a file changed since.
        """
        found = self._version(version)
        bundle = Bundle.load(self._folder(found.run_id))
        if files_hash([bundle.folder]) != found.tags["bundle_sha256"]:
            msg = f"version {version} of {self.name} was changed after it was registered: {bundle.folder}"
            raise ModelError(msg, mend="registry.rollback(), or train and register again")
        return bundle

    def versions(self) -> pl.DataFrame:
        """Return every version, newest first.

        Returns
        -------
        polars.DataFrame
            `version`, `alias`, `estimator`, `auc` with `auc_low` and `auc_high`, `features_sha256`, `registered`,
            `run_id`.
        """
        aliases = {int(version): alias for alias, version in self._aliases().items()}
        rows = [
            {
                "version": int(found.version),
                "alias": aliases.get(int(found.version)),
                "estimator": found.tags["estimator"],
                **{name: float(found.tags[name]) for name in ("auc", "auc_low", "auc_high")},
                "features_sha256": found.tags["features_sha256"],
                "registered": found.creation_timestamp,
                "run_id": found.run_id,
            }
            for found in self._all()
        ]
        return pl.DataFrame(rows, schema=SCHEMA).sort("version", descending=True)

    def lineage(self, version: int) -> dict[str, Any]:
        """Return where a version comes from: run, data hash, parameters, library versions."""
        found = self._version(version)
        seal = {"version": version, "run_id": found.run_id, "bundle_sha256": found.tags["bundle_sha256"]}
        return {**seal, **self.bundle(version).lineage}

    def model_card(self, version: int) -> str:
        """Return the model card of a version as Markdown."""
        return model_card(self.bundle(version), title=f"{self.name}, version {version}")

    @cached_property
    def _client(self) -> Any:
        database = self.root / DATABASE
        self.root.mkdir(parents=True, exist_ok=True)
        if database.exists() and database.stat().st_size and _head(database) != SQLITE:
            msg = f"{database} is not a SQLite database"
            raise WorkspaceError(msg, mend=f"mv {database} {database}.damaged")
        with _quiet():
            from mlflow.tracking import MlflowClient

            return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _experiment(self) -> str:
        """Return the experiment whose artifacts lie here; a moved workspace gets a new one beside the old."""
        place = (self.root / ARTIFACTS).as_uri()
        for name in (self.name, f"{self.name} in {self.root}"):
            found = self._client.get_experiment_by_name(name)
            if found and found.artifact_location == place:
                return str(found.experiment_id)
            if not found:
                break
        return str(self._client.create_experiment(name, artifact_location=place))

    def _registered(self) -> str:
        if not self._client.search_registered_models(f"name = '{self.name}'"):
            self._client.create_registered_model(self.name)
        return self.name

    def _folder(self, run_id: str) -> Path:
        return self.root / ARTIFACTS / run_id / "artifacts" / BUNDLE

    def _all(self) -> list[Any]:
        with _quiet():
            return list(self._client.search_model_versions(f"name = '{self.name}'"))

    def _aliases(self) -> Mapping[str, str]:
        with _quiet():
            found = self._client.search_registered_models(f"name = '{self.name}'")
        return dict(found[0].aliases) if found else {}

    def _version(self, version: int) -> Any:
        found = {int(entry.version): entry for entry in self._all()}
        if version not in found:
            there = ", ".join(map(str, sorted(found))) or "none"
            msg = f"{self.name} has no version {version!r}; there are: {there}"
            raise ModelError(msg, mend="registry.versions()")
        return found[version]

    def _log(self, run_id: str, result: "Result") -> None:
        """Log parameters, scores, cost and the loss curve (thinned) in one batch."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        report, lineage = result.report, result.bundle.lineage
        numbers = {name: score.value for name, score in result.scores.items()}
        numbers |= {"seconds": report.seconds, "cpu_seconds": report.cpu_seconds, "threshold": result.threshold.value}
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
        history = result.history()
        for row in history.gather_every(max(1, history.height // CURVE_POINTS)).iter_rows(named=True):
            step = row.pop("round")
            metrics += [Metric(f"loss_{name}", value, now, step) for name, value in row.items()]
        params = [Param(name, json.dumps(value)) for name, value in lineage["params"].items()]
        self._client.log_batch(run_id, metrics=metrics, params=params)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(SQLITE))


def _tags(bundle: Bundle) -> dict[str, str]:
    auc = bundle.metrics["test"]["auc"]
    return {
        "bundle_sha256": files_hash([bundle.folder]),
        "features_sha256": str(bundle.lineage["features_sha256"]),
        "estimator": bundle.estimator,
        "auc": str(auc["value"]),
        "auc_low": str(auc["low"]),
        "auc_high": str(auc["high"]),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's telemetry, progress bars, start-up log and foreign warnings out of the user's way."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's and SQLAlchemy's deprecations: nothing here that a user can mend
        yield
