"""Meter and StationReport: what is counted is what happened."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import FactoryError
from aifactory_lab.measure import PRICE_VARIABLE, Meter, StationReport
from aifactory_lab.roofline import Roofline


def report(**values) -> StationReport:
    base = {"station": "etl", "unit": "rows", "made": 100, "seconds": 2.0, "cpu_seconds": 3.0}
    base |= {"peak_memory_bytes": 1 << 20, "device": "cpu", "device_reason": "asked"}
    return StationReport(**{**base, **values})


def test_meter_counts_work_and_memory():
    with Meter("fill", unit="bytes") as meter:
        block = np.ones(64 << 17)  # 64 MiB that must be seen
        time.sleep(0.12)
        meter.count(block.nbytes, bytes_out=10, note="kept")
        meter.count(1, bytes_out=5)
    found = meter.report
    assert found.made == block.nbytes + 1
    assert found.bytes_out == 15
    assert found.details == {"note": "kept"}
    assert found.peak_memory_bytes > block.nbytes
    assert found.seconds >= 0.12
    assert (found.joules is None) == bool(found.energy_note)


def test_cpu_seconds_include_finished_children():
    import subprocess
    import sys

    with Meter("child", unit="runs") as meter:
        subprocess.run([sys.executable, "-c", "sum(i * i for i in range(3_000_000))"], check=True)
    assert meter.report.cpu_seconds > 0.05


def test_a_failed_block_has_no_report():
    meter = Meter("broken", unit="rows")
    with pytest.raises(ZeroDivisionError), meter:
        _ = 1 / 0
    with pytest.raises(FactoryError, match="has no report"):
        _ = meter.report


def test_meter_leaves_no_thread():
    import threading

    before = threading.active_count()
    with Meter("quick", unit="rows"):
        pass
    assert threading.active_count() == before


def test_floor_is_bytes_over_bandwidth():
    machine = Roofline(disk_read=100.0, disk_write=50.0, memory=1000.0)
    found = report(bytes_in=100, bytes_out=50, memory_bytes=1000, seconds=6.0).against(machine)
    assert found.floor_seconds == pytest.approx(3.0)
    assert found.share_of_floor == pytest.approx(0.5)
    assert report().share_of_floor is None


def test_price_is_an_assumption_that_can_be_edited(monkeypatch):
    monkeypatch.setenv(PRICE_VARIABLE, "3600")
    assert report(cpu_seconds=3.0).dollars == pytest.approx(3.0)
    for wrong in ("free", "-1", "nan"):
        monkeypatch.setenv(PRICE_VARIABLE, wrong)
        with pytest.raises(FactoryError, match=wrong):
            _ = report().dollars


@given(
    made=st.integers(0, 10**12),
    seconds=st.floats(0, 1e6, allow_nan=False),
    joules=st.none() | st.floats(0, 1e9, allow_nan=False),
    details=st.dictionaries(st.text(), st.integers() | st.text()),
)
def test_report_survives_json(made, seconds, joules, details):
    import json

    before = report(made=made, seconds=seconds, joules=joules, details=details)
    after = StationReport.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before
    assert after.rate == (made / seconds if seconds else 0.0)


def test_line_for_people():
    line = str(report(reused=True, floor_seconds=1.0))
    for word in ("etl: 100 rows", "50 rows/s", "50.0% of the floor", "(reused)", "cpu"):
        assert word in line


@pytest.mark.parametrize(("kind", "counted"), [("gpu", 30), ("cpu", 0)])
def test_only_what_is_done_on_a_gpu_crosses_to_one(kind, counted):
    from aifactory_lab.device import Device

    with Meter("etl", unit="rows", device_used=Device(kind, "as the test says")) as meter:
        meter.count(1, bytes_in=5, host_to_device_bytes=10, note="kept")
        meter.count(host_to_device_bytes=20)
    found = meter.report
    assert (found.made, found.bytes_in, found.host_to_device_bytes, found.details) == (1, 5, counted, {"note": "kept"})


def test_the_floor_counts_what_crossed():
    machine = Roofline(disk_read=100.0, disk_write=50.0, memory=1000.0, host_to_device=10.0, device_to_host=5.0)
    crossed = {"host_to_device_bytes": 10, "device_to_host_bytes": 10, "device_to_device_bytes": 10}
    assert report(**crossed).against(machine).floor_seconds == pytest.approx(1 + 2)
    assert report(bytes_in=100, **crossed).against(machine).floor_seconds == pytest.approx(1 + 1 + 2)


def test_a_ledger_from_before_reads_as_if_nothing_had_crossed():
    told = report().to_dict()
    for name in ("host_to_device_bytes", "device_to_host_bytes", "device_to_device_bytes"):
        del told[name]
    assert StationReport.from_dict(told) == report()
