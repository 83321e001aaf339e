"""The decision line, from raw flight records to predictions per second.

It knows the order of its stations and what they hand on; how each works, it leaves to its room.

>>> from aifactory_lab import line
>>> [station.name for station in line.STATIONS]
['ingest', 'etl', 'train', 'ladder', 'score', 'serve']
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import datasets, etl, serve, train
from aifactory_lab.datasets import RawMaterial
from aifactory_lab.etl import contracts, quality, recipes, tabular
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line.stations import Done, LineRun, Say, Station, silence, unusual, upto, visit
from aifactory_lab.line.turns import alone
from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.workspace import Artefact, Workspace, scratch

MODEL = "flights-late"
SLO_MS = 50.0
CONCURRENCY = 32
LOAD_SECONDS = 4.0
TITLE = "Will a flight arrive more than 15 minutes late?"


@dataclass(frozen=True)
class Settings:
    """What a run of the decision line can decide; as it stands, it is the run on the flights.

    Attributes
    ----------
    title
        The question that the model answers.
    recipe, columns
        A name of `etl.recipes.names()`; or, instead, which columns of a table of your own are what (`etl.tabular`).
    estimator, parameters, groups, validation, costs
        As for `train.fit`.
    model
        What the model is registered as.
    engine
        What predicts, in the batch and in the endpoint; by default what is fastest at each batch size.
    concurrency, seconds
        Of the load test on the endpoint: clients, and how long.
    slo_ms
        Milliseconds within which 99 % of the requests are to be answered; goodput counts by it too.
    goodput
        Requests per second to be answered within `slo_ms`; `None` if that is no objective.
    """

    title: str = TITLE
    recipe: str = "flights"
    columns: tabular.Columns | None = None
    estimator: str = "xgboost"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    validation: float = train.table.VALIDATION
    costs: train.evaluation.Costs = field(default_factory=train.evaluation.Costs)
    model: str = MODEL
    engine: str = ""
    concurrency: int = CONCURRENCY
    seconds: float = LOAD_SECONDS
    slo_ms: float = SLO_MS
    goodput: float | None = None

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that may be chosen; empty for all."""
        return (self.engine,) if self.engine else ()

    @cached_property
    def steps(self) -> etl.Recipe:
        """The recipe itself."""
        return recipes.named(self.recipe) if self.columns is None else tabular.recipe(self.columns)


@dataclass(frozen=True)
class Material:
    """What the stations read: raw tables, and what is decided."""

    raw: RawMaterial
    settings: Settings


@dataclass(frozen=True)
class Run(LineRun):
    """A finished run of the decision line, with the raw material and the model's version in the registry."""

    raw: RawMaterial
    version: int | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def registry(self) -> train.Registry:
        """The registry of this workspace."""
        return train.Registry(self.workspace.root, self.settings.model)

    @property
    def title(self) -> str:
        """The question that the line answers."""
        return self.settings.title

    @property
    def slo(self) -> tuple[Verdict, ...]:
        """Whether the endpoint kept its objectives under load; none where it was not tested."""
        if "serve" not in self.artefacts:
            return ()
        found, wanted = self.artefacts["serve"].report.details, self.settings
        unanswered = found["sent"] - found["statuses"].get("200", 0)
        verdicts = [
            Verdict("decisions", "p99 latency", wanted.slo_ms, found["p99_ms"], "ms"),
            Verdict("decisions", "requests not answered", 0, unanswered, ""),
        ]
        if wanted.goodput is not None:
            within = f"requests answered within {wanted.slo_ms:g} ms"
            verdicts.append(Verdict("decisions", within, wanted.goodput, found["goodput"], "a second", at_most=False))
        return tuple(verdicts)

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
    settings: Settings | None = None,
) -> Run:
    """Take raw records through the stations; return what each made and cost.

    Parameters
    ----------
    root
        The workspace; by default `workspace.default_root()`.
    raw
        Raw material with the tables that the recipe takes; by default the vendored flights.
    copies
        How many times the vendored records are laid end to end (1 is 0.34 M flights, 30 is 10 M).
    until
        The last station to visit.
    say
        Called with one line when a station begins and one when it ends; `None` for silence.
    settings
        Recipe, model, load test, objectives; by default those of the flights.

    Raises
    ------
    FactoryError
        If there is no such station, or a station refuses its inputs; finished stations are kept.
    """
    say, settings = say or silence, settings or Settings()
    stations = upto(STATIONS, until)
    material = Material(raw or datasets.load("flights", copies=copies), settings)
    key = material.raw.content_hash()
    with alone(Workspace(root).root, say):
        made = visit(stations, root, material, key=key, settings=unusual(settings), say=say)
        trained = made.artefacts.get("train")
        version = _register(made.workspace, trained, settings.model, say) if trained else None
    return Run(**vars(made), raw=material.raw, version=version, settings=settings)


