"""Replicas of a language model that serve a trace, request by request: compiled, exact, and without a step per token.

A replica admits who waits, in order, as soon as a step has ended and there is room for all of a request's tokens; it
reads one prompt at a time and decodes all admitted sequences together in between. So nothing changes between arrivals,
admissions and ends, and the steps between them are summed in closed form, for contexts grow by one token a step.
This module knows neither models nor GPUs, only what a step costs; `serving` says what it found. It is one file because
numba, which keeps what it compiled, sees changes only in the file of the function that is called.

>>> span(2, batch=4, context=100, reading=1.0, growth=0.01, compute=0.0, lost=0.0)  # 1 + 1.00, then 1 + 1.04
4.04
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Ids = NDArray[np.int32]
ROUND_ROBIN, LEAST_LOADED, PREFIX = range(3)
NOBODY = -1
MANY = 2**62
# As SGLang's router decides (cache_aware): to the replica that holds most of a prompt if that is more than a share of
# it, to the one with the emptiest cache if not, and to the least loaded one where the replicas' loads are far apart.
MATCHED, APART, TIMES = 0.3, 64, 1.5


def compiled(function: Function) -> Function:
    """Compile with numba, and keep what was compiled beside the module."""
    made: Function = numba.njit(cache=True)(function)
    return made


def inlined(function: Function) -> Function:
    """Compile into the callers: at every call they would copy all of the tuples' arrays, for half of the time."""
    made: Function = numba.njit(nogil=True, forceinline=True)(function)
    return made


class Steps(NamedTuple):
    """What steps cost: arrays by the number of sequences decoded together, from 0 to the most."""

    reading: Reals
    compute: Reals
    lost: Reals
    growth: float
    prefill: float
    attention: float
    most: int
    capacity: int
    longest_queue: int


class Requests(NamedTuple):
    """A trace: seconds and tokens of each request, and its prompt's blocks from `starts[i]` to `starts[i + 1]`."""

    times: Reals
    isl: Whole
    osl: Whole
    blocks: Ids
    starts: Whole
    block_tokens: int


class Found(NamedTuple):
    """What happened to each request: seconds of its first and last token, its replica (-1: rejected), tokens cached."""

    first: Reals
    last: Reals
    replica: Ids
    cached: Whole


class State(NamedTuple):
    """Where the replicas stand, by replica: `clock` is the end of what each has done, `due` when it will do more.

    `ends` and `who` are heaps by the step in which a sequence ends; `head`, `tail` and `behind` are queues.
    """

    clock: Reals
    due: Reals
    step: Whole
    batch: Whole
    context: Whole
    reserved: Whole
    waiting: Whole
    head: Whole
    tail: Whole
    behind: Whole
    ends: Whole
    who: Whole
    prefilled: Reals
    decoded: Reals


class Cache(NamedTuple):
    """Blocks that each replica holds, a ring from the one used last to the one used first, around the last number."""

    newer: Ids
    older: Ids
    held: Whole
    room: int


@inlined
def span(steps: int, batch: int, context: int, reading: float, growth: float, compute: float, lost: float) -> float:
    """Return the seconds of so many steps of one batch, whose contexts have so many tokens together at the first.

    A step takes the longer of reading (growing by `growth` a token of context) and computing, and what is lost.
    """
    first, slope = reading + growth * context, growth * batch
    below = 0
    if first < compute:
        below = steps
        if slope > 0.0:
            below = min(steps, math.ceil((compute - first) / slope))
    rest = steps - below
    return steps * lost + below * compute + rest * first + slope * (rest * (below + steps - 1) / 2.0)


@inlined
def push(ends: Whole, who: Whole, size: int, end: int, request: int) -> None:
    """Put a sequence and the step of its end into a heap of `size`."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if ends[parent] <= end:
            break
        ends[place], who[place] = ends[parent], who[parent]
        place = parent
    ends[place], who[place] = end, request


@inlined
def pop(ends: Whole, who: Whole, size: int) -> int:
    """Take the first to end out of a heap of `size`."""
    request, end, last = who[0], ends[size - 1], who[size - 1]
    place, child = 0, 1
    while child < size - 1:
        if child + 1 < size - 1 and ends[child + 1] < ends[child]:
            child += 1
        if end <= ends[child]:
            break
        ends[place], who[place] = ends[child], who[child]
        place, child = child, 2 * child + 1
    ends[place], who[place] = end, last
    return int(request)


@inlined
def _matched(cache: Cache, requests: Requests, replica: int, request: int) -> int:
    """Return how many of a prompt's first blocks a replica holds."""
    for place in range(requests.starts[request], requests.starts[request + 1]):
        if cache.newer[replica, requests.blocks[place]] == NOBODY:
            return int(place - requests.starts[request])
    return int(requests.starts[request + 1] - requests.starts[request])


