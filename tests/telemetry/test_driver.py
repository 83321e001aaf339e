"""The stand-in for NVIDIA's library keeps the layouts of the real bindings, and leaves nothing behind."""

import ctypes
import json
import os
import subprocess
import sys
import time

import numpy as np
import pynvml
import pytest

from tests.telemetry.driver import NAN, unload


@pytest.fixture
def handle(driver):
    """The handle of GPU 3."""
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByIndex(3)


def fields(handle, *ids):
    return [(value.nvmlReturn, value.valueType, value.value) for value in pynvml.nvmlDeviceGetFieldValues(handle, ids)]


def test_what_is_set_is_what_the_bindings_read(driver, handle):
    driver.gpu(3).update(busy=97, memory_busy=41, memory_used=7 << 30, temperature=71, power_mw=412_500, throttle=0x84)
    driver.gpu(3).update(energy_mj=9e15, sm_mhz=1755, ecc_uncorrected=2, remapped_corrected=1, remap_pending=1)
    utilisation = pynvml.nvmlDeviceGetUtilizationRates(handle)
    assert (utilisation.gpu, utilisation.memory) == (97, 41)
    assert pynvml.nvmlDeviceGetTemperature(handle, 0) == pynvml.nvmlDeviceGetTemperatureV(handle, 0) == 71
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 412_500
    assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) == 700_000
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) == 9 * 10**15
    assert [pynvml.nvmlDeviceGetClockInfo(handle, kind) for kind in (1, 2)] == [1755, 2619]
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) == 0x84
    assert [pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, 0) for kind in (0, 1)] == [0, 2]
    assert pynvml.nvmlDeviceGetRemappedRows(handle) == (1, 0, 1, 0)


def test_memory_counts_the_reserved_as_used_in_the_first_version_only(driver, handle):
    driver.gpu(3)["memory_used"] = 7 << 30
    one, two = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)
    assert (one.total, one.used) == (80 << 30, (7 << 30) + (512 << 20))
    assert (two.total, two.used, two.reserved) == (80 << 30, 7 << 30, 512 << 20)
    assert one.free == two.free == two.total - two.used - two.reserved


def test_a_gpu_is_found_by_each_of_its_names(driver, handle):
    uuid, bus = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetPciInfo(handle).busId
    assert pynvml.nvmlDeviceGetName(handle) == "NVIDIA H100 80GB HBM3"
    for again in (pynvml.nvmlDeviceGetHandleByUUID(uuid), pynvml.nvmlDeviceGetHandleByPciBusId(bus)):
        assert pynvml.nvmlDeviceGetIndex(again) == 3
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID("GPU-00000009")


def test_field_values_have_their_types_and_their_own_codes(driver, handle):
    driver.gpu(3).update(pcie_tx=5e9, pcie_rx=NAN, nvlink_tx_kib=36_000, nvlink_rx_kib=18)
    every = 0xFFFFFFFF
    assert [code for code, _, _ in fields(handle, 197, 198, (138, every), (139, 99), 7)] == [0, 3, 0, 2, 3]
    values = pynvml.nvmlDeviceGetFieldValues(handle, [197, (138, every), (138, 0), 91])
    assert [value.valueType for value in values] == [3, 3, 3, 1]
    assert [value.value.ullVal for value in values[:3]] == [5 * 10**9, 36_000, 2_000]
    assert values[3].value.uiVal == 18
    driver.gpu(3).update(pcie_bits=32, links=0)
    values = pynvml.nvmlDeviceGetFieldValues(handle, [197, (138, every)])
    assert (values[0].valueType, values[0].value.uiVal) == (1, 5 * 10**9 % 2**32)
    assert values[1].nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_value_can_be_unsupported_or_fail_alone(driver, handle):
    driver.gpu(3).update(power_mw=NAN, temperature=-999)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetPowerUsage(handle)
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlDeviceGetTemperature(handle, 0)
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 0


def test_a_lost_gpu_is_lost_alone_and_its_old_handle_is_never_valid_again(driver, handle):
    other = pynvml.nvmlDeviceGetHandleByIndex(2)
    driver.lose(3)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetPowerUsage(handle)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetHandleByIndex(3)
    assert pynvml.nvmlDeviceGetPowerUsage(other) == 70_000
    driver.restore(3)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetPowerUsage(handle)
    assert pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(3)) == 70_000


def test_processes_have_memory_and_a_share_of_the_gpu(driver, handle):
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []
    driver.gpu(3).update(pid0=os.getpid(), pid0_memory=3 << 30, pid0_sm=55, pid2=1, pid2_memory=NAN)
    mine, other = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    assert (mine.pid, mine.usedGpuMemory, mine.gpuInstanceId) == (os.getpid(), 3 << 30, 0xFFFFFFFF)
    assert (other.pid, other.usedGpuMemory) == (1, None)
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle) == []
    (use,) = pynvml.nvmlDeviceGetProcessUtilization(handle, 0)
    assert (use.pid, use.smUtil) == (os.getpid(), 55)
    assert abs(use.timeStamp / 1e6 - time.time()) < 3600
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(handle, use.timeStamp + 10**12)
    driver.gpu(3)["pid0"] = -4
    with pytest.raises(pynvml.NVMLError_NoPermission):
        pynvml.nvmlDeviceGetComputeRunningProcesses(handle)