def _ingest(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Judge the raw material before anyone uses it, and describe it."""
    raw, recipe = material.raw, material.settings.steps
    with Meter("ingest", unit="rows") as meter:
        if recipe.contract is not None:
            contracts.check(raw, recipe.contract)
        found = quality.report(raw, joins=quality.JOINS.get(recipe.name, ()))
        found.columns.write_parquet(folder / "columns.parquet")
        found.coverage.write_parquet(folder / "coverage.parquet")
        rows = int(found.columns.group_by("table").agg(pl.col("rows").first())["rows"].sum())
        meter.count(rows, bytes_in=raw.bytes, dataset=raw.name, sha256=raw.content_hash())
    return meter.report


def _etl(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    report = etl.run(material.settings.steps, material.raw, out=folder, progress=False)
    quality.drift(folder).write_parquet(folder / "drift.parquet")
    return report


def _train(folder: Path, material: Material, done: Done) -> StationReport:
    raw, wanted = material.raw, material.settings
    sha256 = done["ingest"].report.details["sha256"]
    lineage = {"raw": raw.name, "raw_sha256": sha256, "recipe": wanted.steps.name}
    options = {"costs": wanted.costs, "validation": wanted.validation, **wanted.parameters}
    features, groups = done["etl"].folder, wanted.groups
    made = train.fit(
        features, wanted.estimator, groups, out=folder, checkpoint=scratch(folder), lineage=lineage, **options
    )
    return made.report


def _ladder(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    with Meter("ladder", unit="models") as meter:
        ladder = train.ladder.climb(done["etl"].folder)
        ladder.write_parquet(folder / "ladder.parquet")
        meter.count(ladder.height)
    return meter.report


def _score(folder: Path, material: Material, done: Done) -> StationReport:
    """Score every row in one batch; the engines are measured first, and that is not counted."""
    predictor = serve.Predictor.load(done["train"].folder / "bundle", engines=material.settings.engines)
    predictor.table.write_parquet(folder / "engines.parquet")
    predictor.measurements.write_parquet(folder / "measurements.parquet")
    return serve.score(predictor, done["etl"].path("features.parquet"), folder / "predictions.parquet", progress=False)


def _serve(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Start the endpoint on loopback and load it, one row a request."""
    wanted, bundle = material.settings, train.Bundle.load(done["train"].folder / "bundle")
    rows = pl.scan_parquet(done["etl"].path("features.parquet")).select(bundle.names).head(2000).collect()
    load = {"concurrency": wanted.concurrency, "seconds": wanted.seconds, "slo_ms": wanted.slo_ms}
    with serve.start(bundle.folder, engines=wanted.engines) as server, Meter("serve", unit="requests") as meter:
        found = serve.load.test(server.url, rows, **load)
        answered = found.statuses.get("200", 0)
        meter.count(answered, memory_bytes=answered * 4 * len(bundle.names), **found.to_dict())
    return replace(meter.report, seconds=found.seconds)  # the clients' own clock, without starting them


RECIPE = ("recipe", "columns")
TRAINED = ("estimator", "parameters", "groups", "validation", "costs")
STATIONS = (
    Station("ingest", (), _ingest, decided_by=RECIPE),
    Station("etl", ("ingest",), _etl, decided_by=RECIPE),
    Station("train", ("etl",), _train, decided_by=TRAINED),
    Station("ladder", ("etl",), _ladder),
    Station("score", ("etl", "train"), _score, decided_by=("engine",)),
    Station("serve", ("train",), _serve, decided_by=("engine", "concurrency", "seconds", "slo_ms")),
)


def _register(workspace: Workspace, trained: Artefact, name: str, say: Say) -> int:
    """Register the model once, and promote it unless the champion on the same features is better."""
    registry = train.Registry(workspace.root, name)
    result = train.Result.load(trained.folder)
    mine: dict[str, Any] = {"features": result.bundle.lineage["features_sha256"], "auc": result.scores["auc"].value}
    same = registry.versions().filter(pl.col("features_sha256") == mine["features"])
    known = same.filter(pl.col("auc") == mine["auc"])["version"].to_list()
    version = known[0] if known else registry.register(result)
    champion = same.filter(pl.col("alias") == "champion")
    if champion.is_empty() or champion["auc"][0] < mine["auc"]:
        registry.promote(version)
        say(f"registry: version {version} of {name} is the champion")
    else:
        say(f"registry: version {version} of {name}; the champion stays version {champion['version'][0]}")
    return int(version)
