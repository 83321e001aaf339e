"""One page for the runs of both lines: tiles and stations together, then each line's own sections.

>>> from aifactory_lab.line_report import pages
>>> pages.write.__name__
'write'
"""

from pathlib import Path

from aifactory_lab.figures import factory
from aifactory_lab.line import LineRun
from aifactory_lab.line_report import decisions
from aifactory_lab.line_report.tables import caption, stations
from aifactory_lab.report import Page, Section


def write(*runs: LineRun) -> Path:
    """Write `report.html` into the runs' workspace; return its path."""
    return page(*runs).write(runs[0].workspace.root / "report.html")


def page(*runs: LineRun) -> Page:
    """Lay out the report of one or more finished runs of the same workspace."""
    parts = [decisions for _ in runs]
    return Page(
        title="The decision line",
        subtitle=f"{decisions.question()} Engine: {runs[0].device}.",
        tiles=[tile for part, run in zip(parts, runs, strict=True) for tile in part.tiles(run)],
        sections=[_stations(*runs), *(s for part, run in zip(parts, runs, strict=True) for s in part.sections(run))],
        footer="Rates are of this machine.",
    )


def _stations(*runs: LineRun) -> Section:
    words = [
        "Each station hands the next a file in the workspace. Its time stands beside the floor: what moving its"
        " bytes would take at the bandwidth that was measured on this machine.",
        caption(*runs),
    ]
    reports = [report for run in runs for report in run.reports]
    return Section("Stations", words, [stations(*runs)], [factory.floors(reports), factory.stations(reports)])
