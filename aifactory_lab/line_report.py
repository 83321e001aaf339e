"""What the report of the decision line shows: the run's numbers, pictures and their meaning, in reading order.

It takes a finished `line.Run` and lays out a `report.Page`; it measures nothing and trains nothing.

>>> from aifactory_lab import line_report
>>> line_report.rate(1234567.0)
'1.23 M'
"""

from pathlib import Path

from aifactory_lab import line
from aifactory_lab.figures import factory, quality, serving, training
from aifactory_lab.measure import PRICE_VARIABLE, StationReport, dollars_per_core_hour
from aifactory_lab.report import Page, Section, TextTable, Tile
from aifactory_lab.serve.load import LoadReport

COLUMNS = ("station", "made", "seconds", "per second", "of floor", "CPU-s", "peak MiB", "joules", "J per 1,000", "cost")


def write(run: line.Run) -> Path:
    """Write `report.html` into the run's workspace; return its path."""
    return page(run).write(run.workspace.root / "report.html")


def page(run: line.Run) -> Page:
    """Lay out the report of a finished run."""
    sections = [_stations(run), _material(run), _ladder(run), _model(run), _serving(run), _lineage(run)]
    return Page(
        title="The decision line",
        subtitle=f"Will a flight arrive more than 15 minutes late? Engine: {run.device}.",
        tiles=_tiles(run),
        sections=sections,
        footer="Rates are of this machine.",
    )


def stations(run: line.Run) -> TextTable:
    """Return the stations as text, for the page and the terminal; joules only where a counter can be read."""
    rows = [_row(report) for report in run.reports]
    known = any(report.joules is not None for report in run.reports)
    dropped = [] if known else [COLUMNS.index("joules"), COLUMNS.index("J per 1,000")]
    kept = [place for place in range(len(COLUMNS)) if place not in dropped]
    return TextTable([COLUMNS[place] for place in kept], [[row[place] for place in kept] for row in rows])


def caption(run: line.Run) -> str:
    """Say what the figures of the station table assume."""
    energy = next((r.energy_note for r in run.reports if r.energy_note), "")
    price = f"cost: CPU-seconds at ${dollars_per_core_hour():g} per core-hour, an assumption ({PRICE_VARIABLE})"
    machine = run.machine
    floor = (
        f"floor: bytes ÷ measured bandwidth (disk read {machine.disk_read / 1e9:.1f} GB/s, write"
        f" {machine.disk_write / 1e9:.1f} GB/s, memory {machine.memory / 1e9:.1f} GB/s)"
    )
    reused = "* reused, with the figures of the run that made it" if any(r.reused for r in run.reports) else ""
    return "; ".join(part for part in (reused, floor, price, f"energy: {energy}" if energy else "") if part) + "."


def rate(value: float) -> str:
    """Return a number that a person can say."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}"


def _row(report: StationReport) -> list[str]:
    share, joules, each = report.share_of_floor, report.joules, report.joules_per_thousand
    return [
        report.station + (" *" if report.reused else ""),
        f"{report.made:,} {report.unit}",
        f"{report.seconds:.2f}",
        rate(report.rate),
        "–" if share is None else f"{share:.2%}" if share >= 1e-4 else "<0.01%",
        f"{report.cpu_seconds:.2f}",
        f"{report.peak_memory_bytes / 2**20:,.0f}",
        "?" if joules is None else f"{joules:,.0f}",
        "?" if each is None else f"{each:.3g}",
        f"${report.dollars:.5f}",
    ]


def _tiles(run: line.Run) -> list[Tile]:
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


def _stations(run: line.Run) -> Section:
    words = [
        "Each station hands the next a file in the workspace. Its time stands beside the floor: what moving its"
        " bytes would take at the bandwidth that was measured on this machine.",
        caption(run),
    ]
    figures = [factory.floors(run.reports), factory.stations(run.reports)]
    return Section("Stations", words, [stations(run)], figures)


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
