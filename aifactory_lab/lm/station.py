"""One pre-training run on this process: the state is found, the loop runs, the model is judged, all is written down.

The first process of several tells and writes; the others only train. This module does not choose device, dtype or plan:
`lm.pretrain` does.

>>> SAMPLES_ARE
'drawn after a prompt: shaped like the corpus, neither correct programs nor facts'
"""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.device import Device
from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint, evaluation, flops, terminal
from aifactory_lab.lm.evaluation import HeldOut
from aifactory_lab.lm.place import TOKEN_BYTES
from aifactory_lab.lm.ranks import Ranks
from aifactory_lab.lm.shards import Shards
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.lm.trained import RESULT, Result
from aifactory_lab.lm.trainer import Plan, Trainer
from aifactory_lab.lm.training_state import States
from aifactory_lab.lm.watch import HELD_OUT, Watch
from aifactory_lab.measure import Meter
from aifactory_lab.telemetry.trainings import TrainingLog, keep
from aifactory_lab.telemetry.trainings.entries import FILE as LOG_FILE

LOG = logging.getLogger(__name__)
SAMPLES_ARE = "drawn after a prompt: shaped like the corpus, neither correct programs nor facts"


@dataclass(frozen=True)
class Judgement:
    """What a trained model is worth: `trained.Result` says what each field is."""

    scores: dict[str, float]
    baselines: dict[str, float]
    verdict: str
    samples: tuple[str, ...]


