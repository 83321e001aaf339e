"""Joules of GPUs over the stand-in driver: sums, silent GPUs, lost ones, and none at all."""

from pathlib import Path

import pytest

from aifactory_lab.measure import Meter
from aifactory_lab.telemetry.energy import Energy
from aifactory_lab.telemetry.gpu_energy import GpuCounters

NOWHERE = Path("/nowhere")


def spend(driver, millijoules: float) -> None:
    driver.all["energy_mj"] += millijoules


def test_joules_are_the_sum_of_all_gpus(driver):
    energy = Energy(NOWHERE)
    spend(driver, 12_500)
    assert energy.joules() == (pytest.approx(8 * 12.5), "")


def test_a_gpu_without_a_counter_is_named_not_guessed(driver):
    driver.gpu(3)["energy_mj"] = float("nan")
    energy = Energy(NOWHERE)
    assert energy.joules() == (None, "no energy can be read from GPU 3")


def test_a_gpu_lost_meanwhile_is_named_and_does_not_raise(driver):
    energy = Energy(NOWHERE)
    driver.lose(5)
    assert energy.joules() == (None, "no energy can be read from GPU 5")


def test_a_gpu_that_came_back_is_read_again(driver):
    GpuCounters()
    driver.lose(2)
    GpuCounters()
    driver.restore(2)
    counters = GpuCounters()
    spend(driver, 1_000)
    assert counters.joules() == (pytest.approx(8.0), "")


def test_a_counter_that_began_anew_is_no_joules(driver):
    driver.gpu(0)["energy_mj"] = 9e6
    counters = GpuCounters()
    driver.gpu(0)["energy_mj"] = 10
    assert counters.joules()[1] == "no energy can be read from GPU 0"


def test_without_a_driver_there_are_no_gpus(driver):
    driver.switches["init_rc"] = 9
    assert len(GpuCounters()) == 0
    assert GpuCounters().joules() == (0.0, "")


def test_a_meter_knows_joules_and_how_busy_the_gpus_were(driver):
    driver.gpu(0)["busy"] = 80
    with Meter("train", unit="rows") as meter:
        spend(driver, 1_000)
        meter.count(4_000)
    report = meter.report
    assert report.joules == pytest.approx(8.0)
    assert report.joules_per_thousand == pytest.approx(2.0)
    assert report.gpu_busy_mean == pytest.approx(10.0)
    assert report.gpu_busy_peak == pytest.approx(80.0)
    assert report.gpu_memory_peak_bytes is not None
    assert "8 J, GPUs 10% busy (peak 80%)" in report.cost
