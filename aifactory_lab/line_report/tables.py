"""The stations of runs as text, for the page and the terminal, and what their figures assume.

>>> COLUMNS[:3]
('station', 'made', 'seconds')
"""

from collections.abc import Iterator, Sequence

from aifactory_lab.line import LineRun
from aifactory_lab.line_report.numbers import rate
from aifactory_lab.measure import PRICE_VARIABLE, StationReport, dollars_per_core_hour
from aifactory_lab.report import TextTable

COLUMNS = ("station", "made", "seconds", "per second", "of floor", "CPU-s", "peak MiB", "joules", "J per 1,000", "cost")
ENERGY = ("joules", "J per 1,000")
WIDE = ("per second", "peak MiB", "J per 1,000")


def stations(*runs: LineRun, narrow: bool = False) -> TextTable:
    """Return the stations of all runs as text; joules only where a counter can be read.

    Parameters
    ----------
    narrow
        Leave out what a terminal of 80 columns has no room for.
    """
    reports = list(_reports(runs))
    rows = [_row(report) for report in reports]
    known = any(report.joules is not None for report in reports)
    dropped = {*(() if known else ENERGY), *(WIDE if narrow else ())}
    kept = [place for place, name in enumerate(COLUMNS) if name not in dropped]
    return TextTable([COLUMNS[place] for place in kept], [[row[place] for place in kept] for row in rows])


def caption(*runs: LineRun) -> str:
    """Return what the figures of the station table assume."""
    reports = list(_reports(runs))
    energy = next((r.energy_note for r in reports if r.energy_note), "")
    price = f"cost: CPU-seconds at ${dollars_per_core_hour():g} per core-hour, an assumption ({PRICE_VARIABLE})"
    machine = runs[0].machine
    floor = (
        f"floor: bytes ÷ measured bandwidth (disk read {machine.disk_read / 1e9:.1f} GB/s, write"
        f" {machine.disk_write / 1e9:.1f} GB/s, memory {machine.memory / 1e9:.1f} GB/s)"
    )
    reused = "* reused, with the figures of the run that made it" if any(r.reused for r in reports) else ""
    return "; ".join(part for part in (reused, floor, price, f"energy: {energy}" if energy else "") if part) + "."


def _reports(runs: Sequence[LineRun]) -> Iterator[StationReport]:
    for run in runs:
        yield from run.reports


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