@inlined
def _touch(cache: Cache, requests: Requests, replica: int, request: int) -> None:
    """Hold a prompt's blocks, its first ones as the last to be forgotten, and forget those not used for longest."""
    newer, older, root = cache.newer[replica], cache.older[replica], cache.newer.shape[1] - 1
    for place in range(requests.starts[request + 1] - 1, requests.starts[request] - 1, -1):
        block = requests.blocks[place]
        if newer[block] != NOBODY:
            newer[older[block]], older[newer[block]] = newer[block], older[block]
        else:
            cache.held[replica] += 1
        newer[block], older[block] = root, older[root]
        newer[older[root]], older[root] = block, block
        if cache.held[replica] > cache.room:
            oldest = newer[root]
            newer[root], older[newer[oldest]] = newer[oldest], root
            newer[oldest] = NOBODY
            cache.held[replica] -= 1


@inlined
def _admit(state: State, steps: Steps, cache: Cache, requests: Requests, found: Found, replica: int) -> None:
    """Read the prompt of the first who waits; it ends with the first token."""
    request = state.head[replica]
    state.head[replica] = state.behind[request]
    state.waiting[replica] -= 1
    isl = requests.isl[request]
    if cache.room > 0:
        hits = _matched(cache, requests, replica, request) * requests.block_tokens
        found.cached[request] = min(hits, isl - 1)  # the last token is always read: it gives the first answer
        _touch(cache, requests, replica, request)
    fresh = isl - found.cached[request]
    seconds = fresh * (steps.prefill + steps.attention * (found.cached[request] + fresh / 2.0))
    state.clock[replica] = max(state.clock[replica], requests.times[request]) + seconds
    state.prefilled[replica] += seconds
    found.first[request] = state.clock[replica]
    push(
        state.ends[replica],
        state.who[replica],
        state.batch[replica],
        state.step[replica] + requests.osl[request] - 1,
        request,
    )
    state.batch[replica] += 1
    state.context[replica] += isl + 1
    state.reserved[replica] += isl + requests.osl[request]


@inlined
def _release(state: State, requests: Requests, found: Found, replica: int) -> None:
    """Let those go whose last token has been written."""
    while state.batch[replica] > 0 and state.ends[replica, 0] == state.step[replica]:
        request = pop(state.ends[replica], state.who[replica], state.batch[replica])
        tokens = requests.isl[request] + requests.osl[request]
        found.last[request] = state.clock[replica]
        state.batch[replica] -= 1
        state.context[replica] -= tokens
        state.reserved[replica] -= tokens


@inlined
def _decode(state: State, steps: Steps, replica: int, wanted: float, until: float) -> bool:
    """Decode to the next end, or to the first step that ends at `wanted` or later; unless that is after `until`."""
    batch, context, clock = state.batch[replica], state.context[replica], state.clock[replica]
    costs = (steps.reading[batch], steps.growth, steps.compute[batch], steps.lost[batch])
    count = state.ends[replica, 0] - state.step[replica]
    if clock + span(count, batch, context, *costs) >= wanted:
        low = 0  # after `low` steps it is too early, after `count` it is not
        while count - low > 1:
            middle = (low + count) // 2
            if clock + span(middle, batch, context, *costs) >= wanted:
                count = middle
            else:
                low = middle
    seconds = span(count, batch, context, *costs)
    state.due[replica] = clock + seconds
    if clock + seconds > until:
        return False
    state.clock[replica] += seconds
    state.decoded[replica] += seconds
    state.step[replica] += count
    state.context[replica] += count * batch
    return True


