"""The GPUs of a machine, read through the real `pynvml` from a driver whose every answer the test sets."""

import psutil
import pynvml
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.nvml import calls as nvml_calls
from aifactory_lab.telemetry.nvml import sheet as nvml_sheet
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import watch
from tests.telemetry.driver import NAN, unload
from tests.telemetry.gpus import GIB, all_facts, sampled, state, states, value, wait_until

# What is read


def test_every_gpu_metric_has_a_column_and_every_gpu_a_row(source):
    layout = source.layout
    assert layout.metrics == GPU
    assert [one.path[-1] for one in layout.entities] == [f"gpu {index}" for index in range(8)]
    assert {one.kind for one in layout.entities} == {"gpu"}
    assert {one.name for one in layout.entities} == {"NVIDIA H100 80GB HBM3"}
    assert layout.entities[3].uid == "GPU-00000003-0000-0000-0000-0000fa4e0000"
    assert (layout.origin, layout.label) == ("measured", "NVIDIA driver 580.65.01")


def test_readings_are_in_the_units_of_the_metrics(driver, source, clock):
    driver.gpu(3).update(busy=97, memory_busy=41, memory_used=7 * GIB, temperature=71, memory_temperature=88)
    driver.gpu(3).update(power_mw=412_500, limit_mw=500_000, energy_mj=9_000_500, sm_mhz=1755, memory_mhz=2000)
    driver.gpu(3)["throttle"] = 0x44
    snapshot = sampled(source, clock)
    assert {metric: value(snapshot, metric) for metric in GPU[: GPU.index("pcie_rx")]} == {
        "busy": 97.0,
        "memory_busy": 41.0,
        "memory_used": 7 * GIB,
        "memory_total": 80 * GIB,
        "temperature": 71.0,
        "memory_temperature": 88.0,
        "power": pytest.approx(412.5),
        "power_limit": pytest.approx(500.0),
        "energy": pytest.approx(9000.5),
        "sm_clock": 1755.0,
        "sm_clock_max": 1980.0,
        "memory_clock": 2000.0,
    }
    assert value(snapshot, "throttle") == 0x44
    assert value(snapshot, "busy", "gpu 2") == 0.0  # a zero that the driver said
    assert snapshot.notes == ()


@pytest.mark.parametrize("gpus", [1, 8, 64, 1024])
def test_any_number_of_gpus_is_read_each_from_its_own_record(make_driver, clock, gpus):
    driver = make_driver(gpus)
    driver.all["busy"] = [index % 101 for index in range(gpus)]
    driver.all["power_mw"] = [1_000.0 * index for index in range(gpus)]
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        assert snapshot.column("busy").tolist() == [index % 101 for index in range(gpus)]
        assert snapshot.column("power").tolist() == pytest.approx(list(range(gpus)))
        driver.all["busy"] = 50
        assert set(sampled(source, clock).column("busy").tolist()) == {50.0}


def test_what_costs_the_driver_much_is_read_at_most_once_a_second(driver, source, clock):
    source.sample()
    driver.forget_calls()
    driver.gpu(3)["energy_mj"] = 5_000
    for _ in range(8):
        snapshot = sampled(source, clock, 0.1)
    assert (driver.calls("energy"), driver.calls("power")) == (0, 64)
    assert value(snapshot, "energy") == 0.0
    assert value(sampled(source, clock, 0.15), "energy") == 5.0
    assert driver.calls("energy") == 8
    for _ in range(10):  # a tick of a second is never quite one
        sampled(source, clock, 0.99)
    assert driver.calls("energy") == 88


# What a GPU does not have


@pytest.mark.parametrize(
    ("field", "metrics", "group"),
    [
        ("busy", ["busy", "memory_busy"], "utilisation"),
        ("temperature", ["temperature"], "temperatures"),
        ("power_mw", ["power"], "power"),
        ("limit_mw", ["power_limit"], "power_limit"),
        ("energy_mj", ["energy"], "energy"),
        ("pcie_rx", ["pcie_rx", "pcie_tx"], "field_pcie"),
        ("links", ["nvlink_rx", "nvlink_tx"], "field_nvlink"),
        ("throttle", ["throttle"], "reasons"),
        ("ecc_corrected", ["ecc_corrected"], None),
        ("remap_pending", ["remapped_rows"], "remapped_rows"),
        ("sm_max_mhz", ["sm_clock_max"], "max_clock"),
        ("memory_temperature", ["memory_temperature"], "field_other"),
        ("xid", ["xid"], None),
    ],
)
def test_what_is_not_supported_is_said_and_not_asked_again(make_driver, clock, field, metrics, group):
    driver = make_driver(1)
    driver.gpu(0)[field] = NAN
    with NvmlSource(clock=clock) as source:
        source.sample()
        driver.forget_calls()
        snapshot = sampled(source, clock, 2.0)
        source.facts()
        gpm = {"sm_active", "tensor_active", "dram_active"}
        unsupported = {metric for metric in GPU if state(snapshot, metric, "gpu 0") == State.UNSUPPORTED}
        assert unsupported - gpm == set(metrics)
        assert {state(snapshot, metric, "gpu 0") for metric in set(GPU) - gpm - set(metrics)} == {State.VALUE}
        assert snapshot.notes == ()
        if group is not None:
            assert driver.calls(group) == 0


