"""Link rates and GPM: what counters gained over the time that went by, and what stands in for them."""

import threading

import pynvml
import pytest

from aifactory_lab.telemetry.nvml.fleet import RETRY_SECONDS
from aifactory_lab.telemetry.nvml.slow_pcie import SlowPcie
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import State
from tests.telemetry.driver import NAN
from tests.telemetry.gpus import GIB, KIB, all_facts, sampled, state, value, wait_until

# Rates


def test_rates_are_what_the_counters_gained_over_the_time_that_went_by(driver, source, clock):
    sampled(source, clock)
    driver.gpu(3).update(pcie_rx=3e9, pcie_tx=1e9, nvlink_rx_kib=8 * 1024**2, nvlink_tx_kib=2 * 1024**2)
    snapshot = sampled(source, clock, 2.0)
    assert {metric: value(snapshot, metric) for metric in ("pcie_rx", "pcie_tx", "nvlink_rx", "nvlink_tx")} == {
        "pcie_rx": 1.5e9,
        "pcie_tx": 0.5e9,
        "nvlink_rx": 4.0 * GIB,
        "nvlink_tx": 1.0 * GIB,
    }
    assert value(snapshot, "pcie_rx", "gpu 4") == 0.0
    assert value(sampled(source, clock), "pcie_rx") == 0.0


def test_before_there_are_two_looks_a_rate_is_stale_not_zero(source, clock):
    snapshot = source.sample()
    assert {state(snapshot, metric) for metric in ("pcie_rx", "pcie_tx", "nvlink_rx", "nvlink_tx")} == {State.STALE}
    assert value(sampled(source, clock), "nvlink_tx") == 0.0


def test_looks_in_quick_succession_keep_the_rate_before(driver, source, clock):
    sampled(source, clock)
    driver.gpu(3)["pcie_rx"] = 1e6
    sampled(source, clock)
    driver.gpu(3)["pcie_rx"] = 2e6
    assert value(sampled(source, clock, 0.001), "pcie_rx") == 1e6
    assert value(sampled(source, clock, 0.499), "pcie_rx") == 2e6


def test_a_counter_that_wraps_goes_on(make_driver, clock):
    driver = make_driver(8)
    driver.gpu(3).update(pcie_bits=32, pcie_rx=2**32 - 1_000)
    with NvmlSource(clock=clock) as source:
        source.sample()
        driver.gpu(3)["pcie_rx"] = 2**32 + 4_000
        assert value(sampled(source, clock, 0.05), "pcie_rx") == pytest.approx(100_000)


def test_a_narrow_counter_that_may_wrap_unseen_is_unsupported_and_says_so(make_driver, clock):
    driver = make_driver(8)
    driver.gpu(3)["pcie_bits"] = 32  # 4 GiB at 63 GB/s: 68 ms
    with NvmlSource(clock=clock) as source:
        source.sample()
        snapshot = sampled(source, clock)
        assert state(snapshot, "pcie_rx") == State.UNSUPPORTED
        assert state(snapshot, "nvlink_rx") == State.VALUE
        assert state(snapshot, "pcie_rx", "gpu 2") == State.VALUE
        told = all_facts(source)
        assert "32 bits" in told["gpu 3"].details["PCIe rates"]
        assert "slow_pcie=True" in told["gpu 3"].details["PCIe rates"]
        assert "PCIe rates" not in told["gpu 2"].details
        assert value(sampled(source, clock, 0.05), "pcie_rx") == 0.0


def test_a_counter_that_began_anew_gives_no_rate_once(driver, source, clock):
    driver.gpu(3)["nvlink_rx_kib"] = 1e12
    sampled(source, clock)
    driver.gpu(3)["nvlink_rx_kib"] = 100
    assert state(sampled(source, clock), "nvlink_rx") == State.STALE
    driver.gpu(3)["nvlink_rx_kib"] = 300
    assert value(sampled(source, clock), "nvlink_rx") == 200 * KIB


# What blocks is not called


def test_the_blocking_pcie_call_is_never_made_among_the_readings(make_driver, clock):
    driver = make_driver(8)
    driver.all.update(pcie_rx=NAN, pcie_tx=NAN)
    with NvmlSource(clock=clock) as source:
        for _ in range(5):
            snapshot = sampled(source, clock)
        assert state(snapshot, "pcie_rx") == state(snapshot, "pcie_tx") == State.UNSUPPORTED
        assert "slow_pcie=True" in all_facts(source)["gpu 0"].details["PCIe rates"]
    assert driver.calls("pcie_throughput") == 0


