"""Serving simulated: a trace meets replicas of a model, and every request gets its TTFT, ITL and latency.

Each replica is a tensor-parallel group (`step_costs`) that reads prompts first come, first served, and decodes all
that was admitted together (`replicas` has the rules). Figures are named and counted as in `serve.load.summary`. Every
request is kept; `operations` simulates a day, which keeps none. Power, failures and networks between replicas are not
known here.

>>> from aifactory_lab.twin.traces import Trace
>>> steps = Steps.flat(step=0.010, prefill=0.001, most=4)
>>> served = simulate(Trace.of([0.0, 0.0], isl=100, osl=3), steps)
>>> [round(float(one), 3) for one in served.ttft], [round(float(one), 3) for one in served.e2e]
([0.1, 0.2], [0.22, 0.22])
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load.summary import Distribution, Slo
from aifactory_lab.twin import replicas as kernel
from aifactory_lab.twin.step_costs import Costs
from aifactory_lab.twin.traces import Trace

Reals = NDArray[np.float64]
ROUTING = {
    "round-robin": kernel.ROUND_ROBIN,
    "least-loaded": kernel.LEAST_LOADED,
    "prefix-affinity": kernel.PREFIX,
}
SEQUENCES = 256  # decoded together at most: vLLM's --max-num-seqs on most GPUs
WITHOUT_END = 2**62


@dataclass(frozen=True)
class Steps:
    """What a replica's steps cost and hold; see `of` for those of a model on GPUs.

    Attributes
    ----------
    reading, compute, lost
        Seconds of a step by the number of sequences, (most + 1,): the longer of the first two, and the third.
    growth
        Seconds to read one more token of context; it adds to `reading`.
    prefill, attention
        Seconds of one token of a prompt, and of one token of it with one token before it.
    capacity
        Tokens of all admitted requests together, prompts and answers.
    first
        Seconds before every first token that the replica's work does not explain.
    """

    reading: Reals
    compute: Reals
    lost: Reals
    growth: float
    prefill: float
    attention: float
    capacity: int
    first: float = 0.0

    @property
    def most(self) -> int:
        """Sequences decoded together at most."""
        return len(self.reading) - 1

    @classmethod
    def of(cls, costs: Costs, *, most: int = SEQUENCES, first: float = 0.0) -> Self:
        """Return the steps of a model on a group of GPUs (`step_costs.of` with one `tp`).

        Layers with a window count as if every context filled it, which 128 tokens do.

        Raises
        ------
        TwinError
            If the model leaves no room for a token, or the costs are of several groups.
        """
        if np.size(costs.kv_bytes) != 1:
            msg = f"the costs are of {np.size(costs.kv_bytes)} sizes of groups; a simulation has one"
            raise TwinError(msg, mend="step_costs.of(model, gpu, tp=4, …)")
        batch = np.arange(most + 1, dtype=np.float64)
        windows = batch * float(costs.window_seconds) * costs.window
        room = float(costs.free_bytes) - most * costs.window * float(costs.window_bytes)
        capacity = int(room // float(costs.kv_bytes))
        if capacity < 1:
            msg = f"the weights take {float(costs.weight_bytes) / 1e9:.1f} GB of each GPU: no room for a token is left"
            raise TwinError(msg, mend='a larger tp=, precision="fp8", or a GPU with more memory')
        reading = np.broadcast_to(costs.weights(batch), batch.shape) + windows
        lost = batch * (costs.link_seconds + costs.sequence_seconds) + costs.overhead_seconds
        each = (float(costs.context_seconds), float(costs.prefill_seconds), float(costs.attention_seconds))
        return cls(reading, batch * costs.compute_seconds, lost, *each, capacity, first)

    @classmethod
    def flat(cls, *, step: float, prefill: float, most: int = SEQUENCES, capacity: int = WITHOUT_END) -> Self:
        """Return steps that cost the same whatever is in them, seconds a step and seconds a prompt's token."""
        return cls(np.full(most + 1, step), np.zeros(most + 1), np.zeros(most + 1), 0.0, prefill, 0.0, capacity)

    def compiled(self, longest_queue: int) -> kernel.Steps:
        """Return them as `replicas` takes them: all of the same types, so that nothing is compiled twice."""
        reading, compute, lost = (
            np.require(one, np.float64, ["C", "W"]) for one in (self.reading, self.compute, self.lost)
        )
        growth, prefill, attention = float(self.growth), float(self.prefill), float(self.attention)
        limits = (self.most, int(self.capacity), int(longest_queue))
        return kernel.Steps(reading, compute, lost, growth, prefill, attention, *limits)


