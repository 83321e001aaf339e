"""Versions of one thing under a folder: which is champion, where each comes from, and that none is half there.

MLflow on one SQLite file keeps runs, metrics, versions and aliases; the artifact of a version is a folder of ours,
copied and verified before the version appears. A version is one row in one transaction, written last: a process
killed while it registers leaves an unfinished run behind and never a half version; whoever registers next removes it.
No pickle is written or read. What a folder holds, and how it is opened, a subclass says: `train.Registry` keeps
bundles, `lm.registry.Registry` language models and adapters.

MLflow takes seconds to import and is imported at the first use; its telemetry stays off, and it writes nothing
outside the folder given.

>>> Versions("workspace", name="anything").uri.endswith("workspace/mlflow.db")
True
"""

import json
import os
import shutil
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import polars as pl

from aifactory_lab.aside import passing
from aifactory_lab.errors import ModelError, WorkspaceError
from aifactory_lab.telemetry.sharing.election import lives
from aifactory_lab.workspace import files_hash

CHAMPION = "champion"
MAKER = "aifactory_lab.process"  # the tag of a run that holds the number of the process that records it
DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
SQLITE = b"SQLite format 3\x00"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
T = TypeVar("T")


class Versions(Generic[T]):
    """Versions of one thing under a folder.

    Parameters
    ----------
    root
        The workspace; holds `mlflow.db` and `mlflow-artifacts/`. It may be moved: versions are found relative to it.
    name
        What it is registered as.
    """

    ARTIFACT = "files"  # the folder of a run that a version's files lie in
    SEAL = "sha256"  # the tag that holds their hash
    MEND = "registry.promote(registry.register(…))"
    COLUMNS: ClassVar[Mapping[str, pl.DataType | type[pl.DataType]]] = {}  # of `versions`, beyond those of every thing

    def __init__(self, root: Path | str, name: str = "model") -> None:
        self.root = Path(root).absolute()
        self.name = name

    def _open(self, folder: Path) -> T:
        """Return what a folder holds, verified; raise ModelError if it is damaged."""
        raise NotImplementedError

    def _told(self, tags: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of `COLUMNS` for a version with these tags."""
        raise NotImplementedError

    def versions(self) -> pl.DataFrame:
        """Return every version, newest first.

        Returns
        -------
        polars.DataFrame
            `version`, `alias`, the columns that the class names for its kind, `registered`, `run_id`.
        """
        aliases = {int(version): alias for alias, version in self._aliases().items()}
        rows = [
            {"version": int(found.version), "alias": aliases.get(int(found.version)), **self._told(found.tags)}
            | {"registered": found.creation_timestamp, "run_id": found.run_id}
            for found in self._all()
        ]
        schema: dict[str, Any] = {"version": pl.Int64, "alias": pl.String, **self.COLUMNS}
        schema |= {"registered": pl.Datetime("ms", "UTC"), "run_id": pl.String}
        return pl.DataFrame(rows, schema=schema).sort("version", descending=True)

    @property
    def uri(self) -> str:
        """The tracking and registry address that MLflow understands."""
        return f"sqlite:///{self.root / DATABASE}"

    @property
    def ui_command(self) -> str:
        """The line to paste for MLflow's own pages (http://127.0.0.1:5000)."""
        return f"MLFLOW_DISABLE_TELEMETRY=true {sys.executable} -m mlflow ui --backend-store-uri {self.uri}"

    def promote(self, version: int) -> T:
        """Make a version the champion, in one step; return what it holds.

        Raises
        ------
        ModelError
            If there is no such version, or its files are damaged: the old champion then stays.
        """
        opened = self.open(version)
        with quiet():
            self._client.set_model_version_tag(self.name, str(version), "promoted", str(time.time_ns()))
            self._client.set_registered_model_alias(self.name, CHAMPION, str(version))
        return opened

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
        self.open(last)
        with quiet():
            self._client.set_registered_model_alias(self.name, CHAMPION, str(last))
        return last

    def champion(self) -> T:
        """Return what the champion holds, verified.

        Raises
        ------
        ModelError
            If nothing was promoted yet, or the champion's files are damaged.
        """
        return self.open(self.champion_version())

    def champion_version(self) -> int:
        """Return the champion's version number.

        Raises
        ------
        ModelError
            If nothing was promoted yet.
        """
        if (version := self._aliases().get(CHAMPION)) is None:
            msg = f"{self.name} has no champion in {self.root / DATABASE}"
            raise ModelError(msg, mend=self.MEND)
        return int(version)

    def open(self, version: int) -> T:
        """Return what a version holds, with every file as it was registered.

        Raises
        ------
        ModelError
            If there is no such version, or a file changed since.
        """
        found = self._version(version)
        folder = self._folder(found.run_id)
        opened = self._open(folder)
        if files_hash([folder]) != found.tags[self.SEAL]:
            msg = f"version {version} of {self.name} was changed after it was registered: {folder}"
            raise ModelError(msg, mend="registry.rollback(), or train and register again")
        return opened

    def _record(
        self,
        folder: Path,
        run_name: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, list[tuple[int, float]]],
        params: Mapping[str, Any],
    ) -> int:
        """Copy a folder, prove the copy, and make it a version.

        Parameters
        ----------
        metrics
            (step, value) pairs by name.
        params
            JSON values by name.
        """
        self._open(folder)
        with quiet():
            experiment = self._experiment()
            self._tidy(experiment)
            run = self._client.create_run(experiment, run_name=run_name, tags={MAKER: str(os.getpid())}).info
            self._log(run.run_id, metrics, params)
            self._client.log_artifacts(run.run_id, str(folder), self.ARTIFACT)
            copied = self._folder(run.run_id)
            self._open(copied)
            tags = {self.SEAL: files_hash([copied]), **tags}
            source = f"{run.artifact_uri}/{self.ARTIFACT}"
            made = self._client.create_model_version(self._registered(), source, run_id=run.run_id, tags=tags)
            self._client.set_terminated(run.run_id)
        return int(made.version)

    def _tidy(self, experiment: str) -> None:
        """Remove the runs of ours that a kill left before their version appeared; end those that it left after."""
        versioned = {found.run_id for found in self._all()}
        for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            maker, name = run.data.tags.get(MAKER, ""), run.info.run_id
            if not maker.isdigit() or lives(int(maker), run.info.start_time / 1000):
                continue  # somebody else's, or at work
            if name in versioned:
                self._client.set_terminated(name)
            else:
                shutil.rmtree(self.root / ARTIFACTS / name, ignore_errors=True)
                self._client.delete_run(name)

    def _log(self, run_id: str, metrics: Mapping[str, list[tuple[int, float]]], params: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        points = [Metric(name, value, now, step) for name, row in metrics.items() for step, value in row]
        kept = [Param(name, json.dumps(value)) for name, value in params.items()]
        self._client.log_batch(run_id, metrics=points, params=kept)

    @cached_property
    def _client(self) -> Any:
        database = self.root / DATABASE
        self.root.mkdir(parents=True, exist_ok=True)
        if database.exists() and database.stat().st_size and _head(database) != SQLITE:
            msg = f"{database} is not a SQLite database"
            raise WorkspaceError(msg, mend=f"mv {database} {database}.damaged")
        with quiet():
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
            from sqlalchemy.exc import SQLAlchemyError

            try:
                if not database.exists() or not database.stat().st_size:
                    _create(database)
                return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            except (MlflowException, SQLAlchemyError, OSError) as error:
                msg = f"the registry {database} cannot be opened: {str(error).splitlines()[0]}"
                raise WorkspaceError(msg, mend=f"free space on {self.root}; or mv {database} {database}.old") from error

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
        return self.root / ARTIFACTS / run_id / "artifacts" / self.ARTIFACT

    def _all(self) -> list[Any]:
        with quiet():
            return list(self._client.search_model_versions(f"name = '{self.name}'"))

    def _aliases(self) -> Mapping[str, str]:
        with quiet():
            found = self._client.search_registered_models(f"name = '{self.name}'")
        return dict(found[0].aliases) if found else {}

    def _version(self, version: int) -> Any:
        found = {int(entry.version): entry for entry in self._all()}
        if version not in found:
            there = ", ".join(map(str, sorted(found))) or "none"
            msg = f"{self.name} has no version {version!r}; there are: {there}"
            raise ModelError(msg, mend="registry.versions()")
        return found[version]


def champions(root: Path | str) -> dict[str, dict[str, str]]:
    """Return the champions of a workspace by name, each with its version and its tags, without importing MLflow.

    The tags say what it is: `estimator` and `auc` of a `train.Registry`, `kind` and `title` of a
    `lm.registry.Registry`. Whether its files are whole, the registry says when it opens them.

    Raises
    ------
    WorkspaceError
        If the file is not MLflow's.

    Examples
    --------
    >>> champions("no/such/workspace")
    {}
    """
    database = Path(root).absolute() / DATABASE
    if not database.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            asked = "SELECT name, version FROM registered_model_aliases WHERE alias = ?"
            found = connection.execute(asked, (CHAMPION,)).fetchall()
            tags = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
            return {
                name: {**dict(connection.execute(tags, (name, version))), "version": str(version)}
                for name, version in found
            }
    except sqlite3.Error as error:
        msg = f"{database} cannot be read as MLflow's: {error}"
        raise WorkspaceError(msg, mend=f"mv {database} {database}.damaged") from error


def _create(database: Path) -> None:
    """Make MLflow's tables aside: they come by a hundred steps, and a kill between two leaves what it refuses."""
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    with passing(database.parent, database.name) as aside:
        engine = create_engine(f"sqlite:///{aside / database.name}")
        try:
            utils._initialize_tables(engine)  # type: ignore[no-untyped-call]  # noqa: SLF001 - there is no public way
        finally:
            engine.dispose()
        if not database.exists():  # another process may have made one meanwhile
            (aside / database.name).replace(database)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(SQLITE))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's telemetry, progress bars, start-up log and foreign warnings out of the user's way."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's and SQLAlchemy's deprecations: nothing here that a user can mend
        yield