def test_a_reading_that_this_user_may_not_have_is_unsupported(make_driver, clock):
    driver = make_driver(1)
    driver.gpu(0)["ecc_uncorrected"] = -4
    with NvmlSource(clock=clock) as source:
        assert state(sampled(source, clock), "ecc_uncorrected", "gpu 0") == State.UNSUPPORTED


def test_an_argument_that_a_gpu_refuses_is_a_reading_that_it_does_not_have(driver, source, clock):
    driver.gpu(3)["sm_mhz"] = -2
    for _ in range(2):
        snapshot = sampled(source, clock)
        assert state(snapshot, "sm_clock") == State.UNSUPPORTED
        assert value(snapshot, "memory_clock") == 2619.0
        assert snapshot.notes == ()


def test_a_reading_that_fails_alone_is_lost_alone_and_comes_back(driver, source, clock):
    driver.gpu(3)["temperature"] = -999
    snapshot = sampled(source, clock)
    assert state(snapshot, "temperature") == State.LOST
    assert value(snapshot, "power") == 70.0
    assert snapshot.notes == ("gpu 3: the driver met an unknown error",)
    driver.gpu(3)["temperature"] = 40
    snapshot = sampled(source, clock)
    assert value(snapshot, "temperature") == 40.0
    assert snapshot.notes == ()


def without(monkeypatch, *missing: str) -> None:
    """Take calls out of the library, as older and later drivers lack them."""
    real = nvml_calls.function
    monkeypatch.setattr(nvml_sheet, "function", lambda *names: real(*(name for name in names if name not in missing)))


def test_a_call_that_the_library_has_no_more_has_a_successor_or_an_older_name(driver, monkeypatch, clock):
    without(monkeypatch, "nvmlDeviceGetTemperature", "nvmlDeviceGetCurrentClocksEventReasons")
    driver.gpu(3).update(temperature=77, throttle=0x20)
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        assert (value(snapshot, "temperature"), value(snapshot, "throttle")) == (77.0, 0x20)


def test_a_library_without_a_call_makes_its_readings_unsupported(driver, monkeypatch, clock):
    without(monkeypatch, "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetPowerUsage")
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        missing = {metric for metric in GPU[: GPU.index("sm_active")] if state(snapshot, metric) == State.UNSUPPORTED}
        assert missing == {"memory_used", "memory_total", "power"}  # and the host's memory does not stand in


# Unified memory


def test_unified_memory_shows_the_hosts_and_says_so(make_driver, clock):
    driver = make_driver(1)
    driver.gpu(0)["unified"] = 1
    with NvmlSource(clock=clock) as source:
        snapshot = sampled(source, clock)
        assert value(snapshot, "memory_total", "gpu 0") == psutil.virtual_memory().total
        assert 0 < value(snapshot, "memory_used", "gpu 0") < psutil.virtual_memory().total
        assert "unified" in all_facts(source, 1)["gpu 0"].details["memory"]
        driver.lose(0)
        assert states(sampled(source, clock), "gpu 0") == {State.LOST}


# Opening and closing


@pytest.mark.parametrize(
    ("code", "words", "mend"),
    [
        (9, "installed, but not loaded", "modprobe nvidia"),
        (4, "this user may not open", "/dev/nvidia"),
        (12, "libnvidia-ml.so.1 not found", "--gpus all"),
        (18, "was updated", "reboot"),
        (999, "nvmlInit: the driver met an unknown error", "nvidia-smi"),
        (20, "nvmlInit: NVML's code 20, insufficient memory", "nvidia-smi"),
    ],
)
def test_a_driver_that_cannot_be_opened_is_refused_with_the_reason_and_what_mends_it(driver, code, words, mend):
    driver.switches["init_rc"] = code
    with pytest.raises(TelemetryError) as caught:
        NvmlSource().open()
    assert words in caught.value.what
    assert mend in caught.value.mend


def test_a_driver_without_gpus_is_refused_and_let_go(make_driver):
    make_driver(0)
    with pytest.raises(TelemetryError, match="sees no GPU"):
        NvmlSource().open()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


def test_a_driver_that_does_not_count_is_refused_and_let_go(driver):
    driver.switches["count_rc"] = 999
    with pytest.raises(TelemetryError, match="does not count its GPUs"):
        NvmlSource().open()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


def test_without_a_library_the_reason_is_that(driver):
    unload()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        with pytest.raises(TelemetryError, match="driver"):
            NvmlSource().open()
    else:
        with NvmlSource() as source:  # a machine with GPUs of its own
            assert source.layout.entities


def test_closing_lets_go_of_the_driver_and_opening_again_works(source, clock):
    sampled(source, clock)
    source.close()
    source.close()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    with pytest.raises(TelemetryError, match="was closed"):
        source.sample()
    assert source.facts() == {}
    layout = source.open()
    assert source.sample().layout is layout


def test_another_user_of_the_library_is_not_disturbed(driver):
    pynvml.nvmlInit()
    with NvmlSource() as source:
        source.sample()
    assert pynvml.nvmlDeviceGetCount() == 8


def test_a_sampler_watches_the_gpus_and_outlives_their_loss(make_driver):
    driver = make_driver(2)
    with watch(NvmlSource(), period=0.01) as sampler:
        assert value(sampler.first(), "power", "gpu 1") == 70.0
        driver.all["rc"] = 15
        wait_until(lambda: set(sampler.latest.states.ravel().tolist()) == {State.LOST})
        wait_until(
            lambda: [facts.health[0].code for facts in sampler.facts.values() if facts.health] == ["lost", "lost"]
        )
        assert (sampler.running, sampler.error) == (True, "")
