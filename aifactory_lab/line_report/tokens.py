"""The token line's part of the report: its facts, its sections, and why it can be believed.

>>> TITLE, SHORT
('The token line', 'Tokens')
"""

from typing import Any

from aifactory_lab import figures
from aifactory_lab.line.tokens import Run
from aifactory_lab.line_report.facts import Fact, energy, objectives
from aifactory_lab.line_report.numbers import rate
from aifactory_lab.report import Section, TextTable

TITLE, SHORT = "The token line", "Tokens"
ANSWERS = 4  # held-out questions that the page shows


def sections(run: Run) -> list[Section]:
    """Return the sections of what a run made, as far as it went."""
    made = ((_corpus, "tokenize"), (_model, "pretrain"), (_adapter, "tune"), (_serving, "serve_tokens"))
    return [section(run) for section, station in made if station in run.artefacts]


def facts(run: Run) -> list[Fact]:
    """Return the numbers that a reader should leave with, as far as the run went."""
    found: list[Fact | None] = []
    if "serve_tokens" in run.artefacts:
        found += [_served(run), _price(run)]
    if "pretrain" in run.artefacts:
        found += [_quality(run), _trained(run)]
    if "tune" in run.artefacts:
        found.append(_gain(run))
    return [fact for fact in (*found, objectives("tokens", run.slo), energy("tokens", run.reports)) if fact]


def headline(run: Run) -> str:
    """Say in a sentence or two what came out."""
    if "serve_tokens" not in run.artefacts:
        return f"{run.title} The run ended after {run.reports[-1].station}: nothing was served."
    made, best = run.pretrained, _best(run)
    return (
        f"{run.title} The factory trained a model of {rate(made.report.details['parameters'])} parameters and serves"
        f" {rate(best['tokens_per_second'])} tokens a second. It is a small model: what it writes has the shape of what"
        " it read, and no meaning."
    )


def trust(run: Run) -> list[list[str]]:
    """Return rows of what could mislead, what was done about it, and where that can be looked up."""
    if "pretrain" not in run.artefacts:
        return []
    gone = next(report for report in run.reports if report.station == "curate").details["dropped"]
    copies = sum(count for name, count in gone.items() if "duplicates" in name)
    rows = [
        [
            "text that is there twice",
            f"{copies:,} copies and near copies dropped before the split counted",
            "dropped.parquet, each with its reason",
        ],
        [
            "having read the test",
            f"whole files held out; {gone.get('decontaminate', 0):,} documents dropped that share passages with them",
            "section Corpus and curation",
        ],
        [
            "a number without a peer",
            "bits per byte stand beside counting and compressors on the same text",
            "section Pre-training",
        ],
        ["luck", "fine-tuning: 95 % intervals, drawn by whole files; pre-training: one seed, no interval", "card.json"],
    ]
    return [["Tokens", *row] for row in rows]


def _best(run: Run) -> dict[str, Any]:
    return dict(next(report for report in run.reports if report.station == "serve_tokens").details["best"])


def _served(run: Run) -> Fact:
    best, alone = _best(run), run.served.sort("concurrency").row(0, named=True)
    beside = (
        f"to {best['concurrency']} users at once; a user alone gets {rate(alone['tokens_per_second_per_user'])}/s"
        if alone["concurrency"] == 1
        else f"to {best['concurrency']} users at once"
    )
    return Fact("tokens.per_second", best["tokens_per_second"], "tokens/s", "tokens served", beside)


def _price(run: Run) -> Fact:
    price = _best(run)["dollars_per_million"]
    beside, why = "all cores of the machine, at the assumed price", ""
    if price is None:
        beside, why = "", "the price of a GPU is not known here"
    return Fact("tokens.dollars_per_million", price, "$", "for a million tokens served", beside, why=why)


def _quality(run: Run) -> Fact:
    made = run.pretrained
    beside = ", ".join(
        f"{name} {value:.2f}" for name, value in sorted(made.baselines.items(), key=lambda pair: pair[1])
    )
    what = "bits for a byte of files it never saw (less is better)"
    return Fact("tokens.bits_per_byte", made.scores["bits_per_byte"], "", what, beside)


def _trained(run: Run) -> Fact:
    scores = run.pretrained.scores
    beside = f"{scores['mfu']:.0%} of the processor's measured peak in matrix products"
    return Fact("tokens.trained_per_second", scores["tokens_per_second"], "tokens/s", "tokens trained on", beside)


def _gain(run: Run) -> Fact:
    change = run.tuned.scores["loss"].change
    forgot = run.tuned.scores.get("bits_per_byte")
    beside = f"old text costs {forgot.change.value:+.3f} bits per byte more: what was forgotten" if forgot else ""
    what = "nats per answer token, by fine-tuning (less is better)"
    return Fact("tokens.tuning_gain", change.value, "nats", what, beside, change.low, change.high)


def _corpus(run: Run) -> Section:
    curated = run.curated
    kept, gone = curated.documents.height, curated.dropped.height
    found = next(r for r in run.reports if r.station == "tokenize").details["held_out"]
    words = [
        f"Of {kept + gone:,} documents {kept:,} are kept; every other one is in dropped.parquet with its reason.",
        f"The tokenizer knows {run.tokenizer.vocabulary:,} pieces; a token of held-out text is"
        f" {found['bytes'] / found['tokens']:.2f} bytes long.",
    ]
    pictures = [figures.curation.funnel(curated.funnel), figures.curation.reasons(curated.reasons)]
    return Section("Corpus and curation", words, figures=pictures)


def _model(run: Run) -> Section:
    made = run.pretrained
    log = made.log
    words = [
        f"Held-out text costs {made.verdict}.",
        "What it writes when it is left to itself is shaped like Python and means nothing:",
    ]
    pictures = [figures.pretraining.loss(log), figures.pretraining.throughput(log)]
    return Section("Pre-training", words, verbatim=made.samples, figures=pictures, wide=True)


def _adapter(run: Run) -> Section:
    tuned = run.tuned
    answers = tuned.answers.head(ANSWERS)
    rows = [
        [row["prompt"].splitlines()[-1], row["before"], row["after"], row["answer"]]
        for row in answers.iter_rows(named=True)
    ]
    said = TextTable(
        ["asked", "before", "after", "the author wrote"], rows, words=["asked", "before", "after", "the author wrote"]
    )
    words = [
        "An adapter of a few matrices learns to say in one line what a function does. Held-out questions, before and"
        " after, with 95 % intervals of the difference; the last line is what it cost the old text.",
    ]
    pictures = [
        figures.finetuning.before_after(tuned.scores, by_chance=tuned.overlap_by_chance),
        figures.finetuning.loss_curve(tuned.history, tuned.scores["loss"]),
    ]
    return Section("Fine-tuning", words, [said], pictures, [str(tuned)], wide=True)


def _serving(run: Run) -> Section:
    station = next(r for r in run.reports if r.station == "serve_tokens")
    words = [
        f"Engine: {station.details['engine']} ({station.details['reason']}). The adapter {run.settings.adapter!r} is"
        " served beside its base, as it is. Each point is a number of users who ask at once: more of them share the"
        " machine, and each waits longer.",
    ]
    pictures = [figures.tokens.pareto(run.served), figures.tokens.latency(run.served)]
    return Section("Serving", words, figures=pictures)
