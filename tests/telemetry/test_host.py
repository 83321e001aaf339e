"""The machine as a source: against psutil, a powercap tree as Linux lays it out, control groups of both versions."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from aifactory_lab.telemetry.hosts import source as host
from aifactory_lab.telemetry.hosts.cgroups import Limits
from aifactory_lab.telemetry.hosts.powercap import Packages
from aifactory_lab.telemetry.hosts.source import HostSource
from aifactory_lab.telemetry.metrics import HOST
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import watch
from tests.telemetry.test_energy import zone

GIB = 2**30


def burn(seconds: float) -> float:
    """Keep one core busy until this thread has used so many CPU-seconds; return the wall seconds."""
    start, end = time.monotonic(), time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return time.monotonic() - start


def group(root, at, **files):
    folder = root / at
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(str(text))
    return folder


def words(source) -> dict[str, str]:
    return source.facts()[source.layout.entities[0].id].details


def one(source, snapshot, metric):
    return snapshot.reading(source.layout.entities[0].id, metric)


def test_one_entity_with_the_metrics_of_a_host(tmp_path):
    with HostSource(tmp_path, hwmon=tmp_path) as source:
        assert source.layout.metrics == HOST
        (entity,) = source.layout.entities
        assert (entity.kind, source.layout.origin, source.layout.label) == ("host", "measured", entity.path[-1])
        assert entity.name


def test_gauges_are_what_psutil_says(tmp_path):
    with HostSource(tmp_path, limits=Limits()) as source:
        snapshot, memory = source.sample(), psutil.virtual_memory()
        assert one(source, snapshot, "memory_total").value == memory.total
        assert one(source, snapshot, "memory_used").value == pytest.approx(memory.total - memory.available, abs=GIB)
        assert one(source, snapshot, "load").value == pytest.approx(os.getloadavg()[0], abs=0.5)
        assert abs(snapshot.time - time.time()) < 60


def test_rates_are_stale_until_there_are_two_looks(tmp_path):
    with HostSource(tmp_path) as source:
        first = source.sample()  # at once after opening: too short a time for a rate
        assert one(source, first, "busy").state == State.STALE
        time.sleep(2 * host.LEAST_SECONDS)
        assert one(source, source.sample(), "busy").state == State.VALUE
        assert one(source, source.sample(), "busy").state == State.VALUE, "the last rate stands for a moment"


def test_busy_is_cpu_seconds_over_elapsed_seconds(tmp_path):
    with HostSource(tmp_path, limits=Limits()) as source:
        before = host._cpu_seconds()
        start = time.monotonic()
        burn(0.5)
        busy = one(source, source.sample(), "busy").value
        spent, elapsed = host._cpu_seconds() - before, time.monotonic() - start
        assert spent >= 0.4
        assert busy == pytest.approx(100 * spent / elapsed / psutil.cpu_count(), abs=10)


def test_disk_rate_counts_the_bytes_that_went_to_the_disk(tmp_path):
    start = time.monotonic()
    with HostSource(tmp_path) as source:
        if one(source, source.sample(), "disk_write").state == State.UNSUPPORTED:
            return  # a sandbox that shows no disks, which is what the reading then says
        with (tmp_path / "ballast").open("wb") as stream:
            stream.write(os.urandom(32 << 20))
            os.fsync(stream.fileno())
        time.sleep(2 * host.LEAST_SECONDS)
        rate = one(source, source.sample(), "disk_write").value
        on_disk = tmp_path.stat().st_dev in {Path(p.mountpoint).stat().st_dev for p in psutil.disk_partitions()}
        assert rate * (time.monotonic() - start) >= (30e6 if on_disk else 0)


def test_known_counters_give_known_rates():
    assert host._rate(10.0, 30.0, 4.0) == 5.0
    assert host._rate(30.0, 10.0, 4.0) == 0.0, "a disk that was pulled takes its bytes along"
    assert host._rate(None, 10.0, 4.0) is None


def test_bytes_are_counted_once(tmp_path):
    for disk in ("sda", "sdb"):
        (tmp_path / disk / "device").mkdir(parents=True)
    counters = {name: SimpleNamespace(read_bytes=10) for name in ("sda", "sda1", "dm-0", "sdb")}
    assert host._total(counters, "read_bytes", str(tmp_path)) == 20
    nics = {name: SimpleNamespace(bytes_recv=1) for name in ("lo", "veth0")}
    assert host._total(nics, "bytes_recv", str(tmp_path / "nowhere")) == 1, "in a container all but the loopback"
    assert host._total(None, "read_bytes", str(tmp_path)) is None


def test_energy_and_power_come_from_the_packages(tmp_path):
    zone(tmp_path, 0, "0", most=str(10**9))
    start = time.monotonic()
    with HostSource(tmp_path) as source:
        assert "energy" not in words(source)
        time.sleep(2 * host.LEAST_SECONDS)
        zone(tmp_path, 0, "6000000", most=str(10**9))
        snapshot = source.sample()
        elapsed = time.monotonic() - start
        assert one(source, snapshot, "energy").value == pytest.approx(6.0)
        assert 6.0 / elapsed <= one(source, snapshot, "power").value <= 6.0 / host.LEAST_SECONDS


def test_what_cannot_be_read_is_unsupported_and_says_why(tmp_path):
    with HostSource(tmp_path, hwmon=tmp_path) as source:
        snapshot = source.sample()
        for metric in ("energy", "power", "temperature"):
            assert one(source, snapshot, metric).state == State.UNSUPPORTED
        assert "no RAPL package" in words(source)["energy"]
        assert "no CPU sensor" in words(source)["temperature"]


def test_temperature_is_the_hottest_package(tmp_path):
    for index, (chip, milli) in enumerate((("coretemp", 51000), ("coretemp", 64500), ("nvme", 90000))):
        group(tmp_path, f"hwmon{index}", name=chip, temp1_input=milli)
    with HostSource(tmp_path, hwmon=tmp_path) as source:
        assert one(source, source.sample(), "temperature").value == 64.5


def test_the_packages_count_on_through_a_wrap(tmp_path):
    zone(tmp_path, 0, "900000")
    zone(tmp_path, 1, "0")
    packages = Packages(tmp_path)
    for first, second in (("100000", "50000"), ("950000", "60000"), ("10000", "60000")):
        zone(tmp_path, 0, first)
        zone(tmp_path, 1, second)
        joules = packages.joules()
    assert joules == pytest.approx(0.2 + 0.85 + 0.06 + 0.06)


def test_the_platform_and_the_parts_of_a_package_are_not_counted_again(tmp_path):
    zone(tmp_path, 0, "0")
    (zone(tmp_path, 1, "0") / "name").write_text("psys\n")
    (tmp_path / "intel-rapl:0:0").mkdir()
    assert len(Packages(tmp_path)) == 1


def test_a_package_that_goes_silent_gives_no_number_and_loses_none(tmp_path):
    folder = zone(tmp_path, 0, "100000")
    packages = Packages(tmp_path)
    (folder / "energy_uj").write_text("")
    assert packages.joules() is None
    zone(tmp_path, 0, "400000")
    assert packages.joules() == pytest.approx(0.3)


def test_limits_of_version_2_the_tightest_around_counts(tmp_path):
    (tmp_path / "cgroup.controllers").touch()
    group(tmp_path, "pod", memory__max=4 * GIB, cpu__max="150000 100000")
    stat = "anon 1\ninactive_file 1073741824\n"
    group(tmp_path, "pod", memory__current=3 * GIB, memory__stat=stat, cpu__stat="usage_usec 2500000\nnr 1\n")
    group(tmp_path, "pod/box", memory__max="max", cpu__max="max 100000")
    member = group(tmp_path, ".", membership="0::/pod/box\n") / "membership"
    limits = Limits.read(memory_total=64 * GIB, cores=16, cgroups=tmp_path, membership=member)
    assert (limits.memory_bytes, limits.cores) == (4 * GIB, 1.5)
    assert (limits.memory_used(), limits.cpu_seconds()) == (2 * GIB, 2.5)


def test_limits_of_version_1(tmp_path):
    group(tmp_path, "memory/box", memory__limit_in_bytes=GIB, memory__usage_in_bytes=1000)
    group(tmp_path, "memory/box", memory__stat="total_inactive_file 400\n")
    group(tmp_path, "cpu/box", cpu__cfs_quota_us=50000, cpu__cfs_period_us=100000)
    group(tmp_path, "cpuacct/box", cpuacct__usage=3_000_000_000)
    member = group(tmp_path, ".", membership="4:memory:/box\n3:cpu,cpuacct:/box\n") / "membership"
    limits = Limits.read(memory_total=64 * GIB, cores=16, cgroups=tmp_path, membership=member)
    assert (limits.memory_bytes, limits.cores) == (GIB, 0.5)
    assert (limits.memory_used(), limits.cpu_seconds()) == (600, 3.0)


@pytest.mark.parametrize("text", ["", "0::/elsewhere\n", "rubbish\n"])
def test_a_machine_without_limits_is_the_machine(tmp_path, text):
    (tmp_path / "cgroup.controllers").touch()
    member = group(tmp_path, ".", membership=text, memory__max=64 * GIB, cpu__max="max 100000") / "membership"
    limits = Limits.read(memory_total=8 * GIB, cores=2, cgroups=tmp_path, membership=member)
    assert (limits.memory_bytes, limits.cores, limits.memory_used(), limits.cpu_seconds()) == (None,) * 4


def test_a_container_is_measured_against_its_limits_and_says_so(tmp_path):
    box = group(tmp_path, "box", memory__current=1000, memory__stat="inactive_file 200\n", cpu__stat="usage_usec 0\n")
    start = time.monotonic()
    with HostSource(tmp_path, limits=Limits(2000.0, 0.5, box, box)) as source:
        time.sleep(2 * host.LEAST_SECONDS)
        group(tmp_path, "box", cpu__stat="usage_usec 20000\n")
        snapshot = source.sample()
        most = time.monotonic() - start
        assert one(source, snapshot, "memory_total").value == 2000
        assert one(source, snapshot, "memory_used").value == 800
        assert 100 * 0.02 / most / 0.5 <= one(source, snapshot, "busy").value <= 100 * 0.02 / host.LEAST_SECONDS / 0.5
        assert words(source)["CPU quota"].startswith("0.5 of the machine's")
        assert words(source)["memory limit"].startswith("2 kB of the machine's")


def test_facts_name_the_busiest_processes_and_mark_this_one(tmp_path):
    with HostSource(tmp_path, limits=Limits()) as source:
        mine = None
        while mine is None or mine.busy is None:
            burn(0.05)
            processes = source.facts()[source.layout.entities[0].id].processes
            mine = next((process for process in processes if process.pid == os.getpid()), None)
        assert mine.name.endswith("(this process)")
        assert mine.busy > 1
        assert mine.memory_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
        assert len(processes) <= 6
        shares = [process.busy or 0.0 for process in processes[:5]]
        assert shares == sorted(shares, reverse=True)


def test_it_runs_under_a_sampler(tmp_path):
    with watch(HostSource(tmp_path), period=0.06) as sampler:
        sampler.first()
        while len(sampler.ring) < 3:
            time.sleep(0.02)
        assert sampler.error == ""
        busy = sampler.ring.history().metric("busy")
        assert (busy[1:] >= 0).all()
        assert (busy[1:] <= 100).all()
