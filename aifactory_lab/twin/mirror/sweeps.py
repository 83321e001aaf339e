"""Loads put on a running server one by one, with the telemetry beside them: what `fitting` is given.

Prompts are random tokens, no two alike, so that no cache helps. Which server it is, and what becomes of the
observations, is not known here.

>>> from aifactory_lab.twin import models
>>> [len(prompt) for prompt in prompts(models.model("llama-3-8b"), 5, count=2)]
[5, 5]
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aifactory_lab import device
from aifactory_lab.serve import load
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.telemetry.hosts.source import HostSource
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.twin.mirror.machine import SLOTS
from aifactory_lab.twin.mirror.observations import Observations, observe
from aifactory_lab.twin.shape import Model

LEVELS, LENGTHS, ANSWER = (1, 2, 4), (16, 64, 160), 24
PERIOD = 0.25  # seconds between looks at the machine
Say = Callable[[str], object]


def sweep(
    server: Any,
    model: Model,
    *,
    concurrencies: Sequence[int] = LEVELS,
    lengths: Sequence[int] = LENGTHS,
    answer: int = ANSWER,
    seconds: float = 0.8,
    passes: int = 1,
    within: float = float("inf"),
    slots: int = SLOTS,
    say: Say | None = None,
) -> Observations:
    """Return what was seen of a running server under steady loads: every length at every concurrency.

    Parameters
    ----------
    server, model
        A running server (`serve.llm.start`) and the shape of what it serves (`machine.shape_of`).
    concurrencies, lengths, answer
        Requests at once, tokens of prompts, and of every answer.
    seconds, passes
        Of each load, and how often all are run: what disturbs one pass may not disturb the next.
    within
        Seconds after which no further load is begun, once all were run.
    slots
        Sequences that the server decodes together at most.
    say
        Told of every load; None for silence.
    """
    loads = [(isl, level) for _ in range(passes) for isl in lengths for level in concurrencies]
    reports: list[TokenReport] = []
    began = time.monotonic()
    sampler = Sampler(_source(), period=PERIOD)  # our own: one that somebody watches stays as it is
    try:
        for number, (isl, level) in enumerate(loads):
            if number >= len(loads) // passes and time.monotonic() - began > within:
                break
            asked = prompts(model, isl, seed=number)
            reports.append(measure(server, asked, concurrency=level, seconds=seconds, max_tokens=answer))
            if say:
                say(f"{level} at once, {isl} → {answer} tokens: {reports[-1]}")
        seen = sampler.ring.history()
    finally:
        sampler.close()
    return observe(reports, seen, model=model, slots=slots)


def measure(server: Any, asked: Sequence[Sequence[int]], **options: Any) -> TokenReport:
    """Run one load test (`serve.load.tokens`) whose prompts come from no cache."""
    return load.tokens(server, asked, extra={"cache_prompt": False}, warmup=1, **options)


def prompts(model: Model, tokens: int, *, count: int = 64, seed: int = 0) -> list[list[int]]:
    """Return prompts of so many random tokens: no two begin alike, so that no cache helps."""
    random = np.random.default_rng(seed)
    found: list[list[int]] = random.integers(3, model.vocabulary, size=(count, tokens)).tolist()
    return found


def _source() -> Source:
    return NvmlSource() if device.current(needs=()).kind == "gpu" else HostSource()
