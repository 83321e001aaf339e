"""Low-rank adaptation, the loop: a frozen base, two thin matrices beside each linear layer, AdamW over those alone.

LoRA is Hu et al. 2021 (arXiv 2106.09685); the matrices and their arithmetic are `peft`'s. The second matrix begins at
zero, so the first step starts from the base as it is; alpha is twice the rank. This module does not know what the pairs
are about, and judges nothing.

>>> settings = Settings(steps=4, learning_rate=1e-3)
>>> settings.share(step=2, seconds=0.0), settings.rate(1.0)
(0.5, 0.0)
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch

from aifactory_lab.errors import ModelError, require
from aifactory_lab.lm.examination import answer_losses
from aifactory_lab.lm.examples import Example, batch, shuffled
from aifactory_lab.lm.pretrained import quiet
from aifactory_lab.measure import Meter
from aifactory_lab.telemetry.trainings import Step, TrainingLog

WARM, CLIP = 0.05, 1.0  # share of the way on which the rate rises; longest gradient
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Settings:
    """How a fine-tuning is done; see `run`."""

    rank: int = 8
    steps: int | None = None
    seconds: float | None = None
    batch: int = 16
    learning_rate: float = 2e-3
    seed: int = 0
    threads: int = 1
    held_out: int = 64
    old_tokens: int = 4096
    longest_answer: int = 40

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the way is behind, by steps or by CPU-seconds, whichever is further."""
        return max(step / self.steps if self.steps else 0.0, seconds / self.seconds if self.seconds else 0.0)

    def rate(self, share: float) -> float:
        """Return the learning rate: a short rise, then straight down to nothing."""
        return self.learning_rate * min(max(share, 0.01) / WARM, max(0.0, 1 - share) / (1 - WARM))


def over(model: Any, settings: Settings) -> Any:
    """Put a fresh adapter over every linear layer of a model but the last, and freeze the rest."""
    peft = require("peft", extra="lm")
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(settings.seed)
        return peft.get_peft_model(model, config)


def train(model: Any, pairs: Sequence[Example], settings: Settings, log: TrainingLog, meter: Meter) -> pl.DataFrame:
    """Train the adapter that lies over a model.

    Parameters
    ----------
    model
        From `over`; left in training mode.
    log, meter
        Are told every step.

    Returns
    -------
    polars.DataFrame
        `step`, `tokens`, `loss` (nats per answer token), `learning_rate`, `cpu_seconds`.

    Raises
    ------
    ModelError
        If the loss is no longer a number.
    """
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, betas=BETAS, weight_decay=0.0)
    model.train()
    rows: list[dict[str, float]] = []
    wall, cpu, tokens, step = time.perf_counter(), time.process_time(), 0, 0
    for chosen in shuffled(pairs, settings.batch, settings.seed):
        share = settings.share(step, time.process_time() - cpu)
        if share >= 1 and rows:
            break
        rate, step, tokens = settings.rate(share), step + 1, tokens + sum(map(len, chosen))
        loss = _step(model, chosen, trained, optimiser, rate)
        _check(loss, step, rate)
        spent = time.process_time() - cpu
        rows.append({"step": step, "tokens": tokens, "loss": loss, "learning_rate": rate, "cpu_seconds": spent})
        meter.progress(sum(map(len, chosen)))
        log.step(_line(rows[-1], settings.share(step, spent), time.perf_counter() - wall))
    return pl.DataFrame(rows)


def _step(model: Any, chosen: list[Example], trained: list[Any], optimiser: Any, rate: float) -> float:
    """Take one step; return the mean loss of the answers' tokens."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    ids, targets = (tensor.to(model.device) for tensor in batch(chosen))
    half = model.dtype == torch.bfloat16  # then the adapter's own products need not be wider: 8 % faster, measured
    with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
        loss = answer_losses(model, ids, targets).mean()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(trained, CLIP)
    optimiser.step()
    return loss.item()


def _check(loss: float, step: int, rate: float) -> None:
    if not math.isfinite(loss):
        msg = f"the loss of step {step} is {loss}, at a learning rate of {rate:.2g}: the adapter is lost"
        raise ModelError(msg, mend=f"lm.finetune.run(…, learning_rate={rate / 4:.1g})")


def _line(row: dict[str, float], share: float, seconds: float) -> Step:
    """Return the step's line of the log; the number of steps is a guess where seconds end it."""
    step, tokens = int(row["step"]), int(row["tokens"])
    return Step(
        step=step,
        steps=max(step, round(step / min(1.0, share))),
        tokens=tokens,
        loss=row["loss"],
        learning_rate=row["learning_rate"],
        tokens_rate=tokens / seconds if seconds > 0 else None,
        eta=seconds * max(0.0, 1 / share - 1),
    )
