"""The law of post-training: accuracy on a task that can be checked, against the arithmetic spent after pre-training.

A pre-trained model first copies solutions (supervised fine-tuning), then tries for itself and is drawn to what the
verifier accepts: REINFORCE with the mean reward of the question's own samples as its baseline, which is GRPO (Shao et
al. 2024, arXiv 2402.03300) on-policy, without its clip, its KL term and its division by the deviation. Beside every
accuracy stands what it cost of the old: bits per byte on the pre-training's held-out text. The task is `countdown`.

>>> from aifactory_lab.lm import model, tokenizer
>>> words = tokenizer.train(["0123456789"], vocabulary=257)
>>> llama = model.Llama(model.shape(1, words.vocabulary, context=64))
>>> spent = Spent()
>>> losses = list(supervised(llama, words, spent, steps=3, batch=4))
>>> len(losses), spent.flops > 1e7
(3, True)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from aifactory_lab.errors import ModelError
from aifactory_lab.laws import answering, countdown, test_time
from aifactory_lab.lm import evaluation, flops
from aifactory_lab.lm.evaluation import HeldOut
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.optimiser import Optimiser, Rates, Schedule
from aifactory_lab.lm.slots import Sampler
from aifactory_lab.lm.tokenizer import Tokenizer

COPYING = Rates(matrices=3e-3, rest=1e-2, decay=0.0)
TRYING = Rates(matrices=3e-4, rest=3e-4, decay=0.0)
IGNORED = -100  # a target that does not count
OLD_TOKENS = 20_000  # of held-out text on which forgetting is measured


@dataclass
class Spent:
    """What post-training has taken so far.

    Attributes
    ----------
    tokens, flops
        Trained on or written, and the floating-point operations of both: 6 a parameter and token where it learns, 2
        where it writes.
    """

    tokens: int = 0
    flops: float = 0.0

    def add(self, model: Llama, tokens: int, *, context: int, learning: bool) -> None:
        """Count so many tokens in windows of so many."""
        each = flops.per_token(replace(model.shape, context=context))
        self.tokens += tokens
        self.flops += tokens * each * (1.0 if learning else 1 / 3)


def supervised(
    model: Llama,
    tokenizer: Tokenizer,
    spent: Spent,
    *,
    steps: int,
    batch: int = 32,
    rates: Rates = COPYING,
    seed: int = 0,
) -> Iterator[float]:
    """Copy solutions, half as expressions and half as chains; yield each step's loss in nats per token of the answer.

    Parameters
    ----------
    model
        Changed in place.
    spent
        Counted up.
    steps, batch
        How many, of how many solutions. The learning rate rises and falls over these steps.
    """
    moves, schedule = Optimiser(model, rates), Schedule()
    endless = countdown.puzzles(seed, held_out=False)
    for step in range(steps):
        rows = []
        for number, (puzzle, solution) in enumerate(islice(endless, batch)):
            chain = number % 2 == 1
            text = solution.chain() if chain else solution.expression()
            rows.append((tokenizer.encode(puzzle.prompt(chain=chain)), [*tokenizer.encode(text), tokenizer.end]))
        inputs, targets = _padded(rows, tokenizer.end)
        loss = model.loss(inputs, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        moves.step(schedule.factor(step, steps))
        spent.add(model, inputs.numel(), context=inputs.shape[1], learning=True)
        yield float(loss.detach())


def reinforced(
    model: Llama,
    tokenizer: Tokenizer,
    spent: Spent,
    *,
    steps: int,
    questions: int = 24,
    samples: int = 16,
    rates: Rates = TRYING,
    seed: int = 0,
) -> Iterator[float]:
    """Try, verify, and be drawn to what was right; yield each step's share of right answers.

    Parameters
    ----------
    model
        Changed in place.
    spent
        Counted up, what is written too.
    steps, questions, samples
        How many, of how many new questions, each answered so often. Expressions and chains take turns.

    Raises
    ------
    ModelError
        If there is one sample a question: there is nothing to compare it with.
    """
    if samples < 2:
        msg = f"with samples={samples} a question an answer is compared with nothing"
        raise ModelError(msg, mend="laws.post_training.reinforced(…, samples=16)")
    moves, sampler = Optimiser(model, rates), Sampler(model, tokenizer, slots=answering.SLOTS)
    endless = countdown.puzzles(seed + 1_000_000, held_out=False)
    for step in range(steps):
        puzzles = [puzzle for puzzle, _ in islice(endless, questions) for _ in range(samples)]
        prompts = [tokenizer.encode(puzzle.prompt(chain=step % 2 == 1)) for puzzle in puzzles]
        written = sampler.generate(prompts, max_tokens=answering.LONGEST, temperature=1.0, seed=seed + step)
        right = [countdown.verify(puzzle, one.text) for puzzle, one in zip(puzzles, written, strict=True)]
        reward = torch.tensor(right, dtype=torch.float32).view(questions, samples)
        advantage = (reward - reward.mean(1, keepdim=True)).flatten()
        inputs, targets = _padded(
            [(prompt, one.tokens) for prompt, one in zip(prompts, written, strict=True)], tokenizer.end
        )
        _drawn(model, inputs, targets, advantage).backward()  # type: ignore[no-untyped-call]
        moves.step(1.0)
        spent.add(model, sum(len(one.tokens) for one in written), context=inputs.shape[1], learning=False)
        spent.add(model, inputs.numel(), context=inputs.shape[1], learning=True)
        yield float(reward.mean())


def judged(
    model: Llama,
    tokenizer: Tokenizer,
    puzzles: list[countdown.Puzzle],
    old: HeldOut,
    spent: Spent,
    *,
    stage: str,
    answers: int = 16,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how good a model is now, and at what cost: a row of the law of post-training.

    Returns
    -------
    dict
        ``stage``, ``tokens``, ``flops``; ``accuracy`` of one sampled expression with ``low`` and ``high`` (95 %, over
        questions), ``chain`` of one sampled chain; ``best`` and ``vote`` of `answers` expressions; and
        ``old_bits_per_byte`` of the text that it was pre-trained on.
    """
    found = answering.ask(model, tokenizer, puzzles, answers=answers, seed=seed)
    steps = answering.ask(model, tokenizer, puzzles, answers=answers, seed=seed, chain=True)
    one, best = test_time.best_of(found, (1, answers)).rows(named=True)
    return {
        "stage": stage,
        "tokens": spent.tokens,
        "flops": spent.flops,
        **{name: one[name] for name in ("accuracy", "low", "high")},
        "chain": test_time.best_of(steps, (1,))["accuracy"][0],
        "best": best["accuracy"],
        "vote": test_time.majority(found, (answers,))["accuracy"][0],
        "old_bits_per_byte": evaluation.score(model, old, most=OLD_TOKENS).bits_per_byte,
    }


def curve(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame with ``forgotten``: bits per byte lost on the old text since the first row."""
    return pl.DataFrame(rows).with_columns(
        (pl.col("old_bits_per_byte") - pl.col("old_bits_per_byte").first()).alias("forgotten")
    )


def _padded(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets; only the answers' tokens count."""
    longest = max(len(prompt) + len(answer) for prompt, answer in rows) - 1
    inputs = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), IGNORED)
    for row, (prompt, answer) in enumerate(rows):
        both = torch.tensor([*prompt, *answer])
        inputs[row, : len(both) - 1] = both[:-1]
        targets[row, len(prompt) - 1 : len(both) - 1] = both[len(prompt) :]
    return inputs, targets


def _drawn(model: Llama, inputs: Tensor, targets: Tensor, advantage: Tensor) -> Tensor:
    """Return minus the answers' log-probabilities, each by how much better it was than the question's others."""
    logits = model(inputs).float()
    nats = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return (nats.view_as(targets).sum(1) * advantage).sum() / (targets != IGNORED).sum()
