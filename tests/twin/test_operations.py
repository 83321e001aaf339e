"""A day of a plant: nothing is lost, watts in are heat out, and every incident does what it says, or says that it does
nothing.
"""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.datasets import places as stored
from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load import arrivals
from aifactory_lab.twin import climate, design, operations, power
from aifactory_lab.twin import traces as traces_of
from aifactory_lab.twin.activity import Activity
from aifactory_lab.twin.operations import incidents as kinds
from aifactory_lab.twin.operations import traffic
from aifactory_lab.twin.operations.balance import Balance, Demand
from aifactory_lab.twin.operations.tenant import Tenant
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.service import Service
from aifactory_lab.twin.traces import Trace
from tests.datasets.test_cards import stores

Incident, operate = operations.Incident, operations.operate
PLANT = Plant(gpus=64, chassis="dgx-h100", nodes_per_rack=2)
SERVICE = Service(tp=8, ttft_ms=2000, tpot_ms=50)
CALM = traffic.steady(8.0)
HOUR = {"hours": 1.0, "threads": 1}
# A small model on each GPU of two nodes, and more prompts than they can read: arithmetic nearly all the time.
HOT, SMALL = Plant(gpus=16, chassis="dgx-h100"), Service(model="llama-3-8b", tp=1)
FLOOD = traffic.steady(600.0, isl=2000, osl=20)


@st.composite
def troubles(draw):
    """Up to four incidents of a half hour, also at the same time."""
    found = []
    for kind in draw(st.lists(st.sampled_from([*kinds.KINDS]), max_size=4)):
        if kind == "cdu" or (kind in {"leaf", "spine", "fan"} and kind in [one.kind for one in found]):
            continue  # this plant is cooled by air, and has few of the others
        at, lasts = draw(st.floats(0, 0.45)), draw(st.floats(0.01, 0.3))
        which = draw(st.integers(0, 3))
        found.append(Incident(kind, at_hours=at, for_hours=lasts, which=which, watts=draw(st.sampled_from([5e4, 7e4]))))
    return found


@settings(max_examples=10, deadline=None)
@given(
    troubles(), st.sampled_from([0.5, 20.0, 90.0]), st.sampled_from([30.0, 77.0]), st.sampled_from([0, 16]),
    st.sampled_from([4, 256]),
)  # fmt: skip
def test_no_request_is_lost_and_watts_in_are_heat_out(hit, rate, window, training, queue):
    service = Service(tp=8, ttft_ms=2000, tpot_ms=50, training_gpus=training)
    told = operate(
        PLANT, service, traffic.steady(rate), incidents=hit, hours=0.5, window_seconds=window, seed=1, threads=1,
        climate=climate.new_york(), longest_queue=queue,
    ).timeline  # fmt: skip
    came, served, rejected = (told[name].cum_sum() for name in ("asked", "served", "rejected"))
    assert (came == served + rejected + told["queued"]).all()
    assert told["heat_watts"].to_numpy() == pytest.approx(told["site_watts"].to_numpy(), rel=1e-9)
    assert (told["gpu_watts"] < told["it_watts"]).all()
    assert (told["it_watts"] < told["site_watts"]).all()
    assert told["clock"].is_between(power.LEAST_CLOCK - 0.001, 1).all()
    assert told["gpu_activity"].is_between(0, 1).all()
    assert (told["gpu_watts"] <= told["gpus_up"] * PLANT.gpu.tdp_watts * (1 + 1e-9)).all()
    absent = {"note", "good", "ttft_p50", "ttft_p99", "itl_p50", "itl_p99"} | (
        set() if training else {"training_share"}
    )
    checked = [name for name in told.columns if name not in absent]
    assert np.isfinite(told.select(checked).to_numpy()).all()


def test_the_same_seed_gives_the_same_day_on_any_number_of_threads():
    one, two, other = (
        operate(PLANT, SERVICE, CALM, hours=0.2, seed=seed, threads=threads).timeline
        for seed, threads in ((3, 1), (3, 5), (4, 1))
    )
    assert one.equals(two, null_equal=True) or one.fill_nan(0).equals(two.fill_nan(0))
    assert not one.fill_nan(0).equals(other.fill_nan(0))


