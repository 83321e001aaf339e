"""The GPUs of a machine, read through the real `pynvml` from a driver whose every answer the test sets."""

import os
import threading
from dataclasses import dataclass

import psutil
import pynvml
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import nvml_calls, nvml_sheet
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.nvml import NvmlSource
from aifactory_lab.telemetry.nvml_fleet import RETRY_SECONDS
from aifactory_lab.telemetry.readings import Facts, Snapshot, State
from aifactory_lab.telemetry.sampler import watch
from tests.telemetry.driver import NAN, unload

KIB, GIB = 2**10, 2**30


@dataclass
class Clock:
    """A steady clock that the test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(driver, clock):
    """The GPUs of `driver`, on a clock of the test's own."""
    with NvmlSource(clock=clock) as source:
        yield source


def entity(snapshot: Snapshot, name: str) -> str:
    return next(one.id for one in snapshot.layout.entities if one.id.endswith(f"/{name}"))


def value(snapshot: Snapshot, metric: str, name: str = "gpu 3") -> float:
    reading = snapshot.reading(entity(snapshot, name), metric)
    assert reading.state == State.VALUE, f"{metric} of {name} is {reading}"
    return reading.value


def state(snapshot: Snapshot, metric: str, name: str = "gpu 3") -> State:
    return snapshot.reading(entity(snapshot, name), metric).state


def states(snapshot: Snapshot, name: str) -> set[int]:
    return set(snapshot.states[snapshot.layout.row(entity(snapshot, name))].tolist())


def all_facts(source: NvmlSource, ticks: int = 40) -> dict[str, Facts]:
    """Facts by the end of the entity's path, after as many slices as it takes at most."""
    told: dict[str, Facts] = {}
    for _ in range(ticks):
        told |= source.facts()
    return {name.rpartition("/")[2]: facts for name, facts in told.items()}


def sampled(source: NvmlSource, clock: Clock, seconds: float = 1.0) -> Snapshot:
    clock.tick(seconds)
    return source.sample()


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


def wait_until(met, seconds: float = 20.0) -> None:
    """Give another thread its time; an endless wait fails."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if met():
            return
        pause.wait(0.02)
    pytest.fail(f"not within {seconds:g} s")


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


# Lost GPUs


@pytest.mark.parametrize("code", [15, 16, 999])
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
        driver.restore(0)
        sampled(source, clock, RETRY_SECONDS)
        snapshot = sampled(source, clock)
        assert value(snapshot, "memory_total", "gpu 0/mig 1") == 10 * GIB
        assert snapshot.layout is layout


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


# Health and processes


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


def test_the_share_of_a_process_is_told(driver, source):
    driver.gpu(3).update(pid0=os.getpid(), pid0_memory=GIB, pid0_sm=55)
    (process,) = all_facts(source)["gpu 3"].processes
    assert process.busy == 55.0


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
    driver.slow("processes", 1_000)
    with NvmlSource(clock=clock) as source:
        slices = [set(source.facts()) for _ in range(64)]
        assert max(len(one) for one in slices) <= 16
        assert set().union(*slices) == {one.id for one in source.layout.entities}


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
