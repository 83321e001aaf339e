"""One page for the runs of both lines: tiles and stations together, then each line's own sections.

>>> from aifactory_lab.line_report import pages
>>> pages.write.__name__
'write'
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from aifactory_lab.figures import factory
from aifactory_lab.line import LineRun, Run
from aifactory_lab.line_report import decisions
from aifactory_lab.line_report.tables import caption, stations
from aifactory_lab.report import Page, Section


def write(*runs: LineRun) -> Path:
    """Write `report.html` into the runs' workspace; return its path."""
    return page(*runs).write(runs[0].workspace.root / "report.html")


def page(*runs: LineRun) -> Page:
    """Lay out the report of one or more finished runs of the same workspace."""
    parts = [(_part(run), run) for run in runs]
    titles = [part.TITLE for part, _ in parts]
    return Page(
        title=titles[0] if len(titles) == 1 else "The AI factory",
        subtitle=" ".join([*(run.title for run in runs), f"Engine: {runs[0].device}."]),
        tiles=[tile for part, run in parts for tile in part.tiles(run)],
        sections=[_stations(*runs), *_sections(parts)],
        footer="Rates are of this machine.",
    )


def _sections(parts: Sequence[tuple[ModuleType, LineRun]]) -> list[Section]:
    """Return each line's own sections, called by their line where there are two: both have a "Serving"."""
    found = [(part.SHORT, section) for part, run in parts for section in part.sections(run)]
    if len(parts) == 1:
        return [section for _, section in found]
    return [replace(section, title=f"{line}: {section.title[0].lower()}{section.title[1:]}") for line, section in found]


def _part(run: LineRun) -> ModuleType:
    """Return what tells of a run; the token line's is opened only where there is one: PyTorch is heavy."""
    if isinstance(run, Run):
        return decisions
    from aifactory_lab.line_report import tokens

    return tokens


def _stations(*runs: LineRun) -> Section:
    words = [
        "Each station hands the next a file in the workspace. Its time stands beside the floor: what moving its"
        " bytes would take at the bandwidth that was measured on this machine.",
        caption(*runs),
    ]
    reports = [report for run in runs for report in run.reports]
    return Section("Stations", words, [stations(*runs)], [factory.floors(reports), factory.stations(reports)])
