"""The windowed simulator: equal to the trace's simulator and to a loop over every token, wherever windows are cut."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.twin import serving
from aifactory_lab.twin.operations import buckets, windows
from aifactory_lab.twin.operations.places import Places
from aifactory_lab.twin.operations.router import Router
from aifactory_lab.twin.operations.traffic import Requests
from aifactory_lab.twin.plant import Plant
from tests.twin import naive
from tests.twin.test_serving import steps, traces

EXAMPLES = settings(max_examples=60, deadline=None)
SLO = windows.Objective(0.2, 0.012, 0.0)
LATER = 1e7  # when all has been served


class Once:
    """A trace that comes once."""

    note = "once"
    requests_per_second = 1.0

    def __init__(self, trace):
        self.trace = trace

    def between(self, begin, end, _):
        first, last = np.searchsorted(self.trace.times, [begin, end])
        return Requests(self.trace.times[first:last], self.trace.isl[first:last], self.trace.osl[first:last])


def places(replicas):
    return Places.of(Plant(gpus=8 * replicas, chassis="dgx-h100"), tp=8)


def router(trace, replicas, most, queue, threads=1, **how):
    return Router(places(replicas), Once(trace), SLO, most=most, queue=queue, threads=threads, **how)


@st.composite
def cuts(draw, trace):
    """Edges of windows, some of them in the midst of a step, and one after everything has ended."""
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inner = seed.uniform(0, 1.3 * trace.seconds + 1, draw(st.integers(0, 12)))
    return [0.0, *sorted(set(inner.tolist())), LATER]


def counted(values):
    return np.bincount([windows.bucket(one) for one in values], minlength=windows.BUCKETS)


@EXAMPLES
@given(st.data(), traces(), steps(), st.integers(1, 4), st.sampled_from([2, 1000]))
def test_windows_say_what_the_whole_trace_says(data, trace, costs, replicas, queue):
    edges = data.draw(cuts(trace))
    least = data.draw(st.booleans())
    routing = "least-loaded" if least else "round-robin"
    whole = serving.simulate(trace, costs, replicas=replicas, longest_queue=queue, routing=routing)
    one = router(trace, replicas, costs.most, queue, threads=data.draw(st.sampled_from([1, 3])), least_loaded=least)
    counts, sums = np.zeros((2, windows.BUCKETS)), np.zeros((replicas, windows.SUMS))
    came = gone = 0
    for begin, end in pairwise(edges):
        served = one.serve(begin, end, costs, np.ones(replicas, bool))
        counts, sums, came, gone = (
            counts + served.counts,
            sums + served.sums,
            came + served.asked,
            gone + served.rejected,
        )
        ended = np.isfinite(whole.last) & (whole.last <= end)
        assert sums[:, windows.SERVED].sum() == ended.sum()
        assert came == sums[:, windows.SERVED].sum() + gone + served.queued
    one.close()
    done = np.isfinite(whole.last)
    assert gone == whole.counts["rejected"]
    for figure, every in ((windows.TTFT, whole.ttft), (windows.E2E, whole.e2e), (windows.ITL, whole.itl)):
        values = every[done & np.isfinite(every)]
        assert sums[:, figure].sum() == pytest.approx(values.sum(), abs=1e-7)
        if figure != windows.E2E:  # counted too: a rounding error may only move what lies at a bucket's edge
            place = (windows.TTFT, windows.ITL).index(figure)
            low, high = (np.cumsum(counted(values * shift)) for shift in (1 + 1e-9, 1 - 1e-9))
            assert (low <= np.cumsum(counts[place])).all()
            assert (np.cumsum(counts[place]) <= high).all()
    assert sums[:, windows.TOKENS].sum() == trace.osl[done].sum()
    assert sums[:, windows.PREFILL].tolist() == pytest.approx(whole.prefill_seconds.tolist(), abs=1e-9)
    assert sums[:, windows.DECODE].tolist() == pytest.approx(whole.decode_seconds.tolist(), abs=1e-9)
    by = [sums[number, windows.SERVED] for number in range(replicas)]
    assert by == [((whole.replica == number) & done).sum() for number in range(replicas)]


@EXAMPLES
@given(st.data(), traces(most=30), steps(), st.integers(1, 3), st.sampled_from([2, 1000]))
def test_clocks_that_change_and_replicas_that_fall_out_are_exact_against_a_loop_over_every_token(
    data, trace, costs, replicas, queue
):
    edges = data.draw(cuts(trace))
    seed = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    slow = seed.choice([1.0, 1.25, 2.0], len(edges) - 1)
    speeds = [
        replace(costs, compute=costs.compute * by, prefill=costs.prefill * by, attention=costs.attention * by)
        for by in slow.tolist()
    ]
    up = seed.random((len(edges) - 1, replicas)) < 0.7
    up[[0, -1]] = True
    requests, ends = naive.operate(trace, edges, speeds, up.tolist(), longest_queue=queue)
    one, gone, sums = router(trace, replicas, costs.most, queue), 0, np.zeros(windows.SUMS)
    came = 0
    for number, (begin, end) in enumerate(pairwise(edges)):
        served = one.serve(begin, end, speeds[number], up[number])
        sums, came, gone = sums + served.sums.sum(axis=0), came + served.asked, gone + served.rejected
        assert sums[windows.SERVED] == len(ends[number])
        assert came == sums[windows.SERVED] + gone + served.queued
    assert gone == sum(one["rejected"] for one in requests)
    done = [one for one in requests if math.isfinite(one["last"])]
    assert sums[windows.TTFT] == pytest.approx(sum(one["first"] - one["came"] for one in done), abs=1e-7)
    assert sums[windows.E2E] == pytest.approx(sum(one["last"] - one["came"] for one in done), abs=1e-7)
    gaps = [(one["last"] - one["first"]) / (one["osl"] - 1) for one in done if one["osl"] > 1]
    assert sums[windows.ITL] == pytest.approx(sum(gaps), abs=1e-7)
    assert sums[windows.TOKENS] >= sum(one["osl"] for one in done)  # some were written in vain


@EXAMPLES
@given(st.lists(st.floats(2e-4, 5e3), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_percentiles_of_buckets_are_within_their_width(values, share):
    found = buckets.percentile(counted(values).astype(float), share)
    exact = np.quantile(values, share, method="inverted_cdf")
    assert found == pytest.approx(exact, rel=0.0101)


def test_nothing_counted_has_no_percentile():
    assert math.isnan(buckets.percentile(np.zeros(windows.BUCKETS), 0.5))
