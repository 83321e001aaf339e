"""Token load tests as tables: one test by its metrics, by its requests, and several tests beside one another.

>>> from aifactory_lab.serve.load.records import Record
>>> from aifactory_lab.serve.load.token_report import TokenReport
>>> record = Record(0, start=0, end=9, outcome="200", output_tokens=3, chunks=(500_000_000, 2_000_000_000))
>>> frame([TokenReport("m", (record,))]).select("tokens", "seconds", "tokens_per_second").row(0)
(3, 2.0, 1.5)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from aifactory_lab.serve.load.records import UNITS

if TYPE_CHECKING:
    from aifactory_lab.serve.load.token_report import TokenReport

SPREAD = ("avg", "p50", "p90", "p95", "p99", "min", "max", "std")
COMPARED = (50, 90, 95, 99)  # percentiles that a row holds
# Figures of a row that a test may not know.
MAYBE = ("offered", "goodput", "tokens_per_cpu_second", "client_us_per_token", "tokens_per_joule")


def row(report: "TokenReport") -> dict[str, Any]:
    """Return the figures that are compared between tests; times in milliseconds, from the sending."""
    times = {"ttft": report.ttft, "itl": report.itl, "icl": report.icl, "latency": report.latency}
    spread = {f"{name}_p{q}": getattr(one, f"p{q}") for name, one in times.items() for q in COMPARED}
    return {
        "engine": report.engine,
        "model": report.model,
        "concurrency": report.concurrency,
        "offered": report.offered,
        "requests": len(report.records),
        "errors": report.errors,
        "tokens": report.tokens,
        "seconds": report.seconds,
        "tokens_per_second": report.tokens_per_second,
        "tokens_per_second_per_user": report.per_user.p50,
        "requests_per_second": report.requests_per_second,
        "goodput": report.goodput,
        **spread,
        "late": report.late,
        "short": report.short,
        "tokens_per_cpu_second": report.cost.per_cpu_second(report.tokens),
        "client_us_per_token": report.cost.client_microseconds(report.tokens),
        "tokens_per_joule": report.tokens_per_joule,
        "dollars_per_million": report.dollars_per_million,
    }


def frame(reports: Sequence["TokenReport"]) -> pl.DataFrame:
    """Return one row per report; draw it with `figures.tokens`."""
    maybe = dict.fromkeys((*MAYBE, "dollars_per_million"), pl.Float64)
    return pl.DataFrame([row(report) for report in reports], schema_overrides=maybe)


def metrics(report: "TokenReport") -> pl.DataFrame:
    """Return one row per metric by AIPerf's tags: how it is spread over the requests answered whole."""
    rows = [
        {"metric": tag, "unit": UNITS[tag], **{name: getattr(one, name) for name in SPREAD}}
        for tag, one in report.distributions.items()
    ]
    return pl.DataFrame(rows, schema={"metric": pl.String, "unit": pl.String, **dict.fromkeys(SPREAD, pl.Float64)})


def requests(report: "TokenReport") -> pl.DataFrame:
    """Return one row per request: times in seconds since the start and in milliseconds, tokens, how it ended."""
    rows = [
        {
            "number": one.number,
            "arrival": (one.start if one.scheduled is None else one.scheduled) / 1e9,
            "sent": one.start / 1e9,
            "end": one.end / 1e9,
            "outcome": one.outcome,
            "finish": one.finish,
            "input_tokens": one.input_tokens,
            "output_tokens": one.output_tokens,
            "wait_ms": one.wait_ms,
            "ttft_ms": one.ttft_ms,
            "itl_ms": one.itl_ms,
            "latency_ms": one.latency_ms,
            "good": None if report.slo is None else report.slo.met(one),
            "error": one.error,
        }
        for one in report.records
    ]
    floats = dict.fromkeys(("ttft_ms", "itl_ms", "latency_ms"), pl.Float64)
    counts = dict.fromkeys(("input_tokens", "output_tokens"), pl.Int64)
    return pl.DataFrame(rows, schema_overrides={**floats, **counts, "good": pl.Boolean})
