"""What is told of a pre-training while it runs: steps, rates, held-out scores, samples, to its log and to the meter.

The clock stands still while the model is judged or writes, so tokens per second are those of training. This module does
not train.

>>> "bits_per_byte" in HELD_OUT
True
"""

import time
from collections.abc import Sequence

from aifactory_lab import measure
from aifactory_lab.lm import evaluation, flops
from aifactory_lab.lm.evaluation import HeldOut
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.lm.trainer import Made, Trainer
from aifactory_lab.telemetry.trainings import Step, TrainingLog

HELD_OUT = "bits_per_byte"
TELL_SECONDS = 0.25  # between two lines of the log
LOOK = 16_384  # held-out tokens of a look during training


class Watch:
    """Follow a trainer's steps.

    Parameters
    ----------
    trainer, tokenizer, held_out
        What runs, and what it is judged on.
    log
        Is told.
    peak
        Of the machine, FLOP/s, for all processes together.
    looks
        How often in a run the model is judged on some held-out text and writes a sample; the last step is not
        among them, for then it is judged on all.
    """

    def __init__(
        self, trainer: Trainer, tokenizer: Tokenizer, held_out: HeldOut, log: TrainingLog, *, peak: float, looks: int
    ) -> None:
        self.trainer, self.tokenizer, self.held_out, self.log, self.peak = trainer, tokenizer, held_out, log, peak
        steps = trainer.plan.steps
        self.looks = {round(steps * n / looks) for n in range(1, looks)} if looks else set()
        self.tokens, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self._told_tokens, self._told_seconds, self._told = 0, 0.0, 0.0
        self._go()

    @property
    def rate(self) -> float:
        """Tokens per second of training so far."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def cpu_rate(self) -> float:
        """Tokens per CPU-second, all processes alike: what a neighbour's load does not change."""
        return self.tokens / (self.cpu_seconds * self.trainer.plan.ranks) if self.cpu_seconds else 0.0

    def mfu(self, rate: float) -> float:
        """Return model FLOPs utilisation, 0 to 1, at a token rate."""
        return flops.mfu(self.trainer.plan.shape, tokens_per_second=rate, peak=self.peak)

    def step(self, made: Made) -> None:
        """Take note of a step."""
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds += now - self._since
        self.cpu_seconds += cpu - self._cpu_since
        self.tokens += self.trainer.plan.tokens_per_step
        measure.progress(self.trainer.plan.tokens_per_step)
        if now - self._told >= TELL_SECONDS or made.step == self.trainer.plan.steps:
            self._told = now
            self.log.step(self._entry(made))
        if made.step in self.looks:
            self._look(made.step)
        self._go()

    def _go(self) -> None:
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def _entry(self, made: Made) -> Step:
        plan = self.trainer.plan
        lately = (self.tokens - self._told_tokens) / max(self.seconds - self._told_seconds, 1e-9)
        self._told_tokens, self._told_seconds = self.tokens, self.seconds
        left = (plan.steps - made.step) * plan.tokens_per_step
        return Step(
            step=made.step,
            steps=plan.steps,
            tokens=made.step * plan.tokens_per_step,
            loss=made.loss,
            learning_rate=made.learning_rate,
            tokens_rate=lately,
            mfu=100 * self.mfu(lately),
            eta=left / self.rate if self.rate else None,
        )

    def _look(self, step: int) -> None:
        model = self.trainer.model
        self.log.score(HELD_OUT, evaluation.score(model, self.held_out, most=LOOK).bits_per_byte, step)
        self.log.sample(self._sample(evaluation.PROMPTS[:1]), step)

    def _sample(self, prompts: Sequence[str]) -> str:
        return "\n".join(evaluation.samples(self.trainer.model, self.tokenizer, prompts, seed=self.trainer.plan.seed))