def test_slow_pcie_is_read_in_a_thread_that_ends_with_the_source(make_driver, clock):
    driver = make_driver(2)
    driver.slow("pcie_throughput", 100)
    driver.gpu(1).update(pcie_rx=NAN, pcie_tx=NAN, pcie_rx_kbs=2_000, pcie_tx_kbs=500)
    before = threading.active_count()
    with NvmlSource(clock=clock, slow_pcie=True) as source:
        source.sample()
        wait_until(lambda: state(source.sample(), "pcie_tx", "gpu 1") == State.VALUE)
        snapshot = sampled(source, clock)
        assert value(snapshot, "pcie_rx", "gpu 1") == 2_000 * KIB
        assert value(snapshot, "pcie_tx", "gpu 1") == 500 * KIB
        assert value(snapshot, "pcie_rx", "gpu 0") == 0.0  # by its counter
        driver.lose(1)
        assert state(sampled(source, clock), "pcie_rx", "gpu 1") == State.LOST
    assert threading.active_count() == before


def test_what_is_no_longer_wanted_slowly_is_forgotten(driver):
    driver.slow("pcie_throughput", 0)
    pynvml.nvmlInit()
    reader = SlowPcie(devices=1)
    reader.want({0: pynvml.nvmlDeviceGetHandleByIndex(0)})
    wait_until(lambda: reader.states.tolist() == [[State.VALUE, State.VALUE]])
    reader.close()
    reader.want({})
    assert reader.states.tolist() == [[State.STALE, State.STALE]]


# GPM


def test_gpm_is_read_only_when_it_is_wanted(driver, source, clock):
    driver.forget_calls()
    snapshot = sampled(source, clock)
    assert {state(snapshot, metric) for metric in ("sm_active", "tensor_active", "dram_active")} == {State.UNSUPPORTED}
    assert driver.calls("gpm") == 0


def test_gpm_says_what_is_used_once_there_are_two_samples_far_enough_apart(make_driver):
    driver = make_driver(2)
    driver.gpu(0).update(gpm_sm=62.5, gpm_tensor=41.0, gpm_dram=NAN)
    driver.gpu(1)["gpm_supported"] = 0
    with NvmlSource(gpm=True) as source:  # on the real clock: the stand-in counts samples taken in haste
        assert state(source.sample(), "sm_active", "gpu 0") == State.STALE
        wait_until(lambda: state(source.sample(), "sm_active", "gpu 0") == State.VALUE)
        driver.gpu(0)["gpm_sm"] = 70.5
        wait_until(lambda: value(source.sample(), "sm_active", "gpu 0") == 70.5)
        snapshot = source.sample()
        assert (value(snapshot, "sm_active", "gpu 0"), value(snapshot, "tensor_active", "gpu 0")) == (70.5, 41.0)
        assert state(snapshot, "dram_active", "gpu 0") == State.UNSUPPORTED
        assert state(snapshot, "sm_active", "gpu 1") == State.UNSUPPORTED
        driver.lose(0)
        assert state(source.sample(), "sm_active", "gpu 0") == State.LOST
    assert driver.calls("gpm_too_soon") == 0


def test_gpm_stands_in_for_pcie_counters_and_measures_mig_instances(make_driver, clock):
    driver = make_driver(1)
    driver.split(0, 2)
    driver.gpu(0).update(pcie_rx=NAN, gpm_pcie_rx_mib=3, gpm_pcie_tx_mib=5, gpm_sm=20)
    with NvmlSource(gpm=True, clock=clock) as source:
        source.sample()
        snapshot = sampled(source, clock)
        assert (value(snapshot, "pcie_rx", "gpu 0"), value(snapshot, "pcie_tx", "gpu 0")) == (3 * 2**20, 5 * 2**20)
        assert value(snapshot, "sm_active", "gpu 0/mig 1") == 20.0


def test_usable_pcie_counters_go_before_gpm(make_driver, clock):
    driver = make_driver(1)
    driver.gpu(0)["gpm_pcie_rx_mib"] = 9
    with NvmlSource(gpm=True, clock=clock) as source:
        for _ in range(3):
            snapshot = sampled(source, clock)
        assert value(snapshot, "pcie_rx", "gpu 0") == 0.0
        assert value(snapshot, "sm_active", "gpu 0") == 0.0


def test_gpm_is_asked_neither_of_a_lost_gpu_nor_of_one_that_refuses_it(make_driver, clock):
    driver = make_driver(2)
    with NvmlSource(gpm=True, clock=clock) as source:
        sampled(source, clock)
        driver.lose(0)
        driver.gpu(1)["gpm_supported"] = 0
        assert state(sampled(source, clock), "sm_active", "gpu 1") == State.UNSUPPORTED
        driver.forget_calls()
        sampled(source, clock)
        assert driver.calls("gpm") == 0
        driver.restore(0)
        sampled(source, clock, RETRY_SECONDS)
        assert value(sampled(source, clock), "sm_active", "gpu 0") == 0.0