@dataclass(frozen=True)
class Station:
    """One run, with all that it was asked: see `lm.pretrain.run`.

    Attributes
    ----------
    plan, shards, tokenizer
        What is done, to which tokens.
    ranks, place
        Which process this is, and the device with the reason for it.
    out, folder
        Where the model goes; where the state and the log are until then.
    looks, title, show
        How often it is judged on the way, what boards call it, whether the terminal is told.
    """

    plan: Plan
    shards: Shards
    tokenizer: Tokenizer
    ranks: Ranks
    place: Device
    out: Path
    folder: Path
    looks: int
    title: str
    show: bool

    def run(self, save_seconds: float) -> None:
        """Train on this process; the first one tells and writes."""
        with Meter("pretrain", unit="tokens", device_used=self.place) as meter:
            states = States(self.folder, self.plan.configuration() | self._data())
            afresh = _afresh(states) if self.ranks.first else ""
            trainer = Trainer(self.plan, self.shards, self.ranks, states, save_seconds=save_seconds)
            if not self.ranks.first:
                for _ in trainer.run():
                    pass
                return
            watch, found = self._train(trainer)
            self._write(trainer, found)
            meter.count(watch.tokens, afresh=afresh, **self._details(watch, found))
            meter.count(host_to_device_bytes=TOKEN_BYTES * watch.tokens // self.plan.ranks)
        result = Result(self.out, meter.report, found.scores, found.baselines, found.verdict, found.samples)
        result.save(_history(trainer))

    def _train(self, trainer: Trainer) -> tuple[Watch, Judgement]:
        plan = self.plan
        held_out = HeldOut.of(self.shards, self.tokenizer)
        baselines = evaluation.baselines(self.shards, held_out)
        peak = plan.ranks * flops.measured_peak(plan.dtype, threads=plan.threads, device=plan.device)
        with self._log(trainer, peak) as log:
            for name, value in baselines.items():
                log.score(name, value)
            watch = Watch(trainer, self.tokenizer, held_out, log, peak=peak, looks=self.looks)
            for made in trainer.run():
                watch.step(made)
            return watch, self._judge(watch, baselines)

    @contextmanager
    def _log(self, trainer: Trainer, peak: float) -> Iterator[TrainingLog]:
        """Open the log, go on in it if the run goes on, and show it."""
        plan, path = self.plan, self.folder / LOG_FILE
        if not trainer.resumed:
            path.unlink(missing_ok=True)
        facts = {
            "parameters": trainer.model.count,
            "depth": plan.shape.layers,
            "width": plan.shape.width,
            "vocabulary": plan.shape.vocabulary,
            "context": plan.shape.context,
            "batch": plan.batch * plan.ranks,
            "tokens": plan.steps * plan.tokens_per_step,
            "optimiser": "Muon and AdamW",
            "dtype": plan.dtype,
            "device": self.place.kind,
            "device_reason": self.place.reason,
            "threads": plan.threads,
            "processes": plan.ranks,
            "peak_flops": peak,
        }
        log = TrainingLog(path, title=self.title, facts=facts, after=trainer.resumed)
        with terminal.show(log) if self.show else nullcontext(), log:
            yield log

    def _judge(self, watch: Watch, baselines: Mapping[str, float]) -> Judgement:
        """Score the model on all held-out text, and let it write."""
        model, steps = watch.trainer.model, self.plan.steps
        found = evaluation.score(model, watch.held_out)
        if not math.isfinite(found.bits_per_byte):
            msg = f"after {steps} steps the model predicts nothing: {found.bits_per_byte} bits per byte"
            raise ModelError(msg, mend="take smaller rates, or dtype='float32'")
        written = evaluation.samples(model, self.tokenizer, seed=self.plan.seed)
        watch.log.score(HELD_OUT, found.bits_per_byte, steps)
        watch.log.sample("\n\n".join(written), steps)
        scores = {
            "bits_per_byte": found.bits_per_byte,
            "nats_per_token": found.nats_per_token,
            "mfu": watch.mfu(watch.rate),
            "tokens_per_second": watch.rate,
            "tokens_per_cpu_second": watch.cpu_rate,
        }
        words = evaluation.verdict(found.bits_per_byte, baselines)
        return Judgement(scores, dict(baselines), words, tuple(written))

    def _write(self, trainer: Trainer, found: Judgement) -> None:
        """Write the checkpoint; what an earlier run said of another is taken back first."""
        (self.out / RESULT).unlink(missing_ok=True)
        card = {
            "kind": "pretrained",
            "metrics": {name: found.scores[name] for name in ("bits_per_byte", "nats_per_token")},
            "baselines": found.baselines,
            "verdict": found.verdict,
            "samples": list(found.samples),
            "samples_are": SAMPLES_ARE,
            "lineage": self._data() | {"tokens": self.plan.steps * self.plan.tokens_per_step},
            "training": trainer.states.configuration,
        }
        checkpoint.save(self.out, trainer.finished(), self.tokenizer, card)
        keep(self.folder, self.out)

    def _details(self, watch: Watch, found: Judgement) -> dict[str, Any]:
        plan = self.plan
        return {
            **found.scores,
            "verdict": found.verdict,
            "baselines": found.baselines,
            "parameters": watch.trainer.model.count,
            "depth": plan.shape.layers,
            "dtype": plan.dtype,
            "threads": plan.threads,
            "processes": plan.ranks,
            "peak_flops": watch.peak,
            "flops_per_token": flops.per_token(plan.shape),
            "steps": plan.steps,
            "resumed_after": watch.trainer.resumed,
            "epochs": plan.steps * plan.tokens_per_step / self.shards.tokens("train"),
        }

    def _data(self) -> dict[str, str]:
        return {
            "shards_sha256": self.shards.splits["train"].sha256,
            "tokenizer_sha256": self.shards.tokenizer_sha256,
        }


def _history(trainer: Trainer) -> pl.DataFrame:
    plan = trainer.plan
    steps = pl.Series("step", range(1, trainer.done + 1), dtype=pl.Int64)
    rates = [trainer.learning_rate(step) for step in range(trainer.done)]
    columns = [steps, (steps * plan.tokens_per_step).alias("tokens")]
    return pl.DataFrame([*columns, pl.Series("loss", trainer.losses), pl.Series("learning_rate", rates)])


def _afresh(states: States) -> str:
    """Return, and say, why a state that lies there is not gone on with; empty if it is, or none does."""
    differs = states.differs()
    if not differs:
        return ""
    what = ", ".join(f"{name} was {there}, is {here}" for name, (there, here) in differs.items())
    LOG.warning("%s is the state of another configuration (%s): starting afresh", states.path, what)
    return what
