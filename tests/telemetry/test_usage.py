"""What a block used, seen by one thread that ends with it."""

import threading

import numpy as np

from aifactory_lab.telemetry import usage
from aifactory_lab.telemetry.energy import Energy
from aifactory_lab.telemetry.usage import UsageWatch
from tests.telemetry.scripted import wait_for
from tests.telemetry.test_energy import zone


def test_peak_memory_is_seen_and_the_thread_ends():
    before = threading.active_count()
    watch = UsageWatch()
    watch.start()
    block = np.ones(32 << 17)  # 32 MiB that must be seen
    wait_for(lambda: watch._peak > block.nbytes)
    assert watch.stop().peak_memory_bytes > block.nbytes
    assert threading.active_count() == before


def test_without_a_driver_the_note_says_so(driver):
    driver.switches["init_rc"] = 9
    watch = UsageWatch()
    watch.start()
    found = watch.stop()
    assert found.gpu_busy_mean is None
    assert found.gpu_note == "the NVIDIA driver is installed, but not loaded"


def test_gpus_are_averaged_and_the_busiest_is_told(driver):
    driver.all["busy"] = 10
    driver.gpu(2)["busy"] = 90
    watch = UsageWatch()
    watch.start()
    found = watch.stop()
    assert (found.gpu_busy_mean, found.gpu_busy_peak) == (20.0, 90.0)
    assert found.gpu_note == ""


def test_gpus_that_are_all_lost_are_no_zero(driver):
    for index in range(8):
        driver.lose(index)
    watch = UsageWatch()
    watch.start()
    found = watch.stop()
    assert found.gpu_busy_mean is None
    assert found.gpu_note


def test_a_long_block_reads_its_counter_before_it_wraps(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "MINUTE", 1)
    zone(tmp_path, 0, "900000")
    energy = Energy(tmp_path)
    read = []
    watch = UsageWatch(minutely=lambda: read.append(energy.joules()[0]))
    watch.start()
    zone(tmp_path, 0, "100000")
    wait_for(lambda: read and abs(read[-1] - 0.2) < 1e-6)
    zone(tmp_path, 0, "950000")
    zone(tmp_path, 0, "980000")
    wait_for(lambda: abs(read[-1] - 1.08) < 1e-6)
    zone(tmp_path, 0, "90000")
    watch.stop()
    assert abs(energy.joules()[0] - 1.19) < 1e-6, "two wraps, each seen"
