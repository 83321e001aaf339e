"""One thread per source, shared, replaced, closed; errors become lost readings and are never printed."""

import gc
import threading
import time

import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import sampler as room
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import Sampler, samplers, shared, watch
from tests.telemetry.scripted import Scripted, wait_for

ENTITY = "site/rack/node/gpu 0"


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("aifactory-sampler-scripted")]


@pytest.fixture(autouse=True)
def clean():
    yield
    for sampler in samplers():
        if sampler.key.startswith("scripted"):
            sampler.close()
    assert threads() == [], "a sampler left its thread"


def test_it_samples_in_one_daemon_thread_until_it_is_closed():
    source = Scripted()
    with watch(source, period=0.01) as sampler:
        wait_for(lambda: source.sampled >= 3)
        assert sampler.first().reading(ENTITY, "busy").value == 42.0
        assert str(sampler.latest.reading(ENTITY, "power")) == "unsupported"
        assert len(source.threads) == 1
        assert threading.get_ident() not in source.threads
        assert len(sampler.ring.history()) >= 3
        assert sampler.facts[ENTITY].details["sampled"]
    assert not sampler.running
    assert source.closed == 1
    sampled = source.sampled
    time.sleep(0.05)
    assert source.sampled == sampled


def test_running_the_cell_again_leaves_one_thread_and_its_viewers_move_over():
    first, second, seen = Scripted(value=1.0), Scripted(value=2.0), []
    before = watch(first, period=0.01)
    before.subscribe(lambda _, snapshot: seen.append(snapshot.reading(ENTITY, "busy").value))
    wait_for(lambda: 1.0 in seen)
    after = watch(second, period=0.01)
    wait_for(lambda: 2.0 in seen)
    assert len(threads()) == 1
    assert not before.running
    assert after.running
    assert first.closed == 1


def test_a_viewer_that_moved_over_can_still_leave():
    seen = []
    before = watch(Scripted(value=1.0), period=0.01)
    end = before.subscribe(lambda _, snapshot: seen.append(snapshot))
    with watch(Scripted(value=2.0), period=0.01) as after:
        wait_for(lambda: seen)
        end()
        wait_for(lambda: not after._listeners)


def test_a_source_that_cannot_open_leaves_the_old_one_running():
    class Broken(Scripted):
        def open(self):
            msg = "nothing here"
            raise TelemetryError(msg, mend="plug it in")

    sampler = watch(Scripted(), period=0.01)
    with pytest.raises(TelemetryError, match="plug it in"):
        watch(Broken())
    assert sampler.running


def test_viewers_share_one_sampler():
    made = []

    def make():
        made.append(Scripted())
        return made[-1]

    assert shared("scripted", make) is shared("scripted", make)
    assert len(made) == 1
    shared("scripted", make).close()
    assert shared("scripted", make).running
    assert len(made) == 2


def test_a_fault_of_the_source_is_lost_with_its_reason_and_it_recovers(capfd):
    source = Scripted()

    def fail():
        raise OSError("the cable is out")

    with watch(source, period=0.01) as sampler:
        sampler.first()
        source.before = fail
        wait_for(lambda: sampler.error)
        wait_for(lambda: str(sampler.latest.reading(ENTITY, "busy")) == "lost")
        assert sampler.latest.notes == ("the cable is out",)
        assert "OSError" in sampler.error
        source.before = lambda: None
        wait_for(lambda: sampler.latest.reading(ENTITY, "busy").value == 42.0)
        assert sampler.error == ""
    assert capfd.readouterr() == ("", ""), "a thread must print nothing"


def test_a_viewers_fault_is_not_the_others(capfd):
    seen = []
    with watch(Scripted(), period=0.01) as sampler:
        sampler.subscribe(lambda *_: 1 / 0)
        sampler.subscribe(lambda _, snapshot: seen.append(snapshot))
        wait_for(lambda: len(seen) >= 2)
        assert "ZeroDivisionError" in sampler.error
    assert capfd.readouterr() == ("", "")


def test_a_source_that_hangs_is_stale_not_idle():
    source, gate = Scripted(), threading.Event()
    with watch(source, period=0.01) as sampler:
        sampler.first()
        source.before = gate.wait
        wait_for(lambda: str(sampler.latest.reading(ENTITY, "busy")) == "stale")
        assert sampler.latest.states[0, 1] == State.UNSUPPORTED, "what never had a value is not stale"
        assert "no data for" in sampler.latest.notes[-1]
        gate.set()
        source.before = lambda: None
        wait_for(lambda: str(sampler.latest.reading(ENTITY, "busy")) == "42 %")


def test_it_skips_what_it_missed_instead_of_catching_up():
    source = Scripted()
    with watch(source, period=0.01) as sampler:
        sampler.first()
        gate = threading.Event()
        source.before = gate.wait
        time.sleep(0.2)
        source.before = lambda: None
        gate.set()
        wait_for(lambda: sampler.cost.dropped >= 10)
        assert sampler.cost.samples < 60
        assert sampler.cost.worst_microseconds > 100_000 > sampler.cost.microseconds


def test_a_forgotten_viewer_is_not_called_and_unsubscribing_twice_is_fine():
    class Viewer:
        seen = 0

        def look(self, _sampler, _snapshot):
            Viewer.seen += 1

    with watch(Scripted(), period=0.01) as sampler:
        viewer = Viewer()
        end = sampler.subscribe(viewer.look)
        wait_for(lambda: Viewer.seen)
        del viewer
        gc.collect()
        wait_for(lambda: not sampler._listeners)
        end()
        end()


def test_changed_entities_keep_their_history():
    source = Scripted()
    with watch(source, period=0.01) as sampler:
        wait_for(lambda: len(sampler.ring) >= 3)
        source.entities = 2
        wait_for(lambda: len(sampler.layout.entities) == 2)
        times, values = sampler.ring.history().series(ENTITY, "busy")
        assert len(times) >= 4
        assert (values == 42.0).all()


@pytest.mark.parametrize("period", [0, -1, float("nan"), float("inf")])
def test_a_period_that_is_none_is_refused(period):
    with pytest.raises(TelemetryError, match=r"period=.* must be between"):
        Sampler(Scripted(), period=period)


def test_first_gives_up_with_the_key():
    source = Scripted()
    source.before = lambda: time.sleep(0.5)
    with watch(source) as sampler, pytest.raises(TelemetryError, match=r"scripted gave no sample within 0\.01 s"):
        sampler.first(timeout=0.01)


def test_close_all_at_exit_leaves_none():
    watch(Scripted("scripted a"), period=0.01)
    watch(Scripted("scripted b"), period=0.01)
    assert {s.key for s in samplers()} >= {"scripted a", "scripted b"}
    room.close_all()
    assert samplers() == []


def test_it_says_what_it_is():
    with watch(Scripted(), period=0.5) as sampler:
        assert repr(sampler) == "Sampler('scripted', 1 × 2 every 0.5 s, running)"
    assert repr(sampler).endswith("closed)")
