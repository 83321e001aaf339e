"""Alerts ring once, stay while it is bad, and end when it is well again; the unknown changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.telemetry.alerts import Alerts
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.rules import RULES, THROTTLED

GPUS = Layout(tuple(Entity(("site", "rack", "node", f"gpu {i}")) for i in range(4)), GPU, "simulated")
SERVICE = Layout((Entity(("endpoint",), "service"),), ("good_share",), "simulated")


def gpus(second: float, **of_gpu_2: float) -> Snapshot:
    snapshot = Snapshot.blank(GPUS, time=second)
    for entity in GPUS.entities:
        snapshot.put(entity.id, temperature=60.0, memory_used=10e9, memory_total=80e9, throttle=0, ecc_uncorrected=0)
    return snapshot.put("site/rack/node/gpu 2", **of_gpu_2)


def run(alerts: Alerts, **series: list[float]) -> list[str]:
    """Return the texts that are active after every sample."""
    active = []
    for second, values in enumerate(zip(*series.values(), strict=True)):
        alerts.observe("nvml", gpus(float(second), **dict(zip(series, values, strict=True))))
        active.append(", ".join(alert.text for alert in alerts.active))
    return active


def test_hot_is_raised_after_three_samples_and_cleared_below_the_lower_threshold():
    active = run(Alerts(), temperature=[90, 90, 90, 84, 84, 81])
    assert active[:2] == ["", ""]
    assert active[2] == active[3] == active[4] == "site/rack/node/gpu 2 is hot: 90 °C"
    assert active[5] == ""


@given(st.lists(st.floats(82.5, 86.5), min_size=5, max_size=40))
def test_a_reading_between_the_thresholds_never_rings(values):
    alerts = Alerts()
    assert set(run(alerts, temperature=values)) == {""}
    assert alerts.feed() == []


@given(st.lists(st.sampled_from([60.0, 84.0, 95.0]), min_size=1, max_size=60))
def test_raised_and_cleared_take_turns(values):
    told = []
    alerts = Alerts(listeners=[told.append])
    run(alerts, temperature=values)
    assert [alert.cleared is None for alert in told] == [place % 2 == 0 for place in range(len(told))]
    assert len(alerts.active) == len(told) % 2


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ({"memory_used": [79e9] * 3}, "has hardly any memory left: 98.8 %"),
        ({"throttle": [0x20] * 3}, "slows down to protect itself"),
        ({"ecc_uncorrected": [2.0]}, "has uncorrected memory errors: 2"),
        ({"xid": [79.0]}, "reported an Xid error: 79"),
    ],
)
def test_each_rule_says_what_is_wrong(series, words):
    assert run(Alerts(), **series)[-1] == f"site/rack/node/gpu 2 {words}"


def test_who_slows_down_again_and_again_rings_once():
    told = []
    alerts = Alerts(listeners=[told.append])
    run(alerts, throttle=([0x20] * 3 + [0] * 5) * 6)
    assert len(told) == 1
    run(alerts, throttle=[0] * 15)
    assert [alert.cleared is None for alert in told] == [True, False]


def test_the_software_power_cap_is_how_a_busy_gpu_lives():
    assert not THROTTLED & 0x4
    assert run(Alerts(), throttle=[0x4] * 5)[-1] == ""


def test_a_lost_gpu_is_critical_at_once_and_its_return_clears_it():
    alerts = Alerts()
    alerts.observe("nvml", gpus(0.0))
    lost = gpus(1.0).put("site/rack/node/gpu 2", **dict.fromkeys(GPU, State.LOST))
    (raised,) = alerts.observe("nvml", lost)
    assert (raised.severity, raised.text) == ("critical", "site/rack/node/gpu 2 is lost")
    (cleared,) = alerts.observe("nvml", gpus(2.0))
    assert cleared.cleared == 2.0
    assert alerts.active == []
    assert alerts.feed()[0]["id"] == raised.id


def test_what_is_unknown_neither_raises_nor_clears():
    alerts = Alerts()
    active = run(alerts, temperature=[90, 90, np.nan, 90, np.nan, np.nan, 81])
    assert [bool(text) for text in active] == [False, False, False, True, True, True, False]


def test_an_objective_that_burns():
    alerts = Alerts()
    for second in range(5):
        alerts.observe("prometheus", Snapshot.blank(SERVICE, time=float(second)).put("endpoint", good_share=95.0))
    assert [alert.text for alert in alerts.active] == ["endpoint burns its 99% objective: 5 × the rate that it allows"]


def test_a_silent_source_is_told_once_and_cleared_by_its_next_snapshot():
    alerts = Alerts()
    assert len(alerts.silent("nvml", 5.0, now=100.0)) == 1
    assert alerts.silent("nvml", 6.0, now=101.0) == []
    (cleared,) = alerts.observe("nvml", gpus(102.0))
    assert cleared.cleared == 102.0


def test_alerts_of_what_is_no_longer_watched_end():
    alerts = Alerts()
    run(alerts, temperature=[95] * 3)
    smaller = Layout(GPUS.entities[:1], GPU, "simulated")
    alerts.observe("nvml", Snapshot.blank(smaller, time=9.0))
    assert alerts.active == []


def test_two_sources_do_not_disturb_each_other():
    alerts = Alerts()
    for second in range(3):
        alerts.observe("nvml", gpus(float(second), temperature=95.0))
        alerts.observe("prometheus", Snapshot.blank(SERVICE, time=float(second)).put("endpoint", good_share=100.0))
    assert [alert.text for alert in alerts.active] == ["site/rack/node/gpu 2 is hot: 95 °C"]


def test_every_rule_clears_below_where_it_raises():
    assert all(rule.low <= rule.high for rule in RULES)
    assert len({rule.code for rule in RULES}) == len(RULES)
