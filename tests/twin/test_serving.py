"""Serving simulated: equal to a loop over every token, and lawful: no request is lost, more of a thing never hurts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.datasets import places
from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load import arrivals
from aifactory_lab.serve.load.summary import Slo
from aifactory_lab.twin import hardware, inference, models, serving, step_costs
from aifactory_lab.twin import traces as traces_of
from aifactory_lab.twin.traces import Trace
from tests.datasets.test_cards import stores
from tests.twin import naive

EXAMPLES = settings(max_examples=120, deadline=None)


@st.composite
def traces(draw, most=40):
    """Bursts and lulls of short requests; some prompts share their beginnings."""
    count = draw(st.integers(1, most))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gaps = seed.exponential(draw(st.sampled_from([0.001, 0.05, 2.0])), count) * (seed.random(count) < 0.7)
    isl, osl = seed.integers(1, draw(st.sampled_from([5, 300])), count), seed.integers(1, 60, count)
    heads = [seed.integers(0, 8, 3).tolist() for _ in range(3)]
    blocks = [(heads[seed.integers(3)] + [8 + n])[: 1 + int(tokens) // 16] for n, tokens in enumerate(isl)]
    return Trace.of(np.cumsum(gaps), isl, osl, blocks=blocks, block_tokens=16)


@st.composite
def steps(draw):
    """Steps that memory bounds, that arithmetic bounds, or that pass from one to the other while contexts grow."""
    most = draw(st.integers(1, 6))
    batch = np.arange(most + 1)
    growth = draw(st.sampled_from([0.0, 1e-6, 1.7e-5]))
    compute = batch * draw(st.sampled_from([0.0, 1e-4, 2.3e-3]))
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reading, lost = seed.uniform(1e-4, 8e-3) + batch * seed.uniform(0, 1e-4), seed.uniform(0, 1e-3) + batch * 3e-5
    prefill, attention = seed.uniform(1e-6, 1e-3), draw(st.sampled_from([0.0, 3e-7]))
    capacity = draw(st.sampled_from([200, 500, 10**6]))
    return serving.Steps(reading, compute, lost, growth, prefill, attention, capacity)


@EXAMPLES
@given(
    trace=traces(),
    costs=steps(),
    replicas=st.integers(1, 3),
    routing=st.sampled_from(list(serving.ROUTING)),
    cache=st.sampled_from([0, 48, 10_000]),
    queue=st.sampled_from([2, 1000]),
)
def test_it_is_exact_against_a_loop_over_every_token(trace, costs, replicas, routing, cache, queue):
    options = {"replicas": replicas, "routing": routing, "cache_tokens": cache, "longest_queue": queue}
    fast, slow = serving.simulate(trace, costs, **options), naive.simulate(trace, costs, **options)
    for name in ("first", "last"):
        np.testing.assert_allclose(getattr(fast, name), [one[name] for one in slow], rtol=0, atol=1e-9)
    assert fast.cached.tolist() == [one["cached"] for one in slow]
    assert sum(fast.counts.values()) == len(trace)


@EXAMPLES
@given(trace=traces(), costs=steps(), share=st.floats(0.01, 1.5), queue=st.sampled_from([1, 1000]))
def test_no_request_is_lost_and_none_is_served_early(trace, costs, share, queue):
    end = max(1e-6, float(trace.times[0]) + 1e-6, trace.seconds * share)
    found = serving.simulate(trace, costs, replicas=2, longest_queue=queue, until=end)
    assert sum(found.counts.values()) == len(found.trace) == int((trace.times < end).sum())
    done = np.isfinite(found.last)
    assert (found.ttft[done] > 0).all()
    assert (found.last[done] >= found.first[done]).all()
    assert (found.last[done] <= end).all()
    assert not (done & (found.replica < 0)).any()


@EXAMPLES
@given(trace=traces(), costs=steps())
def test_more_bandwidth_is_never_slower_for_a_lone_replica(trace, costs):
    slower = serving.Steps(costs.reading * 1.5, costs.compute, costs.lost, costs.growth * 1.5,
                           costs.prefill, costs.attention, costs.capacity)  # fmt: skip
    before, after = (serving.simulate(trace, one) for one in (slower, costs))
    assert np.nanmax(after.last, initial=0) <= np.nanmax(before.last, initial=0) + 1e-9


def test_waits_grow_with_the_load_and_shrink_with_replicas():
    seed = np.random.default_rng(7)
    gaps, isl, osl = seed.exponential(1.0, 3000), seed.integers(50, 800, 3000), seed.integers(5, 300, 3000)
    costs = serving.Steps.flat(step=0.01, prefill=1e-4, most=32)
    waits = [
        np.mean(serving.simulate(Trace.of(np.cumsum(gaps) / rate, isl, osl), costs).ttft) for rate in (1, 5, 10, 20, 40)
    ]
    assert waits == sorted(waits)
    busy = Trace.of(np.cumsum(gaps) / 40, isl, osl)
    ttfts = [np.mean(serving.simulate(busy, costs, replicas=n, routing="least-loaded").ttft) for n in (1, 2, 4, 8)]
    assert ttfts == sorted(ttfts, reverse=True)


def test_a_single_server_queue_waits_as_theory_says():
    """M/D/1: one prompt at a time, no answer to decode; the mean wait is ρ / (2 μ (1 - ρ)) (Pollaczek–Khinchine)."""
    load, count = 0.7, 400_000
    times = np.cumsum(np.random.default_rng(3).exponential(1 / load, count))
    found = serving.simulate(Trace.of(times, isl=1, osl=1), serving.Steps.flat(step=1.0, prefill=1.0))
    assert found.ttft.mean() - 1.0 == pytest.approx(load / (2 * (1 - load)), rel=0.03)


def test_least_loaded_beats_taking_turns_where_requests_differ():
    seed = np.random.default_rng(1)
    times, osl = np.cumsum(seed.exponential(0.06, 4000)), np.where(seed.random(4000) < 0.1, 900, 30)
    costs = serving.Steps.flat(step=0.01, prefill=1e-5, most=8)
    turns, least = (
        serving.simulate(Trace.of(times, 100, osl), costs, replicas=4, routing=routing).ttft.mean()
        for routing in ("round-robin", "least-loaded")
    )
    assert least < turns


def test_affinity_finds_what_is_cached():
    seed = np.random.default_rng(2)
    talks = [[100 * n + turn for turn in range(8)] for n in range(40)]
    blocks = [talk[: 2 + turn] for turn in range(6) for talk in seed.permutation(talks).tolist()]
    trace = Trace.of(np.arange(len(blocks)) * 0.5, [16 * len(one) for one in blocks], 4, blocks=blocks, block_tokens=16)
    costs = serving.Steps.flat(step=0.001, prefill=1e-4)
    rates = {
        routing: serving.simulate(trace, costs, replicas=4, routing=routing, cache_tokens=16 * 120).cache_hit_rate
        for routing in serving.ROUTING
    }
    assert rates["prefix-affinity"] > 2 * max(rates["round-robin"], rates["least-loaded"])


def test_figures_are_named_and_counted_as_in_a_load_test():
    trace = Trace.of([0.0, 0.0, 5.0, 6.0], isl=[100, 100, 100, 10_000], osl=[3, 3, 1, 1])
    found = serving.simulate(trace, serving.Steps.flat(step=0.010, prefill=0.001, most=4, capacity=1000))
    assert found.counts == {"served": 3, "rejected": 1, "queued": 0}
    assert found.ttft[:3].tolist() == pytest.approx([0.1, 0.2, 0.1])
    assert found.itl[:2].tolist() == pytest.approx([0.06, 0.01])  # the first waits for the second's prompt
    totals = found.totals(Slo(ttft_ms=150, itl_ms=70))
    assert totals["benchmark_duration"] == pytest.approx(5.1)
    assert totals["output_token_throughput"] == pytest.approx(7 / 5.1)
    assert totals["good_request_fraction"] == 0.25  # one is late, one has no inter-token latency, one was rejected
    assert found.distributions()["request_latency"].count == 3
    assert found.distributions()["time_to_first_token"].max == pytest.approx(200)


def h100(name="llama-3-70b", tp=8, precision="fp8"):
    parameters = inference.fitted().parameters
    own = step_costs.of(models.model(name), hardware.gpu("h100-sxm"), tp=tp, precision=precision, parameters=parameters)
    return serving.Steps.of(own, first=parameters.first_token_seconds)


@pytest.mark.parametrize(
    ("name", "tp", "precision", "isl", "osl", "rate"),
    [
        ("llama-3-70b", 8, "fp8", 1000, 300, 1.0),
        ("llama-3-70b", 8, "fp8", 1000, 300, 8.0),
        ("llama-3-70b", 4, "fp8", 4000, 100, 4.0),
        ("gpt-oss-120b", 2, "fp4", 1000, 300, 8.0),
    ],
)
def test_the_closed_form_says_the_same(name, tp, precision, isl, osl, rate):
    """A request that comes finds as many others in service as Little's law says; with them it is a closed loop."""
    times = np.cumsum(np.random.default_rng(0).exponential(1 / rate, 5000))
    found = serving.simulate(Trace.of(times, isl, osl), h100(name, tp, precision))
    others = rate * (found.e2e.mean() - inference.fitted().parameters.first_token_seconds)
    closed = inference.predict(
        name, "h100-sxm", tp=tp, isl=isl, osl=osl, concurrency=1 + others, precision=precision
    )  # fmt: skip
    assert found.itl.mean() == pytest.approx(float(closed.tpot), rel=0.03)


