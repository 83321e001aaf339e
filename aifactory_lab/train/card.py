"""A model card: what a model is for, how good it is, and where not to trust it (Mitchell et al. 2019).

Everything in it is read from the bundle, so the card cannot say what the model folder does not. This module
does not know the registry.

>>> bundle = Bundle("xgboost", "xgboost", (Feature("hour", 0, 23),), "late", 0.3)
>>> model_card(bundle).splitlines()[0]
'# late by xgboost'
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aifactory_lab.errors import ModelError
from aifactory_lab.train.bundle import Bundle, Feature
from aifactory_lab.train.evaluation import Interval

NAMES = {
    "auc": "AUC (ROC)",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
}


def model_card(bundle: Bundle, title: str = "") -> str:
    """Return a card in Markdown.

    Parameters
    ----------
    bundle
        The model; sections whose figures it does not hold are left out.
    title
        By default the target and the estimator.

    Raises
    ------
    ModelError
        If a section's figures are not those that a training of ours wrote.
    """
    with figures_of(str(bundle.folder), mend="train.fit(features, out=folder)"):
        return joined(
            [f"# {title or f'{bundle.target} by {bundle.estimator}'}"],
            _purpose(bundle),
            _scores(bundle.metrics),
            _decision(bundle),
            _limits(bundle),
            _features(bundle.features),
            _lineage(bundle.lineage),
        )


@contextmanager
def figures_of(what: str, *, mend: str) -> Iterator[None]:
    """Raise `ModelError` where the figures of a card are not those that a training of ours wrote."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        msg = f"the figures of {what} are not those of a training of ours: {error!r}"
        raise ModelError(msg, mend=mend) from error


def joined(*sections: Sequence[str]) -> str:
    """Return sections of lines as one text; empty sections are left out."""
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _purpose(bundle: Bundle) -> list[str]:
    rounds, leaks = bundle.lineage.get("rounds"), bundle.lineage.get("leaks", [])
    trees = f", {rounds} trees" if rounds else ""
    known = f"**{', '.join(leaks)} among them: known only after the decision, so do not use it**" if leaks else ""
    return [
        "## What it is for",
        f"It gives the probability that `{bundle.target}` is 1, from {len(bundle.features)} features"
        f" ({known or 'all known at the moment of prediction'}). It was trained as `{bundle.estimator}`{trees}.",
    ]


def _scores(metrics: Mapping[str, Any]) -> list[str]:
    if "test" not in metrics:
        return []
    rows = [f"| {NAMES.get(name, name)} | {Interval(**values)} |" for name, values in metrics["test"].items()]
    base = metrics["base_rate"]
    return [
        "## How good it is",
        "On the test rows, which chose nothing in this training; intervals are 95 %, by drawing whole days (UTC).",
        "",
        "| score | value |",
        "| --- | --- |",
        *rows,
        f"| calibration error | {metrics['calibration_error']:.3f} |",
        f"| share of positives, validation → test | {base['valid']:.1%} → {base['test']:.1%} |",
    ]


def _decision(bundle: Bundle) -> list[str]:
    if "costs" not in bundle.metrics:
        return []
    metrics, costs = bundle.metrics, bundle.metrics["costs"]
    return [
        "## The decision",
        f"It says yes from a probability of **{bundle.threshold:.3f}**, which was cheapest on the validation rows if"
        f" a false alarm costs {costs['false_alarm']:g} and a miss {costs['miss']:g}. On the test rows that costs"
        f" {metrics['test_cost']:.3f} per row; never saying yes would cost {metrics['test_cost_never']:.3f},"
        f" always saying it {metrics['test_cost_always']:.3f}.",
    ]


def _limits(bundle: Bundle) -> list[str]:
    lines = [
        "## Limits",
        "- Outside the ranges below it extrapolates; the share of positives drifts, so watch the calibration.",
        "- The threshold is right for these costs only; choose it again when they change.",
        "- It finds what goes together with the target, not what causes it.",
    ]
    missing = [feature.name for feature in bundle.features if feature.missing_share > 0.2]
    if missing:
        lines.append(f"- Often missing (more than 20 % of the training rows): {', '.join(missing)}.")
    return lines


def _features(features: tuple[Feature, ...]) -> list[str]:
    rows = [
        f"| {feature.name} | {feature.minimum:g} … {feature.maximum:g} | {feature.missing_share:.1%}"
        f" | {feature.description} |"
        for feature in features
    ]
    return ["## Features", "| feature | range | missing | what it is |", "| --- | --- | --- | --- |", *rows]


def _lineage(lineage: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {_plain(value)} |" for name, value in lineage.items()]
    return ["## Where it comes from", "| | |", "| --- | --- |", *rows] if rows else []


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