def test_gpus_draw_what_idle_ones_do_without_work_and_more_with_more():
    rest = power.idle_watts(HOT.gpu)
    rates = [1e-4, 10.0, 40.0, 100.0, 200.0]
    drawn = [operate(HOT, SMALL, traffic.steady(rate), hours=0.2, threads=1).totals() for rate in rates]
    means = [one["gpu_kwh"] / 0.2 * 1e3 / 16 for one in drawn]
    assert means[0] == pytest.approx(rest, rel=0.01)
    assert means == sorted(means)
    for figure in ("ttft_p99", "itl_p99"):
        assert [one[figure] for one in drawn[1:]] == sorted(one[figure] for one in drawn[1:])
    full = operate(HOT, SMALL, FLOOD, hours=0.1, threads=1).timeline[-1]
    assert full["gpu_activity"][0] > 0.9  # reading prompts is arithmetic all the time
    assert 0.9 * HOT.gpu.tdp_watts < full["gpu_watts"][0] / 16 <= HOT.gpu.tdp_watts


@pytest.mark.parametrize("rate", [10.0, 100.0])
@pytest.mark.parametrize(
    ("plant", "tp"),
    [(PLANT, 8), (replace(PLANT, gpu_cap_watts=250.0), 2), (Plant(gpus=72, chassis="gb200-nvl72"), 2)],
    ids=["air", "capped", "liquid"],
)  # fmt: skip
def test_a_steady_hour_says_what_the_design_says(plant, tp, rate):
    """Two ways to the same figures: requests one by one, and Little's law with a fixed point for the clock."""
    service, air = Service(tp=tp, requests_per_second=rate), climate.steady(25)
    found = design.evaluate(plant, service, climate=air)
    same = traffic.steady(rate, lengths=Trace.of([0.0], int(service.isl), int(service.osl)))
    told = operate(plant, service, same, climate=air, hours=0.25, threads=1).timeline[5:]
    assert told["tokens_per_second"].mean() == pytest.approx(found.tokens_per_second, rel=0.02)
    assert told["itl_p50"].mean() == pytest.approx(found.tpot, rel=0.04)
    assert told["clock"].mean() == pytest.approx(found.clock, rel=0.02)
    assert told["gpu_activity"].mean() == pytest.approx(float(found.activity.total), rel=0.05)
    assert told["site_watts"].mean() == pytest.approx(found.watts, rel=0.01)


def test_more_power_never_gives_fewer_tokens():
    caps = [150.0, 200.0, 300.0, 400.0, 500.0, None]
    written = [
        operate(Plant(gpus=16, chassis="dgx-h100", gpu_cap_watts=cap), SMALL, FLOOD, hours=0.15, threads=1).totals()
        for cap in caps
    ]
    tokens = [one["tokens"] for one in written]
    assert all(more >= 0.999 * less for less, more in pairwise(tokens))
    assert tokens[-1] > 1.5 * tokens[0]
    watts = [one["gpu_kwh"] for one in written]
    assert watts == sorted(watts)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.floats(120, 700), st.floats(120, 700), st.sampled_from([20.0, 200.0, 500.0]), st.sampled_from([100, 1000, 3000]),
    st.sampled_from([10, 400]),
)  # fmt: skip
def test_more_power_never_gives_fewer_tokens_whatever_is_asked(one, other, rate, isl, osl):
    """But for what is under way at the end, in another order: two requests in a thousand."""
    came = traffic.steady(rate, isl=isl, osl=osl)
    less, more = (
        operate(replace(HOT, gpu_cap_watts=cap), SMALL, came, hours=0.1, threads=1).totals()
        for cap in sorted([one, other])
    )
    for figure in ("tokens", "served", "gpu_kwh"):
        assert more[figure] >= less[figure] * (1 - 2e-3)


def test_decoding_hardly_slows_with_the_clock_and_prefill_much_more():
    capped = Plant(gpus=16, chassis="dgx-h100", gpu_cap_watts=230.0)
    writes = traffic.steady(20.0, isl=64, osl=400)
    slow, fast = (operate(plant, SMALL, writes, hours=0.2, threads=1).timeline[-1] for plant in (capped, HOT))
    assert slow["clock"][0] < 0.9
    assert slow["itl_p50"][0] < 1.05 * fast["itl_p50"][0]
    reads = traffic.steady(600.0, isl=3000, osl=2)
    slow, fast = (operate(plant, SMALL, reads, hours=0.2, threads=1).timeline[-1] for plant in (capped, HOT))
    assert 0.98 * slow["clock"][0] < slow["tokens_per_second"][0] / fast["tokens_per_second"][0] < 0.8


