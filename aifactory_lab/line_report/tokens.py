"""The token line's part of the report: its tiles and sections.

>>> TITLE, SHORT
('The token line', 'Tokens')
"""

from aifactory_lab import figures
from aifactory_lab.line.tokens import Run
from aifactory_lab.line_report.tables import rate
from aifactory_lab.report import Section, TextTable, Tile

TITLE, SHORT = "The token line", "Tokens"
ANSWERS = 4  # held-out questions that the page shows


def sections(run: Run) -> list[Section]:
    """Return the sections of a finished run."""
    return [_corpus(run), _model(run), _adapter(run), _serving(run)]


def tiles(run: Run) -> list[Tile]:
    """Return the numbers that a reader should leave with."""
    by_name = {report.station: report for report in run.reports}
    best = by_name["serve_tokens"].details["best"]
    price = best["dollars_per_million"]
    scores = run.pretrained.scores
    return [
        Tile(f"{rate(by_name['tokenize'].made)}", "tokens of curated text"),
        Tile(f"{rate(scores['tokens_per_second'])}/s", f"tokens trained on, {scores['mfu']:.0%} of the matmul peak"),
        Tile(f"{scores['bits_per_byte']:.2f}", "bits for a byte of files never seen"),
        Tile(f"{rate(best['tokens_per_second'])}/s", f"tokens served to {best['concurrency']} users at once"),
        Tile("?" if price is None else f"${price:.2g}", "per million tokens served, at the assumed price"),
    ]


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
