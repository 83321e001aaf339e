"""Fine-tuning by LoRA: a base learns to answer, by a few matrices beside its frozen weights (Hu et al. 2021).

Of each pair only the answer is learned, since the question is not the model's to write. The base is examined before,
base and adapter after: on pairs from files that nothing was learned from, and on old text. So both what was gained and
what was forgotten is known, with intervals. The matrices and their arithmetic are `peft`'s. This module does not know
where pairs come from.

>>> run("no/such/base", pl.DataFrame(), "out")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/base is not a model: no model.safetensors in it
  mend: lm.pretrained.smollm2().checkpoint(), or the folder of lm.pretrain.run
"""

import hashlib
import math
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import require
from aifactory_lab.lm import adapters, examination, examples, lora, terminal, tuned
from aifactory_lab.lm.examples import Example, Window
from aifactory_lab.lm.lora import Settings
from aifactory_lab.lm.pairs import checked
from aifactory_lab.lm.place import TOKEN_BYTES, chosen, use_threads
from aifactory_lab.lm.pretrained import quiet
from aifactory_lab.lm.tuned import Result
from aifactory_lab.measure import Meter
from aifactory_lab.telemetry.trainings import TrainingLog

LONGEST = 512  # tokens of a pair, and of a window of old text
SAMPLES = 3  # answers that the log shows


@dataclass
class _Subject:
    """The model in hand, and what it is examined with."""

    model: Any
    tokenizer: Any
    train: list[Example]
    held: pl.DataFrame
    questions: list[Example]
    windows: list[Window]

    def marks(self, most: int) -> tuple[examination.Marks, examination.Floats]:
        self.model.eval()
        marks = examination.examine(self.model, self.tokenizer, self.held, self.questions, most=most)
        return marks, examination.text_nats(self.model, self.windows)


def run(
    base: Path | str,
    pairs: pl.DataFrame,
    out: Path | str,
    *,
    rank: int = 8,
    steps: int | None = None,
    seconds: float | None = None,
    batch: int = 16,
    learning_rate: float = 2e-3,
    seed: int = 0,
    threads: int = 1,
    held_out: int = 64,
    old: pl.DataFrame | None = None,
    old_tokens: int = 4096,
    longest_answer: int = 40,
    title: str = "",
    show: bool | None = None,
) -> Result:
    """Train an adapter over a base.

    Parameters
    ----------
    base
        A checkpoint folder: one of ours, or any Llama-like model that transformers reads and that has a chat template.
    pairs
        `prompt`, `answer`, `path`, `split`; those of split ``"valid"`` are for judging only.
    out
        The adapter's folder; an earlier one in it is replaced.
    rank
        Of the matrices that are trained beside every linear layer; alpha is twice that.
    steps, seconds
        When to end: after so many steps (200 by default) or CPU-seconds of training, whichever comes first. Only
        steps give the same adapter again.
    batch, learning_rate
        Pairs a step; the highest rate of AdamW.
    held_out
        Pairs to be judged on, drawn by the seed.
    old, old_tokens
        Documents (`id`, `text`) such as the base learned before, not those that it saw; how much of them to read.
    longest_answer
        Tokens after which an answer is cut.
    title
        What boards and the registry call it.
    show
        Whether to say on standard output how it goes; by default where that is a terminal.

    Returns
    -------
    Result
        The adapter, before and after, and what it cost.

    Raises
    ------
    ModelError
        If the base cannot be tuned, or the loss is no longer a number.
    DataError
        If there are no pairs to learn or to be judged by.
    """
    steps = 200 if steps is None and seconds is None else steps
    settings = Settings(rank, steps, seconds, batch, learning_rate, seed, threads, held_out, old_tokens, longest_answer)
    base, out = Path(base), Path(out)
    adapters.base_hash(base)  # refuse what is damaged before anything is taken away
    title = title or f"{adapters.name_of(base)}, tuned"
    tuned.clear(out)
    with use_threads(threads), Meter("tune", unit="tokens", device_used=chosen()) as meter:
        subject = _subject(base, checked(pairs), old, settings)
        facts = _facts(subject, settings)
        log = TrainingLog(out, title=title, facts=facts)
        with terminal.show(log) if _shown(show) else nullcontext(), log:
            before = subject.marks(longest_answer)
            _tell(log, 0, *before, subject)
            subject.model = lora.over(subject.model, settings)
            history = lora.train(subject.model, subject.train, settings, log, meter)
            after = subject.marks(longest_answer)
            _tell(log, history.height, *after, subject)
        scores = tuned.compared(before[0], after[0]) | tuned.forgotten(before[1], after[1], subject.windows)
        tuned.table(before[0], after[0]).write_parquet(out / tuned.ANSWERS)
        history.write_parquet(out / tuned.HISTORY)
        meter.count(int(history["tokens"][-1]), **_details(subject, history, settings))
        meter.count(host_to_device_bytes=TOKEN_BYTES * int(history["tokens"][-1]))
    lineage = asdict(settings) | {"pairs": len(subject.train), "pairs_sha256": _hash(pairs), "versions": _versions()}
    card = tuned.card(title, scores, tuned.by_chance(after[0]), meter.report, lineage)
    adapters.save(subject.model, out, base, card)
    return Result.load(out)