@pytest.mark.parametrize(
    ("incident", "replicas", "gpus"),
    [
        (Incident("gpu", at_hours=0.25, for_hours=0.5, which=13), 7, 63),
        (
            Incident("gpu", at_hours=0.25, for_hours=0.5, which=7, count=2),
            6,
            62,
        ),  # the last of one, the first of another
        (Incident("node", at_hours=0.25, for_hours=0.5, which=7), 7, 56),
        (Incident("rack", at_hours=0.25, for_hours=0.5, which=1), 6, 48),
    ],
)
def test_machines_fall_out_and_come_back_and_their_requests_wait_the_longer(incident, replicas, gpus):
    came = traffic.steady(60.0)
    calm, day = (operate(PLANT, SERVICE, came, incidents=hit, **HOUR) for hit in ((), (incident,)))
    told = day.timeline
    out = (told["seconds"] > 900) & (told["seconds"] <= 2700)
    assert told.filter(out)["replicas_up"].unique().to_list() == [replicas]
    assert told.filter(out)["gpus_up"].unique().to_list() == [gpus]
    assert told.filter(~out)["replicas_up"].unique().to_list() == [8]
    assert told["resent"].sum() == told["resent"][15] > 0
    assert told.filter(out)["ttft_p99"].mean() > calm.timeline.filter(out)["ttft_p99"].mean()
    assert told.filter(out)["it_watts"].mean() < calm.timeline.filter(out)["it_watts"].mean()
    assert told["asked"].sum() == calm.timeline["asked"].sum()
    row = day.incidents.row(0, named=True)
    assert row["resent"] == told["resent"].sum()
    assert "out; requests in flight are sent again" in row["effect"]
    assert [str(incident) in told["note"][15], told["note"][45].startswith("mended")] == [True, True]


def test_racks_say_who_is_up_and_add_up_to_the_plant():
    hit = [
        Incident("rack", at_hours=0.2, for_hours=0.2, which=2),
        Incident("gpu", at_hours=0.2, for_hours=0.2, which=1),
    ]
    day = operate(PLANT, SERVICE, CALM, hours=0.5, incidents=hit, threads=1)
    before, during, after = (day.racks(hours) for hours in (0.1, 0.3, 0.5))
    assert during["state"].to_list() == ["degraded", "up", "down", "up"]
    assert before["state"].to_list() == after["state"].to_list() == ["up"] * 4
    assert during["watts"][2] == during["tokens_per_second"][2] == 0
    for racks, hours in ((before, 0.1), (during, 0.3)):
        row = day.timeline.filter(pl.col("seconds") > hours * 3600)[0]
        assert racks["gpus_up"].sum() == row["gpus_up"][0]
        assert racks["tokens_per_second"].sum() == pytest.approx(row["tokens_per_second"][0], rel=1e-5)
        assert racks["watts"].sum() < row["it_watts"][0] < 1.3 * racks["watts"].sum()
    with pytest.raises(TwinError, match=r"at_hours=0\.6"):
        day.racks(0.6)


@pytest.mark.parametrize("kind", ["leaf", "spine"])
def test_a_switch_does_nothing_to_serving_and_says_so(kind):
    hit = [Incident(kind, at_hours=0.25, for_hours=0.5)]
    calm, day = (operate(PLANT, SERVICE, CALM, incidents=one, **HOUR) for one in ((), hit))
    assert day.timeline.drop("note").fill_nan(0).equals(calm.timeline.drop("note").fill_nan(0))
    assert "no replica leaves its NVLink domain" in day.incidents["effect"][0]


def test_a_switch_stops_training_and_slows_it_until_it_is_mended():
    plant, service = Plant(gpus=512, chassis="dgx-h100"), Service(tp=8, training_gpus=256)
    hit = [Incident("leaf", at_hours=0.5, for_hours=1.0)]
    told = operate(plant, service, CALM, hours=3, incidents=hit, threads=1).timeline
    stop = Tenant(plant, 32).stop_seconds
    share, seconds = told["training_share"].to_numpy(), told["seconds"].to_numpy()
    assert (share[seconds <= 1800] == 1).all()
    assert (share[(seconds > 1800) & (seconds <= 1800 + stop)] == 0).all()
    left = 1 / (0.8 + 0.2 / plant.fabric.after(leaves=1).slowest)
    assert share[(seconds > 1860 + stop) & (seconds <= 5400)] == pytest.approx(left)
    assert share[-1] == 1
    assert (told["gpu_watts"].to_numpy()[share == 0]).max() < told["gpu_watts"].to_numpy()[share == 1].min()


