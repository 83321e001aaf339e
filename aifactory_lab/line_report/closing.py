"""The last lines of a run in the terminal: the few numbers, where the report is, what to do next; 80 columns.

>>> fold("Energy", "unknown: no counter")
['Energy     unknown: no counter']
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from aifactory_lab.line import LineRun
from aifactory_lab.line_report import facts, pages
from aifactory_lab.line_report.facts import Fact

WIDTH, MARGIN = 80, 11


def lines(runs: Sequence[LineRun], report: Path) -> list[str]:
    """Return what a finished run has to say at its end."""
    said: list[str] = []
    for run in runs:
        part = pages.part(run)
        for number, fact in enumerate(fact for fact in part.facts(run) if fact.leads):
            said += fold(part.SHORT if number == 0 else "", _told(fact))
    said += fold("Assumed", f"{facts.assumed_price()} {facts.said_energy(pages.facts(*runs))}")
    said += fold("Computed", _computed(runs))
    size = report.stat().st_size / 1e6
    said += [
        f"{'Report':{MARGIN}}{report}",
        *fold("", f"{size:.1f} MB for any browser, no network; report.json beside it"),
    ]
    return said + fold("Next", "make lab, then 00_start_here.ipynb; make dash shows the next run live")


def fold(head: str, text: str) -> list[str]:
    """Return a text behind its heading, folded at 80 columns."""
    indent = " " * MARGIN
    return textwrap.wrap(text, WIDTH, initial_indent=f"{head:{MARGIN}}", subsequent_indent=indent) or [head]


def _told(fact: Fact) -> str:
    interval = f" [{fact.low:.3f}, {fact.high:.3f}]" if fact.low is not None and fact.high is not None else ""
    beside = fact.beside or fact.why
    return f"{fact.shown}{interval} {fact.what}" + (f"; {beside}" if beside else "")


def _computed(runs: Sequence[LineRun]) -> str:
    reports = [report for run in runs for report in run.reports]
    reused = [report.station for report in reports if report.reused]
    if len(reused) == len(reports):
        return "nothing: every station was reused, and its figures are of the run that made it"
    if not reused:
        return f"all {len(reports)} stations"
    made = ", ".join(report.station for report in reports if not report.reused)
    return f"{len(reports) - len(reused)} of {len(reports)} stations ({made}); the others were reused"
