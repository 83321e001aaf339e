"""How active a replica's GPUs are while they read prompts and write tokens, hence what they draw, and their clocks.

Never "utilisation", nor the share of time in which a batch is open, which is 1 at any load: what counts is how long a
step's arithmetic and a step's bytes would take alone, as shares of the step (`step_costs`). How many requests there are
is not known here.

>>> from aifactory_lab.twin import hardware, models, step_costs
>>> from aifactory_lab.twin.inference import fitted
>>> h100 = hardware.gpu("h100-sxm")
>>> llama = models.model("llama-3-8b")
>>> costs = step_costs.of(llama, h100, precision="bf16", parameters=fitted().parameters)
>>> writing = activity(costs, batch=[1, 128], context=1024)
>>> alone, many = writing.watts(h100)
>>> 250 < alone < many < 600
np.True_
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.parts import Gpu
from aifactory_lab.twin.power import EXPONENT, LEAST_CLOCK, idle_watts
from aifactory_lab.twin.step_costs import Costs, Numbers

# Arithmetic all the time takes a GPU all the way from idle to TDP. Reading memory takes half of it: half of that in the
# memory, which has a clock of its own, and half in the multiprocessors that ask. What a sequence adds to a step beyond
# bytes and arithmetic (attention, sampling, what passes between products) takes three quarters. Chosen with ten
# published measurements in sight (`power_checks`): we lie 13 % off on average, for H100s from 19 % below to 12 % above,
# for a B200 with 2,000 sequences of a small model 30 % above.
HALF = 0.5
SEQUENCE_ACTIVITY = 0.75
HALVINGS = 20  # of the clock's range: to a millionth
MEMORY_ACTIVITY = HALF / 2
ASKING_ACTIVITY = HALF / 2


@dataclass(frozen=True)
class Activity:
    """Shares of the way from idle power to TDP, at the clock that the costs were reckoned for.

    Attributes
    ----------
    core
        Of the multiprocessors: their part follows the third power of the clock.
    memory
        Of the memory, which keeps its clock.
    """

    core: Numbers
    memory: Numbers

    @property
    def total(self) -> Numbers:
        """Both together, 0 to 1."""
        return self.core + self.memory

    def watts(self, gpu: Gpu, *, clock: ArrayLike = 1.0) -> Numbers:
        """Return a GPU's mean power at a share of its boost clock."""
        rest = idle_watts(gpu)
        found = rest + (gpu.tdp_watts - rest) * (self.core * np.asarray(clock, np.float64) ** EXPONENT + self.memory)
        return np.asarray(found, np.float64)

    def clock(self, gpu: Gpu, *, cap_watts: ArrayLike) -> Numbers:
        """Return the highest share of the boost clock at which this activity keeps to a cap.

        It is not below `power.LEAST_CLOCK`, where a GPU stays above a cap that is too low for it. What it does at that
        clock takes longer, so its activity changes: `settle` finds where both agree.

        Raises
        ------
        TwinError
            If a cap is not above the idle power.
        """
        cap, rest = np.asarray(cap_watts, np.float64), idle_watts(gpu)
        if not (cap > rest).all():
            msg = f"cap_watts={cap_watts!r} is not above what an idle {gpu.name} draws, {rest:g} W"
            raise TwinError(msg, mend=f"cap_watts={gpu.tdp_watts / 2:g}")
        left = (cap - rest) / (gpu.tdp_watts - rest) - self.memory
        speed = (np.maximum(left, 0.0) / np.maximum(self.core, 1e-9)) ** (1 / EXPONENT)
        return np.asarray(np.clip(speed, LEAST_CLOCK, 1.0), np.float64)