@inlined
def _advance(
    state: State, steps: Steps, cache: Cache, requests: Requests, found: Found, replica: int, until: float
) -> None:
    """Let a replica do everything that ends until then, and admit whom it can before; `due` is when it will do more."""
    while True:
        state.due[replica] = state.clock[replica]
        if state.clock[replica] > until:  # in the midst of a prompt
            return
        _release(state, requests, found, replica)
        request, wanted = state.head[replica], np.inf
        if request >= 0 and state.batch[replica] < steps.most:
            tokens = requests.isl[request] + requests.osl[request]
            if state.reserved[replica] + tokens <= steps.capacity:
                wanted = requests.times[request]
                if state.batch[replica] == 0 or state.clock[replica] >= wanted:
                    state.due[replica] = max(state.clock[replica], wanted)
                    if state.due[replica] >= until:
                        return
                    _admit(state, steps, cache, requests, found, replica)
                    continue
        if state.batch[replica] == 0:
            state.due[replica] = np.inf
            return
        if not _decode(state, steps, replica, wanted, until):
            return


@inlined
def _chosen(
    state: State, steps: Steps, cache: Cache, requests: Requests, found: Found, policy: int, turn: int, request: int
) -> int:
    """Return the replica that a request is sent to."""
    replicas, now = len(state.clock), requests.times[request]
    if policy == ROUND_ROBIN:
        _advance(state, steps, cache, requests, found, turn % replicas, now)
        return turn % replicas
    least, lightest, heaviest = 0, MANY, 0
    for replica in range(replicas):
        if state.due[replica] <= now:
            _advance(state, steps, cache, requests, found, replica, now)
        load = state.batch[replica] + state.waiting[replica]
        heaviest = max(heaviest, load)
        if load < lightest:
            least, lightest = replica, load
    if policy == LEAST_LOADED or (heaviest - lightest > APART and heaviest > TIMES * lightest):
        return least
    return _nearest(state, cache, requests, request, least)


@inlined
def _nearest(state: State, cache: Cache, requests: Requests, request: int, least: int) -> int:
    """Return the replica that holds most of a prompt, or the one with the emptiest cache if that is little."""
    best, most, emptiest = least, _matched(cache, requests, least, request), least
    for replica in range(len(state.clock)):
        matched = _matched(cache, requests, replica, request)
        lighter = state.batch[replica] + state.waiting[replica] < state.batch[best] + state.waiting[best]
        if matched > most or (matched == most and lighter):
            best, most = replica, matched
        if cache.held[replica] < cache.held[emptiest]:
            emptiest = replica
    blocks = requests.starts[request + 1] - requests.starts[request]
    return best if most > MATCHED * blocks else emptiest


@compiled
def run(state: State, steps: Steps, cache: Cache, requests: Requests, found: Found, policy: int, until: float) -> None:
    """Serve the trace; what has not ended at `until` keeps NaN as its last token's time."""
    turn = 0
    for request in range(len(requests.times)):
        found.first[request] = found.last[request] = np.nan
        found.replica[request] = NOBODY
        found.cached[request] = 0
        if requests.isl[request] + requests.osl[request] > steps.capacity:
            continue
        replica = _chosen(state, steps, cache, requests, found, policy, turn, request)
        turn += 1
        if state.waiting[replica] >= steps.longest_queue:
            continue
        found.replica[request] = replica
        if state.head[replica] < 0:
            state.head[replica] = request
            state.due[replica] = requests.times[request]
        else:
            state.behind[state.tail[replica]] = request
        state.tail[replica] = request
        state.waiting[replica] += 1
    for replica in range(len(state.clock)):
        _advance(state, steps, cache, requests, found, replica, until)


def idle(replicas: int, most: int, requests: int) -> State:
    """Return replicas at second 0 with nothing to do."""
    clock, due, prefilled, decoded = (np.zeros(replicas) for _ in range(4))
    step, batch, context, reserved, waiting = (np.zeros(replicas, np.int64) for _ in range(5))
    head, tail, behind = (np.full(count, NOBODY, np.int64) for count in (replicas, replicas, requests))
    ends, who = (np.zeros((replicas, most + 1), np.int64) for _ in range(2))
    return State(clock, due, step, batch, context, reserved, waiting, head, tail, behind, ends, who, prefilled, decoded)


def empty(replicas: int, blocks: int, room: int) -> Cache:
    """Return caches that hold none of so many blocks, and have room for `room` each."""
    newer = np.full((replicas, blocks + 1), NOBODY, np.int32)
    newer[:, blocks] = blocks  # a ring of its root alone
    return Cache(newer, newer.copy(), np.zeros(replicas, np.int64), room)
