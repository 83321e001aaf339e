"""Watts, joules and what 1,000 outputs cost: by counters, by power, or not at all."""

import pytest

from aifactory_lab.telemetry.output import UNKNOWN, Output
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.sources import here

GPUS = Layout(tuple(Entity(("node", f"gpu {i}"), "gpu") for i in range(2)), ("power", "energy"))
MINE = Entity((*here(), "predictions"), "service")
SERVED = Layout((MINE, Entity(("far", "away", "elsewhere", "tokens"), "service")), ("predictions_rate", "tokens_rate"))


def gpus(second: float, **one: float | State) -> Snapshot:
    return Snapshot.blank(GPUS, time=second).put("node/gpu 0", **one)


def test_counters_count_and_power_is_integrated_where_there_is_none():
    output = Output()
    for second in range(4):
        output.look("nvml", gpus(second, power=300.0, energy=5000.0 + 310.0 * second).put("node/gpu 1", power=100.0))
    words = output.words()
    assert words["watts"] == 400.0
    assert words["joules"] == pytest.approx(3 * 310 + 3 * 100)
    assert (words["of"], words["seconds"], words["why"]) == ("2 GPUs", 3.0, "")


def test_a_counter_that_begins_anew_takes_nothing_away():
    output = Output()
    for second, joules in enumerate((9000.0, 9300.0, 12.0, 312.0)):
        output.look("nvml", gpus(second, power=300.0, energy=joules))
    assert output.words()["joules"] == pytest.approx(900.0)


def test_a_silence_is_not_filled_with_steady_power():
    output = Output()
    for second in (0.0, 1.0, 3600.0):
        output.look("nvml", gpus(second, power=300.0))
    assert output.words()["joules"] == pytest.approx(300.0 + 300.0 * 10)


def test_lost_gpus_keep_what_they_used():
    output = Output()
    for second in (0.0, 1.0):
        output.look("nvml", gpus(second, power=300.0))
    output.look("nvml", gpus(2.0, power=State.LOST))
    words = output.words()
    assert (words["watts"], words["joules"], words["why"]) == (None, 300.0, UNKNOWN)


def test_without_a_meter_nothing_is_guessed():
    output = Output()
    host = Layout((Entity(("here",), "host"),), ("busy",))
    output.look("host", Snapshot.blank(host, time=0.0).put("here", busy=90.0))
    output.look("served", Snapshot.blank(SERVED, time=0.0).put(MINE.id, predictions_rate=1000.0))
    words = output.words()
    assert (words["watts"], words["joules"], words["of"]) == (None, None, "")
    assert words["services"][MINE.id] == {"unit": "predictions", "joules_per_1000": None, "why": UNKNOWN}


def test_a_thousand_outputs_cost_all_watts_over_their_rate():
    output = Output()
    output.look("nvml", gpus(0.0, power=500.0))
    output.look("served", Snapshot.blank(SERVED, time=0.0).put(MINE.id, predictions_rate=20_000.0))
    services = output.words()["services"]
    assert services[MINE.id]["joules_per_1000"] == pytest.approx(25.0)
    assert services["far/away/elsewhere/tokens"]["joules_per_1000"] is None
    output.look("served", Snapshot.blank(SERVED, time=1.0).put(MINE.id, predictions_rate=0.0))
    assert output.words()["services"][MINE.id]["why"] == "no predictions now"


def test_an_endpoint_elsewhere_is_not_charged_with_the_watts_of_here():
    output = Output()
    output.look("nvml", gpus(0.0, power=500.0))
    output.look("served", Snapshot.blank(SERVED, time=0.0).put("far/away/elsewhere/tokens", tokens_rate=900.0))
    found = output.words()["services"]["far/away/elsewhere/tokens"]
    assert found == {"unit": "tokens", "joules_per_1000": None, "why": "runs elsewhere: its watts are not read here"}
