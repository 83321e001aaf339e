"""The decision line's part of the report: its facts, its sections, and why it can be believed.

>>> TITLE, SHORT
('The decision line', 'Decisions')
"""

import os

import polars as pl

from aifactory_lab import line
from aifactory_lab.figures import factory, quality, serving, training
from aifactory_lab.line_report.facts import Fact, energy, objectives
from aifactory_lab.line_report.numbers import rate
from aifactory_lab.measure import dollars_per_core_hour
from aifactory_lab.report import Section, TextTable
from aifactory_lab.serve.load import LoadReport

TITLE, SHORT = "The decision line", "Decisions"
CARDS = {"flights": "datasets/flights/README.md"}  # by recipe: where the data card lies


def sections(run: line.Run) -> list[Section]:
    """Return the sections of what a run made, as far as it went."""
    made = ((_material, "etl"), (_ladder, "ladder"), (_model, "train"), (_serving, "serve"), (_lineage, "score"))
    return [section(run) for section, station in made if station in run.artefacts]


def facts(run: line.Run) -> list[Fact]:
    """Return the numbers that a reader should leave with, as far as the run went."""
    found: list[Fact | None] = []
    if "serve" in run.artefacts:
        found += [_served(run), _price(run)]
    if "train" in run.artefacts:
        found.append(_quality(run))
    if "score" in run.artefacts:
        found.append(_batches(run))
    return [fact for fact in (*found, objectives("decisions", run.slo), energy("decisions", run.reports)) if fact]


def headline(run: line.Run) -> str:
    """Say in a sentence or two what came out."""
    if "serve" not in run.artefacts:
        return f"{run.title} The run ended after {run.reports[-1].station}: nothing was served."
    auc, load = run.result.scores["auc"], _load(run)
    return (
        f"{run.title} The factory learned it from {run.result.bundle.lineage['rows']['train']:,} records and answers"
        f" {rate(load.throughput)} requests a second. Of two cases, a yes and a no, it ranks the yes higher"
        f" {auc.value:.0%} of the time (a coin: 50%)."
    )


def trust(run: line.Run) -> list[list[str]]:
    """Return rows of what could mislead, what was done about it, and where that can be looked up."""
    if "train" not in run.artefacts:
        return []
    told, metrics = run.result.bundle.lineage, run.result.bundle.metrics
    card = CARDS.get(run.settings.recipe)
    leaks = ", ".join(told["leaks"])
    rows = [
        ["the raw records", "checked against their contract before anyone used them", card or "no data card: yours"],
        [
            "knowing the answer beforehand",
            f"features known only afterwards: {leaks}" if leaks else "every feature is known before the decision",
            "section The ladder",
        ],
        [
            "learning from the test",
            f"{told['rows']['test']:,} test rows, later than all others, scored once; the threshold was chosen on"
            f" {told['rows']['valid']:,} rows before them",
            "bundle.json in the model's folder",
        ],
        [
            "luck",
            "95 % intervals, drawn by whole days; one seed",
            f"calibration error {metrics['calibration_error']:.3f}",
        ],
    ]
    return [["Decisions", *row] for row in rows]


def _served(run: line.Run) -> Fact:
    load = _load(run)
    beside = f"one row a request, {load.concurrency} clients; 99 % within {load.p99_ms:.3g} ms"
    return Fact("decisions.per_second", load.throughput, "decisions/s", "decisions over HTTP", beside)


def _price(run: line.Run) -> Fact:
    """Return what the machine would cost while it answers a million requests."""
    name, what = "decisions.dollars_per_million", "for a million decisions over HTTP"
    if run.device.kind == "gpu":
        return Fact(name, None, "$", what, why="the price of a GPU is not known here")
    cores, each, load = os.cpu_count() or 1, dollars_per_core_hour(), _load(run)
    cost = 1e6 * cores * each / 3600 / load.throughput if load.throughput else None
    beside = f"all {cores} cores of the machine, at the assumed price"
    return Fact(name, cost, "$", what, beside, why="" if cost else "no request was answered")


def _quality(run: line.Run) -> Fact:
    auc = run.result.scores["auc"]
    beside = "a coin 0.5"
    if "ladder" in run.artefacts:
        first = run.frame("ladder", "ladder").filter(pl.col("honest")).row(0, named=True)
        beside = f"from {first['rung']} alone {first['auc']:.3f}; a coin 0.5"
    what = "AUC on rows it never saw (how well it ranks)"
    return Fact("decisions.auc", auc.value, "AUC", what, beside, auc.low, auc.high)


def _batches(run: line.Run) -> Fact:
    report = next(report for report in run.reports if report.station == "score")
    share = report.share_of_floor
    beside = f"${report.dollars / max(report.made, 1) * 1e6:.2g} of processor time a million"
    if share is not None:
        beside += f"; {share:.1%} of what disk and memory would allow"
    return Fact("decisions.batch_per_second", report.rate, "predictions/s", "predictions from file to file", beside)


def _material(run: line.Run) -> Section:
    words = ["Records as they came: what is missing, how many rows find their partner, what moved from train to test."]
    columns, coverage = run.frame("ingest", "columns"), run.frame("ingest", "coverage")
    figures = [quality.missing(columns), quality.coverage(coverage), quality.drift(run.frame("etl", "drift").head(12))]
    return Section("Raw material", words, figures=figures)


def _ladder(run: line.Run) -> Section:
    frame = run.frame("ladder", "ladder")
    words = ["What each kind of knowledge is worth on months never seen, and what two ways of cheating would promise."]
    return Section("The ladder", words, figures=[training.ladder(frame)])


def _model(run: line.Run) -> Section:
    result = run.result
    auc, threshold = result.scores["auc"], result.threshold
    words = [
        f"AUC {auc.value:.3f} (95 % interval {auc.low:.3f} to {auc.high:.3f}) on"
        f" {result.bundle.lineage['rows']['test']:,} test rows."
        f" The answer is yes from a probability of {threshold.value:.2f}: the cheapest threshold on validation"
        f" rows, if a miss costs {result.costs.miss:g} times a false alarm."
    ]
    figures = [training.calibration(result.calibration()), training.cost_curve(result.curve(), threshold.value)]
    return Section("The model", words, figures=figures)


def _serving(run: line.Run) -> Section:
    table = run.frame("score", "engines")
    load = _load(run)
    words = [str(load) + "."]
    chosen = TextTable(
        ["rows in the batch", "engine", "threads", "rows per second", "why"],
        [
            [f"{r['batch']:,}", r["engine"], str(r["threads"]), rate(r["rows_per_second"]), r["reason"]]
            for r in table.iter_rows(named=True)
        ],
        words=["why"],
    )
    return Section("Serving", words, [chosen], [serving.engines(run.frame("score", "measurements"))])


def _lineage(run: line.Run) -> Section:
    done = run.artefacts
    model = f"model, version {run.version}"
    raw = done["ingest"].report.details["sha256"]
    products = [("raw material", raw), ("features", done["etl"].key), (model, done["train"].key)]
    products.append(("predictions", done["score"].key))
    words = [f"The registry's own pages: {run.registry.ui_command}"]
    return Section("Lineage", words, figures=[factory.lineage(products)])


def _load(run: line.Run) -> LoadReport:
    details = next(report.details for report in run.reports if report.station == "serve")
    return LoadReport(**details)
