"""GPUs that are lost and come back, MIG instances that come and go: each alone, and never a silent zero."""

import pynvml
import pytest

from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.nvml.fleet import RETRY_SECONDS
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import State
from tests.telemetry.driver import NAN
from tests.telemetry.gpus import GIB, all_facts, sampled, state, states, value

# Lost GPUs


@pytest.mark.parametrize("code", [15, 16, 999, 1234])
def test_a_lost_gpu_is_lost_alone_and_comes_back_by_itself(driver, source, clock, code):
    sampled(source, clock)
    driver.lose(3, code)
    snapshot = sampled(source, clock)
    assert states(snapshot, "gpu 3") == {State.LOST}
    assert State.LOST not in states(snapshot, "gpu 2") | states(snapshot, "gpu 4")
    assert len(snapshot.notes) == 1
    assert snapshot.notes[0].startswith("gpu 3: ")
    driver.restore(3)  # its handle is another now
    driver.gpu(3).update(busy=66, pcie_rx=5e12)
    snapshot = sampled(source, clock, RETRY_SECONDS)
    assert value(snapshot, "busy") == 66.0
    assert value(snapshot, "energy") == 0.0
    assert snapshot.notes == ()
    assert state(snapshot, "pcie_rx") == State.STALE  # what it counted before was another life
    assert value(sampled(source, clock), "pcie_rx") == 0.0


def test_a_gpu_that_comes_back_has_all_its_values_at_once(driver, source, clock):
    driver.gpu(3).update(energy_mj=5_000, ecc_corrected=7)
    driver.lose(3)
    sampled(source, clock)
    driver.restore(3)
    sampled(source, clock, RETRY_SECONDS - 0.1)  # what is due once a second was read for the others just now
    snapshot = sampled(source, clock, 0.1)
    assert (value(snapshot, "energy"), value(snapshot, "ecc_corrected"), value(snapshot, "sm_clock_max")) == (
        5,
        7,
        1980,
    )


def test_a_gpu_of_which_only_the_energy_fails_is_not_lost(driver, source, clock):
    driver.gpu(3).update(energy_mj=-999, limit_mw=NAN, memory_temperature=NAN)
    for _ in range(3):
        snapshot = sampled(source, clock)
        assert (state(snapshot, "energy"), state(snapshot, "power")) == (State.LOST, State.VALUE)


def test_a_loss_that_the_facts_come_upon_is_a_loss(driver, source, clock):
    sampled(source, clock)
    driver.lose(3)
    assert all_facts(source)["gpu 3"].health[0].code == "lost"
    driver.forget_calls()
    assert states(sampled(source, clock), "gpu 3") == {State.LOST}
    assert driver.calls("power") == 7


def test_a_lost_gpu_is_left_in_peace_between_two_looks(driver, source, clock):
    driver.lose(3)
    sampled(source, clock)
    driver.forget_calls()
    for _ in range(4):
        sampled(source, clock, RETRY_SECONDS / 5)
    assert (driver.calls("handle"), driver.calls("power")) == (0, 28)
    sampled(source, clock, RETRY_SECONDS / 5)
    assert driver.calls("handle") == 1


def test_one_look_a_tick_is_enough_while_many_are_lost_and_all_that_are_back_are_found_at_once(driver, source, clock):
    for index in range(6):
        driver.lose(index)
    sampled(source, clock)
    driver.forget_calls()
    sampled(source, clock, RETRY_SECONDS)
    assert driver.calls("handle") == 1
    for index in range(6):
        driver.restore(index)
    snapshot = sampled(source, clock, RETRY_SECONDS)
    assert State.LOST not in snapshot.states


def test_a_gpu_reset_behind_our_back_is_found_again(driver, source, clock):
    driver.restore(3)  # the old handle is refused by every call
    assert states(sampled(source, clock), "gpu 3") == {State.LOST}
    assert value(sampled(source, clock, RETRY_SECONDS), "power") == 70.0


def test_a_gpu_that_is_lost_at_the_start_gets_its_name_when_it_comes(make_driver, clock):
    driver = make_driver(4)
    driver.lose(2)
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        first = snapshot.layout
        assert states(snapshot, "gpu 2") == {State.LOST}
        assert (first.entities[2].name, first.entities[2].uid) == ("", "")
        driver.restore(2)
        sampled(source, clock, RETRY_SECONDS)
        snapshot = sampled(source, clock)
        assert snapshot.layout is not first
        assert source.layout is snapshot.layout
        assert snapshot.layout.entities[2].uid.startswith("GPU-00000002")
        assert value(snapshot, "power", "gpu 2") == 70.0
        assert sampled(source, clock).layout is snapshot.layout


