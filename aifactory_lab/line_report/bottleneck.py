"""What holds a line up, and what would move it: from measured times, floors and peaks, and from nothing else.

A floor is the least time that the machine's measured bandwidth or arithmetic allows, so what stands between it and the
measured time is what better use of this machine could gain at most. This module simulates nothing.

>>> halved(60.0, 100.0)
1.43
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aifactory_lab.line import LineRun
from aifactory_lab.line_report.numbers import rate, seconds
from aifactory_lab.measure import StationReport

BUSY = 0.8  # of one core: below, the processor waited for the disk, for clients or for its neighbours
NEAR = 0.5  # share of a floor from which on the link is what limits


@dataclass(frozen=True)
class Bottleneck:
    """The station of a line that takes the most time.

    Attributes
    ----------
    station, share
        Its name, and its part of the line's time.
    speedup
        How much faster the whole line would be if this station took half its time (Amdahl's law).
    words
        What limits it, and what would help.
    """

    station: str
    share: float
    speedup: float
    words: tuple[str, ...]


def of(run: LineRun) -> Bottleneck:
    """Return the bottleneck of a finished run; reused stations count with the time that they once took."""
    total = sum(report.seconds for report in run.reports)
    slowest = max(run.reports, key=lambda report: report.seconds)
    share = slowest.seconds / total if total else 0.0
    gain = halved(slowest.seconds, total)
    first = (
        f"{slowest.station} takes {seconds(slowest.seconds)} of {seconds(total)}, {share:.0%}. In half the time there,"
        f" the whole line would be {gain:g} times as fast."
    )
    return Bottleneck(slowest.station, share, gain, (first, _limit(slowest), *_served(run)))


def halved(part: float, whole: float) -> float:
    """Return how much faster a whole is whose part takes half its time (Amdahl 1967).

    Examples
    --------
    >>> halved(100.0, 100.0), halved(0.0, 0.0)
    (2.0, 1.0)
    """
    return round(whole / (whole - part / 2), 2) if whole else 1.0


def _limit(report: StationReport) -> str:
    """Say what a station's time is made of."""
    busy = report.cpu_seconds / report.seconds if report.seconds else 0.0
    idle = ""
    if report.device == "cpu" and busy < BUSY:
        idle = (
            f" It had a processor for {busy:.0%} of the time only: on a machine without other work it would take about"
            f" {seconds(report.cpu_seconds)}."
        )
    if (peak := report.details.get("peak_flops")) and (each := report.details.get("flops_per_token")):
        least = report.made * each / peak
        return (
            f"{report.station} multiplies matrices. At this processor's measured peak its products alone would take"
            f" {seconds(least)}; to be faster than that needs a faster processor or a GPU, and no faster disk.{idle}"
        )
    share = report.share_of_floor
    if share is None:
        return f"{report.station} computes, and no floor is known for it.{idle}"
    if share >= NEAR:
        return f"{report.station} moves bytes, at {share:.0%} of what its links carry: faster ones would help."
    least = report.floor_seconds or 0.0
    return (
        f"{report.station} computes: to move its bytes takes {seconds(least)}, {share:.1%} of its time. More or faster"
        f" cores, or a GPU, would help; a faster disk or memory would not.{idle}"
    )


def _served(run: LineRun) -> Sequence[str]:
    """Say what the load test found about the endpoint of the token line: where more users stop to bring more."""
    if "serve_tokens" not in run.artefacts:
        return ()
    frame = run.frame("serve_tokens", "pareto").sort("concurrency")
    if frame.height < 2:
        return ()
    best = frame.sort("tokens_per_second").row(-1, named=True)
    most = frame.row(-1, named=True)
    if best["concurrency"] == most["concurrency"]:
        return (f"The endpoint still gains with users, at {most['concurrency']}, the most that were tried.",)
    return (
        f"The endpoint is full at {best['concurrency']} users ({rate(best['tokens_per_second'])} tokens/s):"
        f" {most['concurrency']} users get {rate(most['tokens_per_second'])} together and wait longer. Its processor"
        " is the limit.",
    )