@dataclass(frozen=True)
class Served:
    """What became of a trace, request by request; NaN where it did not come about.

    Attributes
    ----------
    trace
        What came.
    first, last
        Seconds of the first and the last token, since the trace's start, (n,).
    replica, cached
        Who served each request (-1: rejected), and how many tokens of its prompt were cached, (n,).
    prefill_seconds, decode_seconds
        Work of each replica, (replicas,).
    end
        The moment at which the simulation ended; infinite if it went on to the last token.
    """

    trace: Trace
    first: Reals
    last: Reals
    replica: NDArray[np.int32]
    cached: NDArray[np.int64]
    prefill_seconds: Reals
    decode_seconds: Reals
    end: float

    @property
    def ttft(self) -> Reals:
        """Seconds from arrival to the first token, queueing included."""
        return self.first - self.trace.times

    @property
    def e2e(self) -> Reals:
        """Seconds from arrival to the last token."""
        return self.last - self.trace.times

    @property
    def itl(self) -> Reals:
        """Seconds from token to token, on average over a request; NaN with fewer than two tokens."""
        gaps = np.where(self.trace.osl > 1, self.trace.osl - 1.0, np.nan)
        found: Reals = (self.last - self.first) / gaps
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Requests: ``served``, ``rejected``, and still ``queued`` or being served at the end; together all."""
        served, rejected = int(np.isfinite(self.last).sum()), int((self.replica < 0).sum())
        return {"served": served, "rejected": rejected, "queued": len(self.trace) - served - rejected}

    @property
    def cache_hit_rate(self) -> float:
        """Share of the admitted prompts' tokens that were cached."""
        begun = np.isfinite(self.first)
        read = int(self.trace.isl[begun].sum())
        return float(self.cached[begun].sum() / read) if read else 0.0

    def good(self, slo: Slo) -> NDArray[np.bool_]:
        """Tell which requests were answered in time; as in AIPerf, one without an ITL misses an `itl_ms`."""
        kept = np.isfinite(self.last)
        for values, most in ((self.ttft, slo.ttft_ms), (self.itl, slo.itl_ms), (self.e2e, slo.e2e_ms)):
            if most != float("inf"):
                kept &= values * 1e3 <= most
        return kept

    def distributions(self) -> dict[str, Distribution]:
        """Return how the figures of the requests that were served are spread, in milliseconds."""
        figures = {"time_to_first_token": self.ttft, "inter_token_latency": self.itl, "request_latency": self.e2e}
        done = np.isfinite(self.last)
        return {
            name: Distribution.of((values[done & np.isfinite(values)] * 1e3).tolist())
            for name, values in figures.items()
        }

    def totals(self, slo: Slo | None = None) -> dict[str, float]:
        """Return the figures of the whole trace: counts, and per second from the first arrival to the last token."""
        done = np.isfinite(self.last)
        seconds = float(self.last[done].max() - self.trace.times[0]) if done.any() else 0.0
        per_second = 1 / seconds if seconds > 0 else 0.0
        written, read = (int(tokens[done].sum()) for tokens in (self.trace.osl, self.trace.isl))
        found = {
            "request_count": float(done.sum()),
            "rejected_request_count": float(self.counts["rejected"]),
            "queued_request_count": float(self.counts["queued"]),
            "benchmark_duration": seconds,
            "request_throughput": done.sum() * per_second,
            "output_token_throughput": written * per_second,
            "input_token_throughput": read * per_second,
            "cache_hit_rate": self.cache_hit_rate,
        }
        if slo is not None:
            good = self.good(slo)
            found |= {"good_request_fraction": float(good.mean()), "goodput": good.sum() * per_second}
        return found


def simulate(
    trace: Trace,
    steps: Steps,
    *,
    replicas: int = 1,
    routing: str = "round-robin",
    cache_tokens: int = 0,
    longest_queue: int = WITHOUT_END,
    until: float = float("inf"),
) -> Served:
    """Serve a trace on replicas of one kind.

    Parameters
    ----------
    replicas
        How many.
    routing
        ``"round-robin"``, ``"least-loaded"`` (fewest requests, waiting or running) or ``"prefix-affinity"``, as
        SGLang's router does: to who holds most of the prompt, unless loads are far apart.
    cache_tokens
        Tokens that each replica keeps for prompts to come, the least recently used forgotten first, in a store of its
        own beside the GPUs' memory (as Mooncake's); 0 for none.
    longest_queue
        Requests that may wait at a replica; what comes then is rejected. So is what no replica can hold.
    until
        Seconds after which the simulation ends; what has not ended then is still queued.

    Raises
    ------
    TwinError
        If a number cannot be, or the routing needs prefixes that the trace does not know.
    """
    _check(trace, replicas, routing, longest_queue)
    arrived = trace if until > trace.seconds else trace.until(until)
    requests = kernel.Requests(
        arrived.times, arrived.isl, arrived.osl, arrived.blocks, arrived.starts, arrived.block_tokens
    )
    costs = steps.compiled(longest_queue)
    found, state = _run(requests, costs, replicas, cache_tokens, ROUTING[routing], float(until))
    first, last = (np.where(moment <= until, moment, np.nan) for moment in (found.first, found.last))
    moments = (first + steps.first, last + steps.first)
    return Served(arrived, *moments, found.replica, found.cached, state.prefilled, state.decoded, until)


def _run(
    requests: kernel.Requests, costs: kernel.Steps, replicas: int, cache_tokens: int, policy: int, until: float
) -> tuple[kernel.Found, kernel.State]:
    count = len(requests.times)
    numbers = int(requests.blocks.max()) + 1 if len(requests.blocks) else 0
    cache = kernel.empty(replicas, numbers, cache_tokens // requests.block_tokens if numbers else 0)
    found = kernel.Found(np.empty(count), np.empty(count), np.empty(count, np.int32), np.empty(count, np.int64))
    state = kernel.idle(replicas, costs.most, count)
    kernel.run(state, costs, cache, requests, found, policy, until)
    return found, state


def _check(trace: Trace, replicas: int, routing: str, longest_queue: int) -> None:
    if replicas < 1 or longest_queue < 1:
        msg = f"replicas={replicas!r}, longest_queue={longest_queue!r}: both must be whole numbers from 1"
        raise TwinError(msg, mend="serving.simulate(trace, steps, replicas=4)")
    if routing not in ROUTING:
        msg = f"no routing {routing!r}; there are: {', '.join(ROUTING)}"
        raise TwinError(msg, mend='routing="least-loaded"')
    if routing == "prefix-affinity" and not len(trace.blocks):
        msg = f"prefix-affinity needs prompts' blocks, which this trace ({trace.note or 'no note'}) does not know"
        raise TwinError(msg, mend='routing="least-loaded", or traces.mooncake()')
