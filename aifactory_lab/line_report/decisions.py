"""The decision line's part of the report: its tiles and sections.

>>> TITLE, SHORT
('The decision line', 'Decisions')
"""

from aifactory_lab import line
from aifactory_lab.figures import factory, quality, serving, training
from aifactory_lab.line_report.tables import rate
from aifactory_lab.report import Section, TextTable, Tile
from aifactory_lab.serve.load import LoadReport

TITLE, SHORT = "The decision line", "Decisions"


def sections(run: line.Run) -> list[Section]:
    """Return the sections of a finished run."""
    return [_material(run), _ladder(run), _model(run), _serving(run), _lineage(run)]


def tiles(run: line.Run) -> list[Tile]:
    """Return the numbers that a reader should leave with."""
    by_name = {report.station: report for report in run.reports}
    load = _load(run)
    score = by_name["score"]
    per_billion = score.dollars / max(score.made, 1) * 1e9
    return [
        Tile(f"{rate(by_name['etl'].rate)}/s", "rows refined, from raw records to features"),
        Tile(f"{run.result.scores['auc'].value:.3f}", "AUC on three months never seen, known before push-back"),
        Tile(f"{rate(score.rate)}/s", "predictions, in batches, file to file"),
        Tile(f"{rate(load.throughput)}/s", f"HTTP requests, {load.concurrency} clients, p99 {load.p99_ms:.0f} ms"),
        Tile(f"${per_billion:.2g}", "per billion batch predictions, at the assumed price"),
    ]


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
        f" {result.bundle.lineage['rows']['test']:,} test flights."
        f" A flight is called late from a probability of {threshold.value:.2f}: the cheapest threshold on validation"
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