def activity(
    costs: Costs, batch: ArrayLike, context: ArrayLike, *, prefilling: ArrayLike = 0.0, decoding: ArrayLike = 1.0
) -> Activity:
    """Return the activity of a replica's GPUs.

    Parameters
    ----------
    costs
        Of the replica, at its clock.
    batch, context
        Sequences decoded together, and tokens behind each.
    prefilling, decoding
        Shares of the time in which prompts are read, and in which steps are made; in the rest nothing is done.

    Raises
    ------
    TwinError
        If shares are negative or make more than 1.

    Notes
    -----
    While prompts are read it is 1, less the time on links. In a step it is the share that its arithmetic would take
    alone, and `HALF` the share that its bytes would, and `SEQUENCE_ACTIVITY` times the share that its sequences take
    beyond both. What is lost in every step, whatever is in it, counts nothing.
    """
    reads, writes = np.asarray(prefilling, np.float64), np.asarray(decoding, np.float64)
    if not ((reads >= 0) & (writes >= 0) & (reads + writes <= 1 + 1e-9)).all():
        msg = f"prefilling={prefilling!r} and decoding={decoding!r} are not shares of the same time"
        raise TwinError(msg, mend="prefilling=0.2, decoding=0.8")
    together, step = np.asarray(batch, np.float64), costs.step(batch, context)
    arithmetic = together * (costs.compute_seconds + SEQUENCE_ACTIVITY * costs.sequence_seconds) / step
    bytes_ = costs.reading(batch, context) / step
    steps = _within(arithmetic + ASKING_ACTIVITY * bytes_, MEMORY_ACTIVITY * bytes_)
    prompts = 1 - costs.link_seconds / costs.prefill_seconds
    return Activity(reads * prompts + writes * steps.core, np.asarray(writes * steps.memory, np.float64))


def steady(costs: Costs, batch: ArrayLike, rate: ArrayLike, *, isl: ArrayLike, osl: ArrayLike) -> Activity:
    """Return the activity of a steady load: so many requests a second, read one by one and written in such batches.

    Parameters
    ----------
    rate
        Requests per second that a replica answers.
    isl, osl
        Tokens of a prompt and of an answer.
    """
    prompt, answer = np.asarray(isl, np.float64), np.asarray(osl, np.float64)
    context, each = prompt + answer / 2, np.asarray(rate, np.float64)
    reading = each * costs.prefill(prompt)
    writing = each * answer / np.asarray(batch, np.float64) * costs.step(batch, context)
    over = np.maximum(reading + writing, 1.0)  # what is read may hide behind steps, and never takes more than the time
    return activity(costs, batch, context, prefilling=reading / over, decoding=writing / over)


def settle(gpu: Gpu, work: Callable[[Numbers], Activity], limit_watts: ArrayLike) -> Numbers:
    """Return the highest share of the boost clock at which a GPU keeps to a limit with the work that it does then.

    Parameters
    ----------
    work
        What it does at a clock. Its watts must not fall with the clock.
    limit_watts
        At `power.LEAST_CLOCK` a GPU stays above a limit that is too low.

    Examples
    --------
    >>> from aifactory_lab.twin import hardware
    >>> reading = Activity(core=np.float64(0.25), memory=np.float64(0.25))
    >>> float(settle(hardware.gpu("h100-sxm"), lambda clock: reading, 300).round(2))
    0.66
    """
    limit = np.asarray(limit_watts, np.float64)
    full = np.ones(np.broadcast_shapes(limit.shape, work(np.ones(limit.shape)).total.shape))
    free = work(full).watts(gpu) <= limit
    if free.all():
        return full
    low, high = np.full_like(full, LEAST_CLOCK), full
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = work(middle).watts(gpu, clock=middle) <= limit
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.where(free, 1.0, low)


def _within(core: Numbers, memory: Numbers) -> Activity:
    """Return both, where the whole is at most 1: power management holds a GPU at its TDP."""
    kept = np.minimum(np.asarray(memory, np.float64), 1.0)
    return Activity(np.minimum(np.asarray(core, np.float64), 1.0 - kept), kept)
