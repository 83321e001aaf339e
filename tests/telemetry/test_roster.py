"""Members come, are missed, come back and leave; a row stays where it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.telemetry.dask.roster import FORGET_SECONDS, HOLD_OTHERS, Roster, Row
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Entity, State


def worker(number, value=1.0, metrics=("busy", "running"), kind="worker"):
    entity = Entity(("site", "rack", f"node {number // 2}", f"{kind} {number}"), kind)
    return Row.of(entity, metrics, [value] * len(metrics))


def names(roster):
    return [entity.path[-1] for entity in roster.layout.entities]


def test_a_member_that_is_missed_is_lost_then_forgotten():
    roster = Roster("words")
    roster.look([worker(0), worker(1, value=7.0)], now=0.0)
    layout = roster.layout
    roster.look([worker(1, value=8.0)], now=1.0)
    snapshot = roster.snapshot(time=5.0)
    assert roster.layout is layout
    assert snapshot.column("busy").tolist()[1] == 8.0
    assert snapshot.states.tolist() == [[State.LOST] * 2, [State.VALUE] * 2]
    assert snapshot.notes == ("site/rack/node 0/worker 0 is gone",)
    assert (snapshot.time, snapshot.layout.label) == (5.0, "words")
    roster.look([worker(1)], now=FORGET_SECONDS + 0.5)
    assert names(roster) == ["worker 1"]
    assert roster.layout is not layout


def test_who_comes_back_finds_the_same_row():
    roster = Roster()
    roster.look([worker(0), worker(1)], now=0.0)
    layout = roster.layout
    roster.look([worker(1)], now=1.0)
    roster.look([worker(0, value=3.0), worker(1)], now=2.0)
    assert roster.layout is layout
    assert roster.snapshot(time=0.0).column("busy").tolist() == [3.0, 1.0]


def test_who_leaves_as_announced_is_gone_at_once_and_asked_once():
    asked = []

    def left(entity):
        asked.append(entity.path[-1])
        return entity.path[-1] == "worker 0"

    roster = Roster()
    roster.look([worker(0), worker(1), worker(2)], now=0.0)
    for now in (1.0, 2.0, 3.0):
        roster.look([worker(2)], now=now, left=left)
    assert names(roster) == ["worker 1", "worker 2"]
    assert sorted(asked) == ["worker 0", "worker 1"]


def test_a_gpu_keeps_its_values_while_another_worker_takes_over():
    roster = Roster()
    roster.look([worker(0, value=5.0, kind="gpu")], now=0.0)
    roster.look([], now=HOLD_OTHERS)
    assert roster.snapshot(time=0.0).column("busy").tolist() == [5.0]
    roster.look([], now=HOLD_OTHERS + 0.1)
    assert roster.snapshot(time=0.0).states.tolist() == [[State.LOST, State.LOST]]


def test_kinds_with_different_metrics_share_a_layout():
    roster = Roster()
    roster.look([worker(0), worker(1, value=2.0, metrics=("power", "busy"), kind="gpu")], now=0.0)
    snapshot = roster.snapshot(time=0.0)
    assert snapshot.layout.metrics == ("busy", "power", "running")
    assert snapshot.states[snapshot.layout.rows["site/rack/node 0/worker 0"]].tolist() == [0, State.UNSUPPORTED, 0]
    assert np.nansum(snapshot.values) == 2 * 1.0 + 2 * 2.0
    assert roster.has("gpu", ("site", "rack", "node 0"))
    assert not roster.has("gpu", ("site", "rack", "node 1"))


def test_nobody_is_a_layout_too():
    roster = Roster()
    roster.look([], now=0.0)
    assert roster.snapshot(time=0.0).values.shape == (0, 0)


@given(st.lists(st.sets(st.integers(0, 12)), max_size=8))
def test_rows_are_in_natural_order_and_hold_what_was_told(looks):
    roster, seen = Roster(), set()
    for now, there in enumerate(looks):
        roster.look([worker(number, value=number) for number in there], now=float(now))
        seen |= there
        snapshot = roster.snapshot(time=0.0)
        numbers = [int(name.split()[1]) for name in names(roster)]
        assert numbers == sorted(seen)
        values = snapshot.column("busy").tolist() if seen else []
        assert [value for value in values if value == value] == sorted(there)
        assert set(snapshot.layout.metrics) <= set(METRICS)