def test_training_goes_on_without_a_chassis_that_lost_a_gpu():
    plant, service = Plant(gpus=64, chassis="dgx-h100"), Service(tp=8, training_gpus=32)
    hit = [Incident("gpu", at_hours=0.2, for_hours=9, which=63)]
    day = operate(plant, service, CALM, hours=2, incidents=hit, threads=1)
    assert day.timeline["training_share"][-1] == pytest.approx(3 / 4)
    assert day.timeline["replicas_up"].unique().to_list() == [4]
    assert "the training job stops" in day.incidents["effect"][0]


@pytest.mark.parametrize("spare", [0, 1])
def test_a_lost_cooler_does_nothing_where_there_is_a_spare_and_lowers_clocks_where_there_is_none(spare):
    plant = Plant(gpus=16, chassis="dgx-h100", spare=spare, air_unit_watts=7e3)
    hit = [Incident("fan", at_hours=0.1, for_hours=0.1)]
    calm, day = (operate(plant, SMALL, FLOOD, hours=0.3, incidents=one, threads=1) for one in ((), hit))
    if spare:
        assert day.timeline.drop("note").fill_nan(0).equals(calm.timeline.drop("note").fill_nan(0))
        assert day.incidents["effect"][0].startswith("nothing happens")
        return
    out = (day.timeline["seconds"] > 420) & (day.timeline["seconds"] <= 720)
    before, during = calm.timeline.filter(out), day.timeline.filter(out)
    assert plant.air_units == 3
    assert during["clock"].max() < 1
    assert during["it_watts"].max() < 14e3 + plant.fabric.switches * 1500 + 300
    assert during["it_watts"].max() < before["it_watts"].min()
    assert during["tokens_per_second"].mean() < before["tokens_per_second"].mean()
    assert day.timeline["clock"][-1] == calm.timeline["clock"][-1]


@pytest.mark.parametrize(("spare", "slows"), [(0, True), (1, False)])
def test_a_lost_distribution_unit_caps_the_racks_that_it_cooled(spare, slows):
    plant = Plant(gpus=72 * 16, chassis="gb200-nvl72", spare=spare)
    balance = Balance(plant, climate.steady(20))
    hot = Activity(np.asarray(0.9), np.asarray(0.1))
    demand = Demand(serving=plant.gpus, training=0, alive=plant.gpus, chassis=16, activity=hot)
    clock, _, kept = balance.clock(demand, 0.0, [Incident("cdu", at_hours=0)])
    assert (clock < 1) == slows
    assert kept
    watts = plant.node_power.watts(72 * float(hot.watts(plant.gpu, clock=clock))) * 16
    assert float(watts) <= (plant.cdus - 1) * plant.cdu_part.capacity_watts / plant.part.liquid_share
    assert float(watts) * plant.part.liquid_share > (1 + spare) * 0.99 * plant.cdu_part.capacity_watts or spare


def test_a_cap_of_the_grid_is_kept_by_clocks_and_costs_fewer_tokens_than_watts():
    cap = 18e3
    hit = [Incident("grid", at_hours=0.1, for_hours=0.2, watts=cap)]
    calm, day = (operate(HOT, SMALL, FLOOD, incidents=one, hours=0.4, threads=1) for one in ((), hit))
    out = (day.timeline["seconds"] > 420) & (day.timeline["seconds"] <= 1080)
    before, during = calm.timeline.filter(out), day.timeline.filter(out)
    assert before["site_watts"].min() > cap
    assert during["site_watts"].max() < 1.01 * cap
    assert during["site_watts"].mean() > 0.97 * cap  # it is used
    assert during["clock"].max() < 0.95
    tokens, watts = (during[name].mean() / before[name].mean() for name in ("tokens_per_second", "gpu_watts"))
    assert watts < tokens < 1


