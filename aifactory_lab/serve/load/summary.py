"""Many requests summed up: percentiles, throughput and goodput, by AIPerf's definitions and under its tags.

Percentiles are linear between neighbours and deviations are the population's, as in AIPerf (metric_dicts.py). The
duration is from the first sending to the last content of the requests that were answered whole; vLLM's benchmark counts
to the end of the last response instead. This module does not know how the requests were made.

>>> from aifactory_lab.serve.load.records import Record
>>> record = Record(0, start=0, end=9, outcome="200", output_tokens=3, chunks=(500_000_000, 2_000_000_000))
>>> totals([record], Slo(ttft_ms=600))["output_token_throughput"]
1.5
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from aifactory_lab.serve.load.records import UNITS, Record

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
TOTAL_UNITS = {
    "request_count": "requests",
    "error_request_count": "requests",
    "request_error_rate": "%",
    "total_isl": "tokens",
    "total_osl": "tokens",
    "benchmark_duration": "sec",
    "request_throughput": "requests/sec",
    "output_token_throughput": "tokens/sec",
    "input_token_throughput": "tokens/sec",
    "total_token_throughput": "tokens/sec",
    "good_request_count": "requests",
    "good_request_fraction": "ratio",
    "goodput": "requests/sec",
}


@dataclass(frozen=True)
class Slo:
    """A service-level objective: what a request must keep to be good; what is infinite is not asked for.

    A request without an inter-token latency (fewer than two tokens) misses an `itl_ms`, as in AIPerf; vLLM's benchmark
    would let it pass.

    Parameters
    ----------
    ttft_ms, itl_ms, e2e_ms
        The most milliseconds to the first token, from token to token on average, and to the last token.

    Examples
    --------
    >>> str(Slo(ttft_ms=200, itl_ms=50))
    'TTFT ≤ 200 ms, ITL ≤ 50 ms'
    """

    ttft_ms: float = float("inf")
    itl_ms: float = float("inf")
    e2e_ms: float = float("inf")

    def met(self, record: Record, *, from_arrival: bool = False) -> bool:
        """Tell whether a request was answered whole and in time.

        Parameters
        ----------
        from_arrival
            Count TTFT and latency from the scheduled arrival instead of the sending.
        """
        wait = record.wait_ms if from_arrival else 0.0
        found = ((record.ttft_ms, wait, self.ttft_ms), (record.itl_ms, 0.0, self.itl_ms))
        checks = (*found, (record.latency_ms, wait, self.e2e_ms))
        return record.ok and all(
            value is not None and value + extra <= most for value, extra, most in checks if most != float("inf")
        )

    def __str__(self) -> str:
        words = (("TTFT", self.ttft_ms), ("ITL", self.itl_ms), ("latency", self.e2e_ms))
        return ", ".join(f"{name} ≤ {most:g} ms" for name, most in words if most != float("inf")) or "none"


@dataclass(frozen=True)
class Distribution:
    """How a figure is spread over the requests; every value is NaN where there is none."""

    avg: float
    p1: float
    p5: float
    p10: float
    p25: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float
    std: float
    count: int
    sum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Sum up values.

        Examples
        --------
        >>> Distribution.of([1.0, 2.0, 4.0]).p50
        2.0
        """
        array = np.fromiter(values, dtype=np.float64)
        if not len(array):
            nothing = dict.fromkeys((one.name for one in fields(cls)), float("nan"))
            return cls(**{**nothing, "count": 0, "sum": 0.0})  # type: ignore[arg-type]
        spread = {f"p{q}": float(p) for q, p in zip(PERCENTILES, np.percentile(array, PERCENTILES), strict=True)}
        ends = {"min": float(array.min()), "max": float(array.max())}
        return cls(
            avg=float(array.mean()), std=float(array.std()), count=len(array), sum=float(array.sum()), **ends, **spread
        )

    def __str__(self) -> str:
        return f"p50 {self.p50:.4g}, p90 {self.p90:.4g}, p99 {self.p99:.4g}"


def distributions(records: Iterable[Record]) -> dict[str, Distribution]:
    """Return how each of the requests' figures is spread, by AIPerf's tags; failed requests have none.

    Gaps between chunks are gathered over all requests; every other figure is one value a request.
    """
    gathered: dict[str, list[float]] = {tag: [] for tag in UNITS}
    for record in records:
        for tag, value in record.figures().items() if record.ok else ():
            gathered[tag].extend(value if isinstance(value, list) else [value])
    return {tag: Distribution.of(values) for tag, values in gathered.items()}


def duration(records: Iterable[Record]) -> float:
    """Return the seconds from the first sending to the last content; 0 if nothing was answered."""
    ends = [(record.start, record.chunks[-1]) for record in records if record.ok]
    return (max(last for _, last in ends) - min(first for first, _ in ends)) / 1e9 if ends else 0.0


def totals(records: Sequence[Record], slo: Slo | None = None) -> dict[str, float]:
    """Return the figures of the whole test by AIPerf's tags; goodput only with an objective."""
    good, seconds = [record for record in records if record.ok], duration(records)
    per_second = 1 / seconds if seconds > 0 else 0.0
    read = sum(record.input_tokens or 0 for record in good)
    written = sum(record.output_tokens or 0 for record in good)
    found = {
        "request_count": len(good),
        "error_request_count": len(records) - len(good),
        "request_error_rate": 100 * (len(records) - len(good)) / len(records) if records else 0.0,
        "total_isl": read,
        "total_osl": written,
        "benchmark_duration": seconds,
        "request_throughput": len(good) * per_second,
        "output_token_throughput": written * per_second,
        "input_token_throughput": read * per_second,
        "total_token_throughput": (read + written) * per_second,
    }
    if slo is not None:
        met = sum(slo.met(record) for record in records)
        fraction = met / len(records) if records else 0.0
        found |= {"good_request_count": met, "good_request_fraction": fraction, "goodput": met * per_second}
    return found


def exported(records: Sequence[Record], slo: Slo | None = None) -> dict[str, dict[str, Any]]:
    """Return everything as the metrics of AIPerf's ``profile_export_aiperf.json``."""
    spread = {tag: {"unit": UNITS[tag], **asdict(one)} for tag, one in distributions(records).items() if one.count}
    return spread | {tag: {"unit": TOTAL_UNITS[tag], "avg": value} for tag, value in totals(records, slo).items()}