@pytest.mark.parametrize("store", stores(), ids=str)
def test_a_real_hour_of_a_conversation_service_is_served(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    hour = traces_of.from_arrivals(arrivals.azure("conv", seconds=4_000.0))
    found = serving.simulate(hour, h100(), replicas=2, routing="least-loaded")
    assert found.counts == {"served": 19_366, "rejected": 0, "queued": 0}
    totals = found.totals(Slo(ttft_ms=1000, itl_ms=50))
    assert totals["output_token_throughput"] * totals["benchmark_duration"] == pytest.approx(hour.osl.sum())
    assert totals["good_request_fraction"] > 0.99
    paced = [Trace.of(hour.times / pace, hour.isl, hour.osl) for pace in (1, 10, 20, 40)]
    late = [serving.simulate(one, h100(), replicas=2).distributions()["time_to_first_token"].p99 for one in paced]
    assert late == sorted(late)
    assert late[-1] > 10 * late[0]


@pytest.mark.parametrize("store", stores(), ids=str)
def test_a_cache_spares_what_a_real_trace_allows(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    trace = traces_of.mooncake()
    options = {"replicas": 8, "routing": "prefix-affinity"}
    hits = [
        serving.simulate(trace, h100(), cache_tokens=tokens, **options).cache_hit_rate
        for tokens in (0, 300_000, 3_000_000, 10**9)
    ]
    assert hits == sorted(hits)
    assert hits[0] == 0
    # One block in three came before; prompts' last blocks are not full, so a little more of their tokens did.
    whole = serving.simulate(trace, h100(), cache_tokens=10**9).cache_hit_rate
    assert trace.hit_rate() < whole < trace.hit_rate() + 0.02
    assert hits[-1] <= whole + 1e-9


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"replicas": 0}, "replicas=0"),
        ({"routing": "random"}, "'random'"),
        ({"routing": "prefix-affinity"}, "blocks"),
        ({"longest_queue": 0}, "longest_queue=0"),
        ({"until": 0.0}, "0.0"),
    ],
)
def test_what_cannot_be_is_refused_by_its_value(options, word):
    with pytest.raises(TwinError, match=word) as refused:
        serving.simulate(Trace.of([0.0, 1.0], 10, 10), serving.Steps.flat(step=0.01, prefill=0.001), **options)
    assert refused.value.mend