def test_a_cap_that_cannot_be_kept_is_said():
    day = operate(HOT, SMALL, FLOOD, incidents=[Incident("grid", at_hours=0, for_hours=0.1, watts=1e4)], hours=0.2)
    assert "at their least clock" in day.timeline["note"][0]
    assert day.timeline["clock"][1] == power.LEAST_CLOCK
    assert day.timeline["note"][-1] == ""


def test_a_heat_wave_costs_power_and_where_there_are_no_chillers_warms_gpus_with_a_lag():
    plain, hot = Plant(gpus=16, chassis="dgx-h100", rejection="dry", chillers=False), climate.steady(34, humidity=0.3)
    hit = [Incident("heat", at_hours=0.25, for_hours=0.5, kelvin=12)]
    day = operate(plain, SMALL, FLOOD, climate=hot, incidents=hit, **HOUR)
    coolant = day.timeline["coolant_celsius"].to_numpy()
    assert coolant[14] == pytest.approx(coolant[0])
    assert coolant[15] - coolant[14] == pytest.approx(12 * (1 - np.exp(-60 / 300)), rel=1e-6)
    assert coolant[44] == pytest.approx(coolant[0] + 12, abs=0.05)
    assert coolant[-1] < coolant[44] - 10
    assert day.timeline["gpu_celsius"].max() < 85 + coolant[15] - coolant[14]  # over the limit for one window
    assert day.timeline["gpu_celsius"][44] < 85.5
    assert day.timeline["clock"][44] < day.timeline["clock"][14]
    chilled = operate(PLANT, SERVICE, CALM, climate=climate.steady(22), incidents=hit, **HOUR).timeline
    assert chilled["pue"][30] > chilled["pue"][10]
    assert chilled["coolant_celsius"].n_unique() == 1


def test_the_least_loaded_replica_answers_sooner_where_requests_differ():
    came, hit = traffic.steady(60.0), [Incident("node", at_hours=0.1, for_hours=0.1)]
    how = {"hours": 0.3, "threads": 1, "incidents": hit}
    turns, least = (operate(PLANT, SERVICE, came, routing=name, **how) for name in ("round-robin", "least-loaded"))
    assert least.totals()["asked"] == turns.totals()["asked"]
    assert least.totals()["ttft_p99"] < turns.totals()["ttft_p99"]
    assert least.timeline["replicas_up"].to_list() == turns.timeline["replicas_up"].to_list()