def _shown(show: bool | None) -> bool:
    return sys.stdout.isatty() if show is None else show


def _subject(base: Path, pairs: pl.DataFrame, old: pl.DataFrame | None, settings: Settings) -> _Subject:
    """Open the base and turn pairs and old text into its tokens."""
    transformers = require("transformers", extra="lm")
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
        longest = min(LONGEST, int(model.config.max_position_embeddings))
        held = pairs.filter(pl.col("split") == "valid").sample(fraction=1.0, shuffle=True, seed=settings.seed)
        _, train = examples.encode(pairs.filter(pl.col("split") == "train"), tokenizer, longest)
        held, questions = examples.encode(held.head(settings.held_out), tokenizer, longest)
        windows: list[Window] = []
        if old is not None and old.height:
            windows = examples.windows(old, tokenizer, longest, settings.old_tokens, settings.seed)
    model.to("cuda" if chosen().kind == "gpu" else "cpu")
    return _Subject(model, tokenizer, train, held, questions, windows)


def _tell(log: TrainingLog, step: int, marks: examination.Marks, old: examination.Floats, subject: _Subject) -> None:
    """Say the held-out scores and show a few answers."""
    log.score("answer_loss", float(marks.nats.sum() / marks.tokens.sum()), step)
    if subject.windows:
        bits = float(old.sum()) / math.log(2) / sum(window.bytes for window in subject.windows)
        log.score("bits_per_byte", bits, step)
    shown = zip(marks.pairs["prompt"].head(SAMPLES), marks.answers[:SAMPLES], strict=True)
    log.sample("\n\n".join(f"{prompt.splitlines()[-1]}\n{answer}" for prompt, answer in shown), step)


def _facts(subject: _Subject, settings: Settings) -> dict[str, Any]:
    used, config = chosen(), subject.model.config
    return {
        "parameters": subject.model.num_parameters(),
        "depth": config.num_hidden_layers,
        "width": config.hidden_size,
        "vocabulary": config.vocab_size,
        "rank": settings.rank,
        "batch": settings.batch,
        "pairs": len(subject.train),
        "optimiser": "AdamW over LoRA",
        "dtype": str(subject.model.dtype).removeprefix("torch."),
        "device": used.kind,
        "device_reason": used.reason,
        "threads": settings.threads,
    }


def _details(subject: _Subject, history: pl.DataFrame, settings: Settings) -> dict[str, Any]:
    spent = float(history["cpu_seconds"][-1])
    return {
        "steps": history.height,
        "trained_parameters": sum(p.numel() for p in subject.model.parameters() if p.requires_grad),
        "train_cpu_seconds": spent,
        "tokens_per_cpu_second": int(history["tokens"][-1]) / spent,
        "threads": settings.threads,
    }


def _hash(pairs: pl.DataFrame) -> str:
    text = pairs.select("split", "prompt", "answer").write_ndjson()
    return hashlib.sha256(text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {name: str(require(name, extra="lm").__version__) for name in ("torch", "transformers", "peft")}
