"""A server whose figures are known: the naive replica in a closed loop, token by token, and its load-test reports."""

import math

import numpy as np

from aifactory_lab.serve.load.costs import Cost
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin.serving import Steps
from tests.twin.naive import Replica

TRUE = {
    "step_seconds": 0.004,
    "sequence_seconds": 0.0015,
    "context_seconds": 4e-6,
    "prefill_seconds": 7e-4,
    "attention_seconds": 3e-6,
    "first_token_seconds": 0.003,
}


def steps(slots=8, **changed):
    """Return the steps of these figures."""
    true = TRUE | changed
    batch = np.arange(slots + 1.0)
    lost = true["step_seconds"] + batch * true["sequence_seconds"]
    each = (true["context_seconds"], true["prefill_seconds"], true["attention_seconds"])
    return Steps(np.zeros(slots + 1), np.zeros(slots + 1), lost, *each, 10**9, true["first_token_seconds"])


def served(costs, concurrency, isl, osl, requests):
    """Serve a closed loop: each of so many users asks again as soon as the last answer has come."""
    replica, done = Replica(costs, 0), []
    coming = [_asked(isl, osl, 0.0) for _ in range(concurrency)]
    while len(done) < requests:
        if not replica.running and not replica.waiting:
            replica.clock = max(replica.clock, min(one["time"] for one in coming))
        replica.waiting += [one for one in coming if one["time"] <= replica.clock]
        coming = [one for one in coming if one["time"] > replica.clock]
        under_way = [*replica.waiting, *replica.running]
        replica.advance(math.nextafter(replica.clock, math.inf))
        ended = [one for one in under_way if not math.isnan(one["last"])]
        done += ended
        coming += [_asked(isl, osl, one["last"] + costs.first) for one in ended]
    return done[:requests]


def _asked(isl, osl, now):
    known = {"time": now, "isl": isl, "osl": osl, "blocks": [], "block_tokens": 1}
    return known | {"first": math.nan, "last": math.nan}


def report(costs, concurrency, isl, osl=24, *, at=0.0, slower=1.0, cores=None, requests=None, uneven=0.0):
    """Return the report of a load test on it; a disturbed server takes `slower` times as long, or `uneven` times."""
    done = served(costs, concurrency, isl, osl, requests or 6 * concurrency)
    origin = min(one["time"] for one in done)

    factors = np.exp(np.random.default_rng(round(at)).normal(0, uneven, len(done)))
    scaled = [{key: (one[key] - origin) * slower for key in ("time", "first", "last")} for one in done]
    records = tuple(
        _record(number, one | scaled[number], costs.first * slower, factors[number]) for number, one in enumerate(done)
    )
    seconds = (max(one.chunks[-1] for one in records) - min(one.start for one in records)) / 1e9
    cost = Cost(server_cpu_seconds=None if cores is None else cores * seconds)
    return TokenReport("known", records, concurrency=concurrency, origin_ns=round(at * 1e9), cost=cost)


def _record(number, one, first, factor):
    sent = round(one["time"] * 1e9)
    chunks = tuple(sent + round((one[name] - one["time"] + first) * factor * 1e9) for name in ("first", "last"))
    tokens = {"input_tokens": one["isl"], "output_tokens": one["osl"]}
    return Record(number, start=sent, end=chunks[-1], outcome="200", chunks=chunks, **tokens)


def sweep(
    costs, levels=(1, 2, 4), lengths=(16, 64, 160), osl=24, *, noise=0.0, seed=0, contended=False, passes=1, **more
):
    """Return reports of a sweep; each load is disturbed by a factor of its own, and all of it seen in the cores."""
    random, found = np.random.default_rng(seed), []
    for isl, level in [(isl, level) for _ in range(passes) for isl in lengths for level in levels]:
        cores = float(random.uniform(0.3, 1.0)) if contended else None
        slower = float(np.exp(random.normal(0, noise))) / (cores or 1.0)
        found.append(report(costs, level, isl, osl, at=float(len(found)), slower=slower, cores=cores, **more))
    return found
