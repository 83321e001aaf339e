"""The report for machines: `report.json`, with the facts that the page shows.

>>> NAME
'report.json'
"""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aifactory_lab.aside import write_text
from aifactory_lab.line import LineRun
from aifactory_lab.line_report import bottleneck, changes, provenance
from aifactory_lab.line_report.facts import Fact

FORMAT = 1
NAME = "report.json"


def write(folder: Path, runs: tuple[LineRun, ...], facts: list[Fact]) -> Path:
    """Write the record beside the page; return its path."""
    path = folder / NAME
    write_text(path, json.dumps(_plain(record(runs, facts)), indent=1, allow_nan=False) + "\n")
    return path


def record(runs: tuple[LineRun, ...], facts: list[Fact]) -> dict[str, Any]:
    """Return what is known of the runs, as plain values by name."""
    slowest = [(run.title, bottleneck.of(run)) for run in runs]
    return {
        "format": FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "questions": [run.title for run in runs],
        "facts": [fact.to_dict() for fact in facts],
        "objectives": [
            {"line": v.line, "what": v.what, "wanted": v.wanted, "found": v.found, "unit": v.unit, "met": v.met}
            for run in runs
            for v in run.slo
        ],
        "bottlenecks": [
            {"question": title, "station": found.station, "share": found.share, "speedup_if_halved": found.speedup}
            for title, found in slowest
        ],
        "changes": [change.to_dict() for change in changes.since(*runs)],
        "stations": [report.to_dict() for run in runs for report in run.reports],
        "provenance": provenance.of(*runs),
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON can say: what is not a number becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