def test_mig_instances_have_memory_and_processes_but_no_utilisation(driver, handle):
    driver.split(3, 2)
    driver.gpu(3).update(mig1_used=4 << 30, pid0=7, pid0_memory=4 << 30, pid0_instance=1)
    assert pynvml.nvmlDeviceGetMigMode(handle) == [1, 1]
    first, second = (pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place) for place in range(2))
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 2)
    assert pynvml.nvmlDeviceGetMemoryInfo(second, pynvml.nvmlMemory_v2).used == 4 << 30
    assert [p.pid for p in pynvml.nvmlDeviceGetComputeRunningProcesses(second)] == [7]
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(first) == []
    assert pynvml.nvmlDeviceIsMigDeviceHandle(second).value == 1
    assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(second)) == 3
    by_name = pynvml.nvmlDeviceGetHandleByUUID(pynvml.nvmlDeviceGetUUID(second))
    assert pynvml.nvmlDeviceGetGpuInstanceId(by_name) == 1
    for unmeasured in (handle, second):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetUtilizationRates(unmeasured)


def test_an_xid_arrives_once_as_an_event(driver, handle):
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
    with pytest.raises(pynvml.NVMLError_Timeout):
        pynvml.nvmlEventSetWait_v2(events, 0)
    driver.gpu(3)["xid"] = 79
    event = pynvml.nvmlEventSetWait_v2(events, 0)
    assert (event.eventType, event.eventData) == (pynvml.nvmlEventTypeXidCriticalError, 79)
    assert pynvml.nvmlDeviceGetIndex(event.device) == 3
    with pytest.raises(pynvml.NVMLError_Timeout):
        pynvml.nvmlEventSetWait_v2(events, 0)
    pynvml.nvmlEventSetFree(events)


def test_gpm_says_what_two_samples_say_and_notices_haste(driver, handle):
    driver.gpu(3).update(gpm_sm=62.5, gpm_tensor=40, gpm_dram=NAN)
    assert pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice == 1
    ask = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=3)
    ask.sample1, ask.sample2 = (pynvml.nvmlGpmSampleGet(handle, pynvml.nvmlGpmSampleAlloc()) for _ in range(2))
    for place, metric in enumerate((2, 5, 10)):
        ask.metrics[place].metricId = metric
    pynvml.nvmlGpmMetricsGet(ask)
    assert [(one.nvmlReturn, one.value) for one in ask.metrics[:2]] == [(0, 62.5), (0, 40)]
    assert ask.metrics[2].nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert driver.calls("gpm_too_soon") == 1
    for sample in (ask.sample1, ask.sample2):
        pynvml.nvmlGpmSampleFree(sample)


def test_unified_memory_has_no_memory_of_its_own(driver, handle):
    driver.gpu(3)["unified"] = 1
    assert pynvml.nvmlDeviceGetName(handle) == "NVIDIA GB10"
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetMemoryInfo(handle)


def test_calls_are_counted_by_group(driver, handle):
    driver.forget_calls()
    pynvml.nvmlDeviceGetPowerUsage(handle)
    pynvml.nvmlDeviceGetPowerUsage(handle)
    fields(handle, 197, 198, 83)
    assert {
        group: driver.calls(group) for group in ("power", "field_values", "field_pcie", "field_energy", "clock")
    } == {
        "power": 2,
        "field_values": 1,
        "field_pcie": 2,
        "field_energy": 1,
        "clock": 0,
    }


def test_a_call_can_be_slow_and_a_field_says_how_slow(driver, handle):
    driver.slow("field_pcie", 30_000)
    slow, quick = pynvml.nvmlDeviceGetFieldValues(handle, [197, 91])
    assert slow.latencyUsec >= 30_000  # what the library reports; a sleep never ends early
    assert quick.latencyUsec < slow.latencyUsec


def test_sixteen_thousand_gpus_have_states_of_their_own(make_driver):
    driver = make_driver(16_384)
    driver.all["power_mw"] = 1_000 * np.arange(16_384)
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 16_384
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 300, 16_383)]
    assert [pynvml.nvmlDeviceGetPowerUsage(handle) for handle in handles] == [0, 300_000, 16_383_000]
    assert [pynvml.nvmlDeviceGetPciInfo(handle).busId for handle in handles[1:]] == [
        "00000001:2C:00.0",
        "0000003F:FF:00.0",
    ]


@pytest.mark.parametrize(("code", "error"), [(9, "DriverNotLoaded"), (4, "NoPermission"), (12, "LibraryNotFound")])
def test_the_driver_can_refuse_to_start(driver, code, error):
    driver.switches["init_rc"] = code
    with pytest.raises(getattr(pynvml, f"NVMLError_{error}")):
        pynvml.nvmlInit()
    driver.switches["init_rc"] = 0
    pynvml.nvmlInit()


def test_after_the_test_the_driver_is_gone(driver):
    pynvml.nvmlInit()
    stand_in = ctypes.CDLL(pynvml.nvmlLib._name)
    unload()
    assert pynvml.nvmlLib is None
    assert stand_in.nvmlInit_v2() == pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        pass
    else:  # a machine with a driver of its own: ours is not it
        assert pynvml.nvmlLib._name != stand_in._name
        unload()


def test_another_process_finds_the_driver_by_its_environment(driver):
    driver.gpu(0)["temperature"] = 64
    ask = "import json, pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0)\n"
    ask += (
        "print(json.dumps([n.nvmlDeviceGetCount(), n.nvmlDeviceGetTemperature(h, 0), n.nvmlSystemGetDriverVersion()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], env=os.environ | driver.environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [8, 64, "580.65.01"]
