"""The model card of a language model or adapter (Mitchell et al. 2019), from its own folder's card alone.

>>> print(model_card({"title": "tiny", "metrics": {"bits_per_byte": 1.7}}, title="tokens, version 1").splitlines()[0])
# tokens, version 1
"""

from collections.abc import Iterator, Mapping
from typing import Any

from aifactory_lab.lm.comparison import Comparison
from aifactory_lab.train.card import figures_of, joined
from aifactory_lab.train.evaluation import Interval

NAMES = {
    "loss": "nats per answer token",
    "overlap": "overlap with the true answer (ROUGE-L)",
    "stopped": "share of answers that end by themselves",
    "overlap_by_chance": "overlap with the true answers to other questions",
    "bits_per_byte": "bits per byte of held-out text",
}
LIMITS = (
    "- It continues text. What it says may be wrong, and a small model's mostly is: read it before you use it.",
    "- The scores hold for text like that which was held out, not for other languages, tasks or code bases.",
)


def model_card(card: Mapping[str, Any], *, title: str = "") -> str:
    """Return a card in Markdown; what the folder's card does not say is left out.

    Parameters
    ----------
    card
        The values of ``card.json``: `kind`, `base`, `metrics`, `lineage`, `report`, `sha256`.
    title
        By default what the card calls itself.

    Raises
    ------
    ModelError
        If a section's figures are not those that a training of ours wrote.
    """
    with figures_of("this card", mend="lm.checkpoint.verify(folder)  # its card.json, as it is"):
        return joined(
            [f"# {title or card.get('title') or card.get('name') or 'a language model'}"],
            _purpose(card),
            _scores(card.get("metrics", {})),
            ["## Limits", *LIMITS, *_forgets(card.get("metrics", {}))],
            _origin(card),
        )


def number(value: Any) -> float | None:
    """Return what a metric is now: a number, an interval's value, a comparison's after; `None` if it is none of them.

    Examples
    --------
    >>> number(1.5), number({"value": 1.7, "low": 1.6, "high": 1.8}), number({"after": {"value": 2.0}}), number("x")
    (1.5, 1.7, 2.0, None)
    """
    if isinstance(value, Mapping):
        return number(value.get("after", value.get("value")))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _purpose(card: Mapping[str, Any]) -> list[str]:
    if card.get("kind") == "adapter":
        base, rank = card["base"], card.get("lineage", {}).get("rank", "?")
        about = f"A LoRA adapter of rank {rank} over `{base['name']}` (weights `{base['sha256'][:12]}…`)."
        return [
            "## What it is",
            about,
            "Served with its base it answers as its pairs do; over other weights it is noise.",
        ]
    about = "A decoder-only language model (Llama), as transformers, vLLM and llama.cpp load it."
    return ["## What it is", about]


def _scores(metrics: Mapping[str, Any]) -> list[str]:
    rows = list(_rows(metrics))
    if not rows:
        return []
    note = "On held-out items; intervals are 95 %, by drawing whole files."
    return ["## How good it is", note, "", "| score | before | after | change |", "| --- | --- | --- | --- |", *rows]


def _rows(metrics: Mapping[str, Any]) -> Iterator[str]:
    for name, value in metrics.items():
        said = NAMES.get(name, name.replace("_", " "))
        if isinstance(value, Mapping) and "change" in value:
            found = Comparison.from_dict(value)
            yield f"| {said} | {found.before} | {found.after} | {found.change} |"
        elif isinstance(value, Mapping) and {"value", "low", "high"} == value.keys():
            yield f"| {said} | | {Interval(**value)} | |"
        elif (plain := number(value)) is not None:
            yield f"| {said} | | {plain:.4g} | |"


def _forgets(metrics: Mapping[str, Any]) -> list[str]:
    old = metrics.get("bits_per_byte")
    if not isinstance(old, Mapping) or "change" not in old:
        return []
    found = Comparison.from_dict(old)
    word = "worse" if found.change.value > 0 else "better"
    sure = "" if found.clear else ", which may be chance"
    return [
        f"- It predicts its base's old text {abs(found.change.value):.3f} bits per byte {word} than the base{sure}."
    ]


def _origin(card: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {_plain(value)} |" for name, value in card.get("lineage", {}).items()]
    report = card.get("report")
    if report:
        rows.append(f"| cost | {report['seconds']:.1f} s, {report['cpu_seconds']:.1f} CPU-s on {report['device']} |")
    rows += [f"| sha256 of {name} | {sha} |" for name, sha in card.get("sha256", {}).items() if "safetensors" in name]
    return ["## Where it comes from", "| | |", "| --- | --- |", *rows] if rows else []


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(entry)}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
