"""The stations of runs as text, for the page and the terminal, and what their figures assume.

>>> rate(1234567.0)
'1.23 M'
"""

from collections.abc import Iterator, Sequence

from aifactory_lab.line import LineRun
from aifactory_lab.measure import PRICE_VARIABLE, StationReport, dollars_per_core_hour
from aifactory_lab.report import TextTable

COLUMNS = ("station", "made", "seconds", "per second", "of floor", "CPU-s", "peak MiB", "joules", "J per 1,000", "cost")


def stations(*runs: LineRun) -> TextTable:
    """Return the stations of all runs as text; joules only where a counter can be read."""
    reports = list(_reports(runs))
    rows = [_row(report) for report in reports]
    known = any(report.joules is not None for report in reports)
    dropped = [] if known else [COLUMNS.index("joules"), COLUMNS.index("J per 1,000")]
    kept = [place for place in range(len(COLUMNS)) if place not in dropped]
    return TextTable([COLUMNS[place] for place in kept], [[row[place] for place in kept] for row in rows])


def caption(*runs: LineRun) -> str:
    """Say what the figures of the station table assume."""
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


def rate(value: float) -> str:
    """Return a number that a person can say."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g}"


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
