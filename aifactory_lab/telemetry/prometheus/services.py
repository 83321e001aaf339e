"""Readings of one service out of what its endpoint tells: rates, quantiles, goodput.

Counts become rates over the real time since the scrape before; histograms become quantiles over the last half
minute. What a product does not tell is left out, what needs a second look is stale, and an idle service has rates
of 0 but no quantiles. It does not know where the samples came from.

>>> samples = {"vllm:num_requests_running": [Sample({"model_name": "m", "engine": "0"}, 3.0)]}
>>> read(VLLM, samples, Growth(30.0), slo=0.05, least=0.5)
{'running': 3.0}
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from aifactory_lab.telemetry.prometheus.exposition import Sample
from aifactory_lab.telemetry.prometheus.growth import Growth, Series, Span, summed
from aifactory_lab.telemetry.prometheus.histograms import Buckets
from aifactory_lab.telemetry.prometheus.service_names import TRITON_MICROSECONDS, VLLM, Product, Term
from aifactory_lab.telemetry.readings import State

__all__ = ["VLLM", "Growth", "Sample", "counters", "mean_latency", "models", "read"]

Told: TypeAlias = Mapping[str, Sequence[Sample]]
Readings: TypeAlias = dict[str, float | State]
SHARES = (50, 95, 99)
QUANTILES = {f"{share / 100:g}": share for share in SHARES}  # as labels write them


def models(product: Product, samples: Told) -> dict[str, Told]:
    """Return the samples of each model, by its name; of all together, under ``""``, where none is named."""
    own = {name: rows for name, rows in samples.items() if name in _names(product)}
    names = {row.labels.get(product.model, "") for rows in own.values() for row in rows} - {""}
    if len(names) < 2:
        return {next(iter(names), ""): own}
    of: dict[str, dict[str, list[Sample]]] = {name: {} for name in sorted(names)}
    for metric, rows in own.items():
        for row in rows:
            if (model := row.labels.get(product.model)) in of:
                of[model].setdefault(metric, []).append(row)
    return dict(of)


def counters(product: Product, samples: Told) -> dict[Series, float]:
    """Return what only grows: counters and the buckets of histograms."""
    names = {name for terms in product.rates.values() for term in terms for name in term.names}
    names |= {f"{name}_bucket" for term in product.histograms.values() for name in term.names} | {TRITON_MICROSECONDS}
    rows = ((name, row) for name in names for row in samples.get(name, ()))
    return {(name, tuple(sorted(row.labels.items()))): row.value for name, row in rows}


def read(product: Product, samples: Told, growth: Growth, *, slo: float, least: float) -> Readings:
    """Return the readings of one service.

    Parameters
    ----------
    product, samples
        Whose names they are, and what was scraped.
    growth
        Its counters, this scrape's already added.
    slo
        Seconds within which an answer is good.
    least
        Seconds that a rate must span.
    """
    short, long = growth.span(at_least=least), growth.span()
    readings: Readings = {}
    for metric, gauge in product.gauges.items():
        if (value := _now(samples, gauge)) is not None:
            readings[metric] = value
    for metric, terms in product.rates.items():
        if any(_told(samples, term) for term in terms):
            readings[metric] = State.STALE if short is None else _grown(short, samples, terms) / short.seconds
    for metric, term in product.histograms.items():
        if (name := _first(samples, term, "_bucket")) is not None:
            readings |= _quantiles(metric, term, long.buckets(name) if long else None)
    for metric, term in product.summaries.items():
        readings |= _summary(metric, term, samples)
    return readings | _good(product, samples, short, long, slo)


def mean_latency(samples: Told, growth: Growth) -> float | None:
    """Return the mean seconds of Triton's requests, which tells quantiles only where it is asked to."""
    span = growth.span()
    spent = span.total(TRITON_MICROSECONDS) if span else None
    count = span.total("nv_inference_request_success") if span else None
    return spent / count / 1e6 if spent and count and TRITON_MICROSECONDS in samples else None


def _names(product: Product) -> set[str]:
    terms = [*product.gauges.values(), *product.summaries.values(), *(t for ts in product.rates.values() for t in ts)]
    buckets = {f"{name}_bucket" for term in product.histograms.values() for name in term.names}
    return {name for term in terms for name in term.names} | buckets | {TRITON_MICROSECONDS}


def _first(samples: Told, term: Term, end: str = "") -> str | None:
    return next((name + end for name in term.names if name + end in samples), None)


def _told(samples: Told, term: Term) -> bool:
    name = _first(samples, term)
    return name is not None and any(term.passes(row.labels) for row in samples[name])


def _now(samples: Told, term: Term) -> float | None:
    name = _first(samples, term)
    values = [row.value for row in samples.get(name or "", ()) if math.isfinite(row.value)]
    total = summed(values)
    return None if total is None else total * term.scale / (len(values) if term.mean else 1)


def _grown(span: Span, samples: Told, terms: Sequence[Term]) -> float:
    grown = (span.total(_first(samples, term) or "", term.passes) for term in terms)
    return summed(value for value in grown if value is not None) or 0.0


def _quantiles(metric: str, term: Term, buckets: Buckets | None) -> Readings:
    if buckets is None:
        return {f"{metric}_p{share}": State.STALE for share in SHARES}
    found = {f"{metric}_p{share}": buckets.quantile(share / 100) for share in SHARES}
    return {name: State.UNSUPPORTED if value is None else value * term.scale for name, value in found.items()}


def _summary(metric: str, term: Term, samples: Told) -> Readings:
    """Take the quantiles that a server computes itself; of several series (versions) the slowest."""
    found: dict[str, float] = {}
    for row in samples.get(_first(samples, term) or "", ()):
        share = QUANTILES.get(row.labels.get("quantile", ""))
        if share and math.isfinite(row.value):
            name = f"{metric}_p{share}"
            found[name] = max(found.get(name, 0.0), row.value * term.scale)
    return dict(found)


def _good(product: Product, samples: Told, short: Span | None, long: Span | None, slo: float) -> Readings:
    """Return the goodput, and the share of the requests that were good."""
    term = product.histograms.get("latency")
    name = _first(samples, term, "_bucket") if term else None
    if term is None or name is None:
        return {}
    readings: Readings = {"goodput": State.STALE, "good_share": State.STALE}
    if short:
        readings["goodput"] = _within(product, short, samples, name, slo / term.scale)[0] / short.seconds
    if long:
        good, total = _within(product, long, samples, name, slo / term.scale)
        readings["good_share"] = 100 * good / total if total else State.UNSUPPORTED
    return readings


def _within(product: Product, span: Span, samples: Told, name: str, slo: float) -> tuple[float, float]:
    """Return how many requests were good, and how many there were.

    Where the histogram holds refused and failed requests too, all of those are taken for quick ones: what is left
    is the least that was good.
    """
    buckets = span.buckets(name)
    if buckets is None:
        return 0.0, 0.0
    failed = _grown(span, samples, product.rates["errors_rate"]) if product.errors_in_latency else 0.0
    return max(0.0, buckets.within(slo) - failed), buckets.total
