"""Health, processes and details of GPUs: news first, the rest in slices."""

import os
import time

import psutil

from aifactory_lab.telemetry.nvml.fleet import RETRY_SECONDS
from aifactory_lab.telemetry.nvml.source import NvmlSource
from tests.telemetry.driver import NAN
from tests.telemetry.gpus import GIB, all_facts, entity, sampled, value


def test_an_xid_is_the_last_one_seen_and_told_at_once(driver, source, clock):
    assert value(sampled(source, clock), "xid") == 0.0
    driver.gpu(3)["xid"] = 31
    assert value(sampled(source, clock), "xid") == 31.0
    (finding,) = source.facts()[entity(source.sample(), "gpu 3")].health  # the first of the next slice
    assert (finding.severity, finding.code) == ("warning", "xid 31")
    driver.gpu(3)["xid"] = 79
    assert value(sampled(source, clock), "xid") == 79.0
    assert value(sampled(source, clock), "xid", "gpu 2") == 0.0


def test_an_xid_is_seen_on_a_gpu_that_came_back(driver, source, clock):
    driver.lose(3)
    sampled(source, clock)
    driver.restore(3)
    sampled(source, clock, RETRY_SECONDS)
    driver.gpu(3)["xid"] = 94
    assert value(sampled(source, clock), "xid") == 94.0


def test_memory_errors_are_counted_and_found(driver, source, clock):
    driver.gpu(3).update(ecc_corrected=12, ecc_uncorrected=1, remapped_corrected=2, remapped_uncorrected=3)
    driver.gpu(3).update(remap_pending=1, throttle=0x4 | 0x40)
    driver.gpu(4)["remap_failure"] = 1
    told = all_facts(source)
    snapshot = sampled(source, clock)
    assert value(snapshot, "ecc_corrected") == 12.0
    assert value(snapshot, "ecc_uncorrected") == 1.0
    assert value(snapshot, "remapped_rows") == 5.0
    told = all_facts(source)
    assert [(one.severity, one.code) for one in told["gpu 3"].health] == [
        ("critical", "ecc"),
        ("warning", "rows"),
        ("critical", "clocks"),
    ]
    assert [(one.severity, one.code) for one in told["gpu 4"].health] == [("critical", "rows")]
    assert told["gpu 2"].health == ()
    assert told["gpu 3"].details["clocks"] == "software power cap, hardware thermal slowdown"
    assert told["gpu 2"].details["clocks"] == "idle"


def test_a_lost_gpu_is_the_first_thing_told(driver, source, clock):
    driver.lose(6)
    snapshot = sampled(source, clock)
    first, facts = next(iter(source.facts().items()))
    assert first == entity(snapshot, "gpu 6")
    assert [(one.severity, one.code) for one in facts.health] == [("critical", "lost")]
    driver.restore(6)
    sampled(source, clock, RETRY_SECONDS)
    first, facts = next(iter(source.facts().items()))
    assert (first, facts.health) == (entity(snapshot, "gpu 6"), ())


def test_facts_tell_who_works_on_a_gpu(driver, source):
    driver.gpu(3).update(pid0=os.getpid(), pid0_memory=3 * GIB, pid0_sm=55, pid1=999_999_999, pid1_memory=NAN)
    mine, other = all_facts(source)["gpu 3"].processes
    me = psutil.Process()
    assert (mine.pid, mine.memory_bytes, mine.user) == (me.pid, 3 * GIB, me.username())
    assert mine.name == f"{me.name()} (this process)"
    assert (other.pid, other.name, other.user, other.memory_bytes, other.busy) == (999_999_999, "", "", None, None)
    driver.gpu(3).update(pid0=0, pid1=0)
    assert all_facts(source)["gpu 3"].processes == ()


def test_the_share_of_a_process_is_that_since_the_last_look(make_driver):
    driver = make_driver(1)
    driver.gpu(0).update(pid0=os.getpid(), pid0_memory=GIB, pid0_sm=55, use_us=(time.time() - 1) * 1e6)
    with NvmlSource() as source:
        (process,) = all_facts(source, 1)["gpu 0"].processes
        assert process.busy == 55.0
        (process,) = all_facts(source, 1)["gpu 0"].processes
        assert process.busy is None  # nothing new since


def test_processes_that_may_not_be_seen_are_said_to_be_hidden(driver, source):
    driver.gpu(3)["pid0"] = -4
    facts = all_facts(source)["gpu 3"]
    assert facts.processes == ()
    assert facts.details["processes"] == "this user may not read it"


def test_processes_of_mig_instances_stand_with_the_instance(make_driver, clock):
    driver = make_driver(1)
    driver.split(0, 2)
    driver.gpu(0).update(pid0=os.getpid(), pid0_memory=GIB, pid0_instance=1)
    with NvmlSource(clock=clock) as source:
        told = all_facts(source)
        assert [process.pid for process in told["mig 1"].processes] == [os.getpid()]
        assert told["mig 0"].processes == told["gpu 0"].processes == ()


def test_details_name_the_gpu(source):
    details = all_facts(source)["gpu 3"].details
    assert details["UUID"] == "GPU-00000003-0000-0000-0000-0000fa4e0000"
    assert details["PCI"] == "00000000:03:00.0"
    assert details["driver"] == "580.65.01"
    assert details["PCIe"] == "generation 5 × 16"


def test_facts_come_in_slices_and_reach_every_gpu(make_driver, clock):
    driver = make_driver(64)
    with NvmlSource(clock=clock) as source:
        slices = [set(source.facts()) for _ in range(64)]
        assert max(len(one) for one in slices) <= 16
        assert set().union(*slices) == {one.id for one in source.layout.entities}
        driver.slow("processes", 2_000)  # longer than a slice may take
        assert [len(source.facts()) for _ in range(3)] == [1, 1, 1]
