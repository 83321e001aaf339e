"""Replicas served one window of time after another: compiled, exact, and nothing is kept of a request that ended.

The rules are those of `replicas`, and so are the answers, wherever windows are cut: a step or a prompt goes at the
costs of the moment at which it began. Between windows costs may change, replicas may fall out, and what they held may
be sent again. Which replica gets a request, and what watts are, is not known here. numba looks at this file alone to
see whether what it compiled is old: whoever changes `replicas.span`, `push` or `pop` touches it.

>>> pool = idle(replicas=1, most=4, queue=8)
>>> pool.ends.shape, pool.queue.shape
((1, 4), (1, 8))
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from aifactory_lab.twin.replicas import MANY, Function, Reals, Steps, Whole, inlined, pop, push, span

# What a window adds up for each replica: seconds of prefill, of decoding, of reading and of arithmetic within decoding;
# sequences × seconds and tokens of context × seconds; tokens written; requests; and seconds to first tokens, between
# tokens and to last tokens, summed over the requests that ended.
PREFILL, DECODE, READING, COMPUTING, BATCH, CONTEXT, TOKENS, SERVED, GOOD, REJECTED, TTFT, ITL, E2E = range(13)
SUMS = 13
# Seconds are counted in buckets 1 % wide, from 0.1 ms to 10,000 s.
LEAST, RATIO = 1e-4, 1.01
BUCKETS = math.ceil(math.log(1e8) / math.log(RATIO))
LOG_LEAST, PER_LOG = math.log(LEAST), 1 / math.log(RATIO)


def threaded(function: Function) -> Function:
    """Compile with numba as `compiled` does, for threads that run at the same time."""
    made: Function = numba.njit(cache=True, nogil=True)(function)
    return made


class Queue(NamedTuple):
    """Requests by replica and place: when it reached this replica, when it came to the plant, and its tokens."""

    reached: Reals
    came: Reals
    isl: Whole
    osl: Whole

    @property
    def shape(self) -> tuple[int, ...]:
        """Replicas, places."""
        return self.came.shape


class Pool(NamedTuple):
    """Where replicas stand: `clock` is the end of what each has done, `due` when it will do more.

    `ends` and `who` are heaps by the step in which a sequence ends, of places in `running` and `first`; `free` is a
    stack of places. `queue` is a ring that begins at `head`.
    """

    clock: Reals
    due: Reals
    step: Whole
    batch: Whole
    context: Whole
    reserved: Whole
    ends: Whole
    who: Whole
    free: Whole
    running: Queue
    first: Reals
    queue: Queue
    head: Whole
    waiting: Whole


class Objective(NamedTuple):
    """What makes a request good, in seconds, and what is added to each first token."""

    ttft: float
    itl: float
    first: float


class Window(NamedTuple):
    """What comes until `end`: replica r gets `range(starts[r], stops[r], stride)`, in order; from -1 on it is down."""

    end: float
    reached: Reals
    came: Reals
    isl: Whole
    osl: Whole
    starts: Whole
    stops: Whole
    stride: int


@threaded
def bucket(seconds: float) -> int:
    """Return the bucket of a number of seconds."""
    if seconds <= LEAST:
        return 0
    return min(BUCKETS - 1, int((math.log(seconds) - LOG_LEAST) * PER_LOG))


@inlined
def _admit(pool: Pool, steps: Steps, sums: Reals, replica: int) -> None:
    """Read the prompt of the first who waits; it ends with the first token."""
    place = pool.head[replica]
    isl, osl = pool.queue.isl[replica, place], pool.queue.osl[replica, place]
    batch = pool.batch[replica]
    slot = pool.free[replica, batch]
    seconds = isl * (steps.prefill + steps.attention * (isl / 2.0))
    pool.clock[replica] = max(pool.clock[replica], pool.queue.reached[replica, place]) + seconds
    pool.running.came[replica, slot] = pool.queue.came[replica, place]
    pool.running.isl[replica, slot], pool.running.osl[replica, slot] = isl, osl
    pool.first[replica, slot] = pool.clock[replica]
    push(pool.ends[replica], pool.who[replica], batch, pool.step[replica] + osl - 1, slot)
    pool.head[replica] = (place + 1) % pool.queue.came.shape[1]
    pool.waiting[replica] -= 1
    pool.batch[replica] += 1
    pool.context[replica] += isl + 1
    pool.reserved[replica] += isl + osl
    sums[replica, PREFILL] += seconds
    sums[replica, TOKENS] += 1


@inlined
def _release(pool: Pool, sums: Reals, counts: Whole, slo: Objective, replica: int) -> None:
    """Let those go whose last token has been written, and count what they saw."""
    while pool.batch[replica] > 0 and pool.ends[replica, 0] == pool.step[replica]:
        batch = pool.batch[replica]
        slot = pop(pool.ends[replica], pool.who[replica], batch)
        pool.free[replica, batch - 1] = slot
        isl, osl = pool.running.isl[replica, slot], pool.running.osl[replica, slot]
        pool.batch[replica] -= 1
        pool.context[replica] -= isl + osl
        pool.reserved[replica] -= isl + osl
        came, first = pool.running.came[replica, slot], pool.first[replica, slot]
        ttft, e2e = first + slo.first - came, pool.clock[replica] + slo.first - came
        counts[0, bucket(ttft)] += 1
        good = ttft <= slo.ttft
        if osl > 1:
            itl = (pool.clock[replica] - first) / (osl - 1)
            counts[1, bucket(itl)] += 1
            sums[replica, ITL] += itl
            good = good and itl <= slo.itl
        elif slo.itl < np.inf:
            good = False  # as AIPerf counts
        sums[replica, TTFT] += ttft
        sums[replica, E2E] += e2e
        sums[replica, SERVED] += 1
        sums[replica, GOOD] += good


@inlined
def _steps(pool: Pool, steps: Steps, replica: int, most: int, wanted: float) -> int:
    """Return the fewest steps, and `most` at most, that end at a moment or after it."""
    batch, context, clock = pool.batch[replica], pool.context[replica], pool.clock[replica]
    reading, growth, compute, lost = steps.reading[batch], steps.growth, steps.compute[batch], steps.lost[batch]
    # Steps get longer, so what the first one takes says too many; one secant more is close, and the rest is walked.
    count = min(most, 1 + int((wanted - clock) / span(1, batch, context, reading, growth, compute, lost)))
    count = max(1, int(count * (wanted - clock) / span(count, batch, context, reading, growth, compute, lost)))
    count = min(most, count)
    while count < most and clock + span(count, batch, context, reading, growth, compute, lost) < wanted:
        count += 1
    while count > 1 and clock + span(count - 1, batch, context, reading, growth, compute, lost) >= wanted:
        count -= 1
    return count


@inlined
def _decode(pool: Pool, steps: Steps, sums: Reals, replica: int, count: int, until: float) -> float:
    """Decode so many steps if they end by then; return when they end."""
    batch, context = pool.batch[replica], pool.context[replica]
    reading, compute = steps.reading[batch], steps.compute[batch]
    seconds = span(count, batch, context, reading, steps.growth, compute, steps.lost[batch])
    end: float = pool.clock[replica] + seconds
    if end > until:
        return end
    seen = count * (context + batch * ((count - 1) / 2.0))  # tokens of context, summed over the steps
    pool.clock[replica] = end
    pool.step[replica] += count
    pool.context[replica] += count * batch
    sums[replica, DECODE] += seconds
    sums[replica, READING] += count * reading + steps.growth * seen
    sums[replica, COMPUTING] += count * compute
    sums[replica, BATCH] += batch * seconds
    sums[replica, CONTEXT] += seen / count * seconds
    sums[replica, TOKENS] += count * batch
    return end


@inlined
def _advance(pool: Pool, steps: Steps, sums: Reals, counts: Whole, slo: Objective, replica: int, until: float) -> None:
    """Let a replica do everything that ends until then, and admit whom it can before."""
    while True:
        pool.due[replica] = pool.clock[replica]
        if pool.clock[replica] > until:  # in the midst of a prompt
            return
        _release(pool, sums, counts, slo, replica)
        wanted = np.inf
        if pool.waiting[replica] > 0 and pool.batch[replica] < steps.most:
            place = pool.head[replica]
            tokens = pool.queue.isl[replica, place] + pool.queue.osl[replica, place]
            if pool.reserved[replica] + tokens <= steps.capacity:
                wanted = pool.queue.reached[replica, place]
                if pool.batch[replica] == 0 or pool.clock[replica] >= wanted:
                    pool.due[replica] = max(pool.clock[replica], wanted)
                    if pool.due[replica] >= until:
                        return
                    _admit(pool, steps, sums, replica)
                    continue
        if pool.batch[replica] == 0:
            pool.due[replica] = np.inf
            return
        count = pool.ends[replica, 0] - pool.step[replica]
        if wanted < np.inf:
            count = _steps(pool, steps, replica, count, wanted)
        pool.due[replica] = _decode(pool, steps, sums, replica, count, until)
        if pool.due[replica] > until:
            return


@inlined
def _receive(pool: Pool, window: Window, sums: Reals, replica: int, request: int) -> None:
    """Let a request wait, or reject it where too many do."""
    room = pool.queue.came.shape[1]
    if pool.waiting[replica] >= room:
        sums[replica, REJECTED] += 1
        return
    place = (pool.head[replica] + pool.waiting[replica]) % room
    pool.queue.reached[replica, place], pool.queue.came[replica, place] = window.reached[request], window.came[request]
    pool.queue.isl[replica, place], pool.queue.osl[replica, place] = window.isl[request], window.osl[request]
    pool.waiting[replica] += 1


@inlined
def _finish(pool: Pool, steps: Steps, sums: Reals, counts: Whole, slo: Objective, replica: int, until: float) -> None:
    """Let a replica do what ends until then, and end every step that has begun by then: the next may cost more."""
    _advance(pool, steps, sums, counts, slo, replica, until)
    if pool.batch[replica] > 0 and pool.clock[replica] < until:
        most = pool.ends[replica, 0] - pool.step[replica]
        _decode(pool, steps, sums, replica, _steps(pool, steps, replica, most, until), np.inf)
    pool.due[replica] = pool.clock[replica]


@threaded
def run(
    pool: Pool, steps: Steps, window: Window, slo: Objective, sums: Reals, counts: Whole, begin: int, end: int
) -> None:
    """Serve the replicas from `begin` to `end` until the window ends, each with the requests that are its own."""
    for replica in range(begin, end):
        if window.starts[replica] < 0:
            continue
        for request in range(window.starts[replica], window.stops[replica], window.stride):
            _advance(pool, steps, sums, counts, slo, replica, window.reached[request])
            _receive(pool, window, sums, replica, request)
        _finish(pool, steps, sums, counts, slo, replica, window.end)


@threaded
def share(pool: Pool, steps: Steps, window: Window, slo: Objective, sums: Reals, counts: Whole) -> None:
    """Serve all replicas until the window ends: each request goes to that which has fewest, waiting or running."""
    for request in range(len(window.came)):
        now, least, lightest = window.reached[request], -1, MANY
        for replica in range(len(pool.clock)):
            if window.starts[replica] < 0:
                continue
            if pool.due[replica] <= now:
                _advance(pool, steps, sums, counts, slo, replica, now)
            load = pool.batch[replica] + pool.waiting[replica]
            if load < lightest:
                least, lightest = replica, load
        _receive(pool, window, sums, least, request)
        pool.due[least] = min(pool.due[least], now)
    for replica in range(len(pool.clock)):
        if window.starts[replica] >= 0:
            _finish(pool, steps, sums, counts, slo, replica, window.end)


def idle(replicas: int, most: int, queue: int) -> Pool:
    """Return replicas at second 0 with nothing to do, with room for so many that run and that wait."""
    step, batch, context, reserved, head, waiting = (np.zeros(replicas, np.int64) for _ in range(6))
    ends, who = (np.zeros((replicas, most), np.int64) for _ in range(2))
    free = np.tile(np.arange(most), (replicas, 1))
    running, waits = _places(replicas, most), _places(replicas, queue)
    clock, due, first = np.zeros(replicas), np.zeros(replicas), np.zeros((replicas, most))
    return Pool(clock, due, step, batch, context, reserved, ends, who, free, running, first, waits, head, waiting)


def _places(replicas: int, places: int) -> Queue:
    reached, came = (np.zeros((replicas, places)) for _ in range(2))
    isl, osl = (np.zeros((replicas, places), np.int64) for _ in range(2))
    return Queue(reached, came, isl, osl)


def drop(pool: Pool, replica: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Take all requests out of a replica: when they came to the plant, and their tokens."""
    slots = pool.who[replica, : pool.batch[replica]]
    places = (pool.head[replica] + np.arange(pool.waiting[replica])) % pool.queue.shape[1]
    taken = [
        np.concatenate([getattr(pool.running, name)[replica, slots], getattr(pool.queue, name)[replica, places]])
        for name in ("came", "isl", "osl")
    ]
    for numbers in (pool.batch, pool.context, pool.reserved, pool.waiting, pool.head):
        numbers[replica] = 0
    pool.free[replica] = np.arange(pool.free.shape[1])
    came, isl, osl = taken
    return came, isl, osl