def test_memory_does_not_grow_with_the_time_that_is_simulated():
    came, peaks = traffic.steady(60.0), []
    operate(PLANT, SERVICE, came, hours=0.1, threads=1)  # what is compiled and read once
    for hours in (0.5, 2.0):
        tracemalloc.start()
        operate(PLANT, SERVICE, came, hours=hours, threads=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    requests = 1.5 * 3600 * 60
    assert peaks[1] - peaks[0] < requests  # not a byte a request: a row a window


def test_totals_are_the_sum_of_the_windows():
    day = operate(PLANT, SERVICE, traffic.day(30.0), hours=1.03, climate=climate.new_york(), threads=1)
    told, totals = day.timeline, day.totals()
    length = np.diff(told["seconds"].to_numpy(), prepend=0)
    assert length[-1] == pytest.approx(48)  # the last window is shorter
    for name, column, scale in (("site_kwh", "site_watts", 3.6e6), ("dollars", "dollars_per_hour", 3600),
                                ("kg_co2e", "kg_co2e_per_hour", 3600), ("tokens", "tokens_per_second", 1)):  # fmt: skip
        assert totals[name] == pytest.approx(told[column].to_numpy() @ length / scale)
    assert totals["asked"] == totals["served"] + totals["rejected"] + totals["queued"]
    assert totals["joules_per_token"] == pytest.approx(totals["site_kwh"] * 3.6e6 / totals["tokens"])
    low, usual, high = (totals[f"dollars_per_mtoken{kind}"] for kind in ("_low", "", "_high"))
    assert low < usual < high
    assert usual == pytest.approx(totals["dollars"] / totals["tokens"] * 1e6)


@pytest.mark.parametrize("store", stores(), ids=str)
def test_a_real_hour_is_replayed_and_lends_its_lengths(monkeypatch, store):
    monkeypatch.setenv(stored.VARIABLE, str(store))
    real = traces_of.from_arrivals(arrivals.azure("conv", seconds=4_000.0))
    again = traffic.replay(real, requests_per_second=20.0)
    told = operate(PLANT, SERVICE, again, hours=0.5, threads=1).totals()
    assert told["asked"] == pytest.approx(20 * 1800, rel=0.1)
    drawn = operate(PLANT, SERVICE, traffic.day(20.0, shape="flat", lengths=real), hours=0.5, threads=1).totals()
    assert drawn["tokens"] / drawn["served"] == pytest.approx(real.osl.mean(), rel=0.03)
    assert told["tokens"] / told["served"] == pytest.approx(real.osl.mean(), rel=0.1)


def test_a_curve_asks_as_often_as_it_says_and_a_replay_is_its_trace():
    curve, generator = traffic.day(50.0, shape=[1, 3, 2]), np.random.default_rng(0)
    hours = [len(curve.between(hour * 3600.0, (hour + 1) * 3600.0, generator).times) for hour in range(24)]
    expected = [curve.expected(hour * 3600.0, (hour + 1) * 3600.0)[1][-1] for hour in range(24)]
    assert sum(hours) == pytest.approx(50 * 86_400, rel=0.005)
    assert hours == pytest.approx(expected, rel=0.02)
    assert float(curve.rate(30 * 3600)) == float(curve.rate(6 * 3600))
    trace = Trace.of([0.0, 1.0, 5.0], isl=[1, 2, 3], osl=4)
    parts = [
        traffic.replay(trace, requests_per_second=3 / 7.5).between(a, a + 2.5, generator) for a in (0.0, 2.5, 5.0, 7.5)
    ]
    assert np.concatenate([one.times for one in parts]).tolist() == [0, 1, 5, 7.5, 8.5]
    assert np.concatenate([one.isl for one in parts]).tolist() == [1, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Incident("flood", at_hours=1), "no incident 'flood'"),
        (lambda: Incident("gpu", at_hours=-1), "at_hours=-1"),
        (lambda: Incident("gpu", at_hours=1, for_hours=0), "for_hours=0"),
        (lambda: Incident("gpu", at_hours=1, count=0), "count=0"),
        (lambda: Incident("grid", at_hours=1), "watts=None"),
        (lambda: Incident("grid", at_hours=1, watts=-5.0), "watts=-5.0"),
        (lambda: Incident("heat", at_hours=1, kelvin=0), "kelvin=0"),
        (lambda: operate(PLANT, SERVICE, CALM, hours=0), "hours=0"),
        (lambda: operate(PLANT, SERVICE, CALM, window_seconds=-1), "window_seconds=-1"),
        (lambda: operate(PLANT, SERVICE, CALM, hours=1, window_seconds=7200), "window_seconds=7200"),
        (lambda: operate(PLANT, SERVICE, CALM, longest_queue=0), "longest_queue=0"),
        (lambda: operate(PLANT, SERVICE, CALM, routing="random"), "no routing 'random'"),
        (
            lambda: operate(PLANT, SERVICE, CALM, hours=1, incidents=[Incident("gpu", at_hours=2)]),
            "begins after the end",
        ),
        (lambda: operate(PLANT, SERVICE, CALM, incidents=[Incident("gpu", at_hours=2, which=64)]), "64 of these"),
        (lambda: operate(PLANT, SERVICE, CALM, incidents=[Incident("cdu", at_hours=2)]), "0 of these can fail"),
        (lambda: operate(PLANT, SERVICE, CALM, incidents=[Incident("spine", at_hours=n) for n in (1, 1.5)]), "makes 2"),
        (lambda: operate(PLANT, SERVICE, CALM, incidents=[Incident("fan", at_hours=2, count=99)]), "makes 99"),
        (lambda: operate(PLANT, Service(tp=16), CALM), "tp=16"),
        (lambda: operate(PLANT, Service(tp=8, training_gpus=64), CALM), "training_gpus=64"),
        (lambda: traffic.day(0.0), "requests_per_second=0"),
        (lambda: traffic.day(1.0, shape="weekend"), "'weekend'"),
        (lambda: traffic.day(1.0, shape=[0.0, 0.0]), "not all 0"),
        (lambda: traffic.day(1.0, isl=-3), "isl=-3"),
        (lambda: traffic.replay(Trace.of([0.0], 1, 1), requests_per_second=float("nan")), "nan"),
    ],
)
def test_what_cannot_be_is_refused_by_its_value(make, said):
    with pytest.raises(TwinError, match=said) as refused:
        make()
    assert refused.value.mend