def test_many_lost_gpus_make_few_notes(make_driver, clock):
    driver = make_driver(64)
    with NvmlSource(clock=clock) as source:
        driver.all["rc"] = 15
        snapshot = sampled(source, clock)
        assert set(snapshot.states.ravel().tolist()) == {State.LOST}
        assert len(snapshot.notes) == 9
        assert snapshot.notes[-1] == "and 56 more"


def test_a_library_that_someone_else_shut_down_is_opened_again(source, clock):
    pynvml.nvmlShutdown()
    assert set(sampled(source, clock).states.ravel().tolist()) == {State.LOST}
    snapshot = sampled(source, clock, RETRY_SECONDS)
    assert State.LOST not in snapshot.states


# MIG


def test_mig_instances_stand_below_their_gpu(make_driver, clock):
    driver = make_driver(3)
    driver.split(1, 2)
    driver.gpu(1)["mig1_used"] = 4 * GIB
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        assert [one.path[-2:] for one in snapshot.layout.entities[2:4]] == [("gpu 1", "mig 0"), ("gpu 1", "mig 1")]
        assert [one.kind for one in snapshot.layout.entities] == ["gpu", "gpu", "mig", "mig", "gpu"]
        assert snapshot.layout.entities[2].uid.startswith("MIG-")
        assert state(snapshot, "busy", "gpu 1") == State.UNSUPPORTED
        assert value(snapshot, "power", "gpu 1") == 70.0
        assert value(snapshot, "memory_used", "gpu 1/mig 1") == 4 * GIB
        assert value(snapshot, "memory_total", "gpu 1/mig 0") == 10 * GIB
        assert {metric for metric in GPU if state(snapshot, metric, "gpu 1/mig 0") != State.UNSUPPORTED} == {
            "memory_used",
            "memory_total",
        }


def test_instances_come_and_go_while_they_are_watched(make_driver, clock):
    driver = make_driver(2)
    with NvmlSource(clock=clock) as source:
        first = sampled(source, clock).layout
        driver.split(0, 3)
        all_facts(source, 2)
        snapshot = sampled(source, clock)
        assert [one.kind for one in snapshot.layout.entities] == ["gpu", "mig", "mig", "mig", "gpu"]
        driver.gpu(0).update(mig_mode=0, mig_count=0)
        sampled(source, clock)
        snapshot = sampled(source, clock)
        assert snapshot.layout == first
        assert value(snapshot, "busy", "gpu 0") == 0.0


def test_instances_are_lost_with_their_gpu_and_come_back_with_it(make_driver, clock):
    driver = make_driver(2)
    driver.split(0, 2)
    with NvmlSource(clock=clock) as source:
        layout = sampled(source, clock).layout
        driver.lose(0)
        snapshot = sampled(source, clock)
        assert states(snapshot, "gpu 0") == states(snapshot, "gpu 0/mig 1") == {State.LOST}
        assert snapshot.layout is layout
        driver.forget_calls()
        sampled(source, clock, RETRY_SECONDS)
        sampled(source, clock)
        assert driver.calls("handle") == 1  # without their GPU the instances are not looked for
        driver.restore(0)
        sampled(source, clock, RETRY_SECONDS)
        snapshot = sampled(source, clock)
        assert value(snapshot, "memory_total", "gpu 0/mig 1") == 10 * GIB
        assert snapshot.layout is layout


def test_a_gpu_that_comes_back_split_in_another_way_is_laid_out_anew(make_driver, clock):
    driver = make_driver(1)
    with NvmlSource(clock=clock) as source:
        driver.lose(0)
        sampled(source, clock)
        driver.restore(0)
        driver.split(0, 3)
        sampled(source, clock, RETRY_SECONDS)
        assert [one.kind for one in sampled(source, clock).layout.entities] == ["gpu", "mig", "mig", "mig"]


def test_a_gpu_that_does_not_say_how_it_is_split_keeps_its_instances(make_driver, clock):
    driver = make_driver(1)
    driver.split(0, 2)
    with NvmlSource(clock=clock) as source:
        layout = sampled(source, clock).layout
        driver.gpu(0)["mig_mode"] = -999
        all_facts(source, 2)
        sampled(source, clock)
        snapshot = sampled(source, clock)
        assert states(snapshot, "gpu 0/mig 0") == {State.LOST}
        driver.gpu(0)["mig_mode"] = 1
        snapshot = sampled(source, clock, RETRY_SECONDS)
        assert value(snapshot, "memory_total", "gpu 0/mig 0") == 10 * GIB
        assert snapshot.layout is layout
