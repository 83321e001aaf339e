"""The loop itself: a batch, its loss, its gradients, a step; saved every few seconds, and taken up after a kill.

A run is a pure function of its `Plan`: batches are made from the step's number, weights from the seed. So one that is
killed and taken up makes the same weights, bit for bit, as one that was not (same machine, as many threads). This
module does not log, evaluate or write a checkpoint: `lm.pretrain` does.

>>> from aifactory_lab.lm.shapes import shape
>>> plan = Plan(shape(depth=1, vocabulary=64, context=8), steps=10, batch=2)
>>> plan.tokens_per_step, plan.configuration()["batch"]
(16, 2)
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import flops
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.optimiser import Optimiser, Rates, Schedule
from aifactory_lab.lm.ranks import Ranks
from aifactory_lab.lm.shapes import Shape
from aifactory_lab.lm.shards import Shards
from aifactory_lab.lm.training_state import State, States

SAVE_SECONDS = 10.0
SETTLE_ON_GPU = 10  # steps between two looks at the losses: each look waits for the GPU


@dataclass(frozen=True)
class Plan:
    """What is trained, and how: everything that decides the weights, but for the tokens.

    Attributes
    ----------
    shape
        Of the model; its context is the length of a training window.
    steps, batch
        How many, of how many windows on each process.
    seed
        Of the first weights and of the order of the batches.
    rates, schedule
        How far a step goes, over the run.
    dtype
        In which the model computes: ``"bfloat16"`` or ``"float32"``; the masters are float32.
    device, threads, ranks
        Where: ``"cpu"`` or ``"cuda"``, threads of the CPU, processes. They change how sums are rounded.
    compiled
        Whether `torch.compile` makes the kernels: 12–18 % faster on a CPU, after a minute of compiling.
    """

    shape: Shape
    steps: int
    batch: int = 4
    seed: int = 0
    rates: Rates = field(default_factory=Rates)
    schedule: Schedule = field(default_factory=Schedule)
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 1
    ranks: int = 1
    compiled: bool = False

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one step sees, on all processes together."""
        return self.batch * self.shape.context * self.ranks

    def configuration(self) -> dict[str, Any]:
        """Return it as plain values, with the version of PyTorch: another one rounds otherwise."""
        return asdict(self) | {"torch": torch.__version__}


@dataclass(frozen=True)
class Made:
    """One step that was made: its number from 1, its loss in nats per token, its learning rate."""

    step: int
    loss: float
    learning_rate: float


class Objective(nn.Module):
    """The loss as a module of its own, for that is what DistributedDataParallel and torch.compile wrap."""

    def __init__(self, model: Llama) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats per token."""
        return self.model.loss(inputs, targets)


class Trainer:
    """A model in training.

    Parameters
    ----------
    plan
        What to do.
    shards
        Where the batches come from.
    ranks
        Which process this is.
    states
        Where the state is kept; what lies there of the same configuration is taken up.
    save_seconds
        Between two states.
    """

    def __init__(
        self, plan: Plan, shards: Shards, ranks: Ranks, states: States, *, save_seconds: float = SAVE_SECONDS
    ) -> None:
        self.plan, self.shards, self.ranks, self.states = plan, shards, ranks, states
        self.model = Llama(plan.shape, seed=plan.seed).to(ranks.device, flops.dtype(plan.dtype))
        self.optimiser = Optimiser(self.model, plan.rates)
        self.losses: list[float] = []
        self.save_seconds = save_seconds
        self._pending: list[Tensor] = []
        self._saved = time.monotonic()
        self._take_up()
        self.resumed = len(self.losses)

    @property
    def done(self) -> int:
        """Steps that were made, those of an earlier process included."""
        return len(self.losses)

    def run(self) -> Iterator[Made]:
        """Make the steps that are left, and yield each when its loss is known.

        Raises
        ------
        ModelError
            If the loss is no longer a finite number; the last state that was saved is from before.
        WorkspaceError
            If the state cannot be written.
        """
        plan = self.plan
        objective = self.ranks.share(Objective(self.model))
        call = torch.compile(objective) if plan.compiled else objective
        often = SETTLE_ON_GPU if plan.device == "cuda" else 1
        for step in range(self.done, plan.steps):
            loss = call(*self._batch(step))
            self._pending.append(loss.detach())
            settled = self._settle() if len(self._pending) == often or step + 1 == plan.steps else []
            loss.backward()
            self.optimiser.step(plan.schedule.factor(step, plan.steps))
            if settled:
                self._save_now_and_then()
                yield from settled

    def finished(self) -> Llama:
        """Return the model with its float32 masters, on the CPU."""
        model = Llama(self.plan.shape)
        model.load_state_dict(self.optimiser.weights())
        return model

    def learning_rate(self, step: int) -> float:
        """Return the matrices' learning rate of a step, from 0."""
        return self.plan.rates.matrices * self.plan.schedule.factor(step, self.plan.steps)

    def _take_up(self) -> None:
        state = self.states.load()
        if state is not None:
            self.optimiser.load(state.tensors)
            self.losses = list(state.losses)
        self.ranks.wait()  # no process writes a state before all have read the one that lay there

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        plan, ranks = self.plan, self.ranks
        inputs, targets = self.shards.batch(
            "train",
            step,
            batch=plan.batch,
            context=plan.shape.context,
            seed=plan.seed,
            rank=ranks.rank,
            ranks=ranks.ranks,
        )
        return inputs.to(ranks.device), targets.to(ranks.device)

    def _settle(self) -> list[Made]:
        """Read the losses that the device still holds; the step of the last one has not been made yet."""
        found = self.ranks.mean(torch.stack(self._pending).float()).tolist()
        self._pending.clear()
        first = self.done
        made = [Made(first + n + 1, loss, self.learning_rate(first + n)) for n, loss in enumerate(found)]
        for each in made:
            if not math.isfinite(each.loss):
                raise ModelError(self._not_finite(each), mend=self._smaller())
        self.losses += found
        return made

    def _not_finite(self, made: Made) -> str:
        kept = self.states.load()
        left = f"the state of step {kept.step} is kept" if kept else "no state was saved before"
        return (
            f"the loss is {made.loss} at step {made.step} of {self.plan.steps}, with learning rate"
            f" {made.learning_rate:.3g}, in {self.plan.dtype}; {left} in {self.states.folder}"
        )

    def _smaller(self) -> str:
        rates = self.plan.rates
        return f"lm.pretrain.run(…, rates=Rates(matrices={rates.matrices / 3:.2g}, rest={rates.rest / 3:.2g}))"

    def _save_now_and_then(self) -> None:
        """Keep the state, on the first process: all hold the same."""
        due = self.done == self.plan.steps or time.monotonic() - self._saved >= self.save_seconds
        if due and self.ranks.first:
            self.states.save(State(self.done, self.optimiser.state(), self.losses))
            self._saved = time.monotonic()
