"""The decision line, from raw flight records to predictions per second.

It knows the order of its stations and what they hand on; how each works, it leaves to its room.

>>> from aifactory_lab import line
>>> [station.name for station in line.STATIONS]
['ingest', 'etl', 'train', 'ladder', 'score', 'serve']
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import datasets, etl, serve, train
from aifactory_lab.datasets import RawMaterial
from aifactory_lab.etl import contracts, quality
from aifactory_lab.line.stations import Done, LineRun, Say, Station, silence, upto, visit
from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.workspace import Artefact, Workspace

MODEL = "flights-late"
SLO_MS = 50.0
CONCURRENCY = 32
LOAD_SECONDS = 4.0


@dataclass(frozen=True)
class Run(LineRun):
    """A finished run of the decision line, with the raw material and the model's version in the registry."""

    raw: RawMaterial
    version: int | None = None

    @property
    def registry(self) -> train.Registry:
        """The registry of this workspace."""
        return train.Registry(self.workspace.root, MODEL)

    @property
    def result(self) -> train.Result:
        """The trained model with its scores."""
        return train.Result.load(self.artefacts["train"].folder)


def run(
    root: Path | str | None = None,
    *,
    raw: RawMaterial | None = None,
    copies: int = 1,
    until: str = "serve",
    say: Say | None = print,
) -> Run:
    """Take raw flight records through the stations.

    Parameters
    ----------
    root
        The workspace; by default `workspace.default_root()`.
    raw
        Raw material with the tables of the flights; by default the vendored ones.
    copies
        How many times the vendored records are laid end to end (1 is 0.34 M flights, 30 is 10 M).
    until
        The last station to visit.
    say
        Called with one line when a station begins and one when it ends; `None` for silence.

    Raises
    ------
    FactoryError
        If there is no such station, or a station refuses its inputs; finished stations are kept.
    """
    say = say or silence
    stations = upto(STATIONS, until)
    material = raw or datasets.load("flights", copies=copies)
    made = visit(stations, root, material, key=material.content_hash(), say=say)
    version = _register(made.workspace, made.artefacts["train"], say) if "train" in made.artefacts else None
    return Run(**vars(made), raw=material, version=version)


def _ingest(folder: Path, raw: RawMaterial, done: Done) -> StationReport:  # noqa: ARG001
    """Judge the raw material before anyone uses it, and describe it."""
    with Meter("ingest", unit="rows") as meter:
        contracts.check(raw, contracts.FLIGHTS)
        found = quality.report(raw, joins=quality.FLIGHTS_JOINS)
        found.columns.write_parquet(folder / "columns.parquet")
        found.coverage.write_parquet(folder / "coverage.parquet")
        rows = int(found.columns.group_by("table").agg(pl.col("rows").first())["rows"].sum())
        meter.count(rows, bytes_in=raw.bytes, dataset=raw.name, sha256=raw.content_hash())
    return meter.report


def _etl(folder: Path, raw: RawMaterial, done: Done) -> StationReport:  # noqa: ARG001
    report = etl.run(etl.recipes.flights(), raw, out=folder, progress=False)
    quality.drift(folder).write_parquet(folder / "drift.parquet")
    return report


def _train(folder: Path, raw: RawMaterial, done: Done) -> StationReport:
    lineage = {"raw": raw.name, "raw_sha256": done["ingest"].report.details["sha256"], "recipe": "flights"}
    scratch = Workspace(done["etl"].folder.parent).scratch("train", [done["etl"].key])
    report = train.fit(done["etl"].folder, out=folder, checkpoint=scratch, lineage=lineage).report
    shutil.rmtree(scratch, ignore_errors=True)  # the checkpoints have done their work
    return report


def _ladder(folder: Path, raw: RawMaterial, done: Done) -> StationReport:  # noqa: ARG001
    with Meter("ladder", unit="models") as meter:
        ladder = train.ladder.climb(done["etl"].folder)
        ladder.write_parquet(folder / "ladder.parquet")
        meter.count(ladder.height)
    return meter.report


def _score(folder: Path, raw: RawMaterial, done: Done) -> StationReport:  # noqa: ARG001
    """Score every flight in one batch; the engines are measured first, and that is not counted."""
    predictor = serve.Predictor.load(done["train"].folder / "bundle")
    predictor.table.write_parquet(folder / "engines.parquet")
    predictor.measurements.write_parquet(folder / "measurements.parquet")
    return serve.score(predictor, done["etl"].path("features.parquet"), folder / "predictions.parquet", progress=False)


def _serve(folder: Path, raw: RawMaterial, done: Done) -> StationReport:  # noqa: ARG001
    """Start the endpoint on loopback and load it, one row a request."""
    bundle = train.Bundle.load(done["train"].folder / "bundle")
    rows = pl.scan_parquet(done["etl"].path("features.parquet")).select(bundle.names).head(2000).collect()
    with serve.start(bundle.folder) as server, Meter("serve", unit="requests") as meter:
        found = serve.load.test(server.url, rows, concurrency=CONCURRENCY, seconds=LOAD_SECONDS, slo_ms=SLO_MS)
        answered = found.statuses.get("200", 0)
        meter.count(answered, memory_bytes=answered * 4 * len(bundle.names), **found.to_dict())
    return replace(meter.report, seconds=found.seconds)  # the clients' own clock, without starting them


STATIONS = (
    Station("ingest", (), _ingest),
    Station("etl", ("ingest",), _etl),
    Station("train", ("etl",), _train),
    Station("ladder", ("etl",), _ladder),
    Station("score", ("etl", "train"), _score),
    Station("serve", ("train",), _serve),
)


def _register(workspace: Workspace, trained: Artefact, say: Say) -> int:
    """Register the model once, and promote it unless the champion on the same features is better."""
    registry = train.Registry(workspace.root, MODEL)
    result = train.Result.load(trained.folder)
    mine: dict[str, Any] = {"features": result.bundle.lineage["features_sha256"], "auc": result.scores["auc"].value}
    same = registry.versions().filter(pl.col("features_sha256") == mine["features"])
    known = same.filter(pl.col("auc") == mine["auc"])["version"].to_list()
    version = known[0] if known else registry.register(result)
    champion = same.filter(pl.col("alias") == "champion")
    if champion.is_empty() or champion["auc"][0] < mine["auc"]:
        registry.promote(version)
        say(f"registry: version {version} of {MODEL} is the champion")
    else:
        say(f"registry: version {version} of {MODEL}; the champion stays version {champion['version'][0]}")
    return int(version)
