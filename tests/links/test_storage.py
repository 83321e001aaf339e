"""Which disk lies under a folder: sysfs trees of machines that are not here, and this one's own."""

import os

import pytest

from aifactory_lab.links import storage

LINK = {"max_link_speed": "16.0 GT/s PCIe", "max_link_width": "4", "current_link_speed": "16.0 GT/s PCIe"}
LINK |= {"current_link_width": "4"}


@pytest.fixture
def sysfs(tmp_path):
    """Write devices (a path below `sys/devices` and its files), the last of which lies under this folder."""

    def write(*devices):
        for path, files in devices:
            place = tmp_path / "sys" / "devices" / path
            place.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_text(f"{text}\n")
        number = tmp_path.stat().st_dev
        numbers = tmp_path / "sys" / "dev" / "block"
        numbers.mkdir(parents=True)
        (numbers / f"{os.major(number)}:{os.minor(number)}").symlink_to(place)
        return tmp_path / "sys"

    return write


def nvme(name: str = "nvme0n1", **changes: str):
    bus, partition = "pci0000:00/0000:01:00.0", f"nvme/nvme0/{name}/{name}p2"
    return (bus, LINK | changes), (f"{bus}/nvme/nvme0/{name}", {}), (f"{bus}/{partition}", {"partition": "2"})


def test_an_nvme_disk_is_promised_its_pcie_link(sysfs, tmp_path):
    found = storage.under(tmp_path, sys=sysfs(*nvme()))
    assert found.what == "nvme0n1 (NVMe)"
    assert found.promise.words == "PCIe 4 × 4"
    assert found.promise.bytes_s == pytest.approx(7.877e9, rel=1e-3)
    assert found.reason == "the promise is that of its link"


def test_a_disk_in_a_slower_slot_is_said(sysfs, tmp_path):
    found = storage.under(tmp_path, sys=sysfs(*nvme(current_link_speed="8.0 GT/s PCIe")))
    assert found.reason == "the promise is that of its link; it runs as PCIe 3 × 4 now: 3.9 GB/s"


@pytest.mark.parametrize("speed", ["Unknown", "", "12.0 GT/s PCIe"])
def test_a_cloud_that_hides_the_link_promises_nothing(sysfs, tmp_path, speed):
    found = storage.under(tmp_path, sys=sysfs(*nvme(current_link_speed=speed)))
    assert found.promise is None
    assert found.reason == "sysfs does not say how this NVMe disk's PCIe link runs"


def test_a_logical_volume_leads_to_its_one_disk_and_several_to_none(sysfs, tmp_path):
    volume = ("virtual/block/dm-0", {})
    disk, *_ = nvme()
    sys = sysfs(disk, *nvme()[1:], volume)
    slaves = tmp_path / "sys/devices/virtual/block/dm-0/slaves"
    slaves.mkdir()
    (slaves / "nvme0n1p2").symlink_to(tmp_path / "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p2")
    assert storage.under(tmp_path, sys=sys).promise.words == "PCIe 4 × 4"
    (slaves / "nvme1n1").symlink_to(tmp_path / "sys/devices/pci0000:00")
    assert storage.under(tmp_path, sys=sys).reason == "what several disks carry together nobody says"


def test_a_sata_disk_is_promised_its_link(sysfs, tmp_path):
    port = ("ata3/ata_link/link3", {})
    sys = sysfs(port, ("pci0000:00/ata3/host2/target2:0:0/block/sda", {}))
    link = sys / "class" / "ata_link" / "link3"
    link.mkdir(parents=True)
    (link / "sata_spd").write_text("6.0 Gbps\n")
    found = storage.under(tmp_path, sys=sys)
    assert (found.what, found.promise.words, found.promise.bytes_s) == ("sda (SATA)", "SATA at 6 Gb/s", 600e6)


@pytest.mark.parametrize(("name", "words"), [("vda", "a virtual disk (virtio)"), ("nbd0", "a network's disk")])
def test_virtual_disks_promise_nothing(sysfs, tmp_path, name, words):
    found = storage.under(tmp_path, sys=sysfs((f"virtual/block/{name}", {})))
    assert (found.what, found.promise) == (f"{name}, {words}", None)
    assert found.reason == f"{words} does not say what it should carry"


def test_a_disk_that_nobody_knows(sysfs, tmp_path):
    found = storage.under(tmp_path, sys=sysfs(("virtual/block/pmem0", {})))
    assert found.reason == "sysfs does not say which link pmem0 hangs on"


def test_memory_as_a_file_system_has_no_disk():
    found = storage.under("/dev/shm")
    assert (found.what, found.promise) == ("tmpfs", None)
    assert "no block device of its own" in found.reason


def test_this_folder_lies_on_something(tmp_path):
    found = storage.under(tmp_path)
    assert found.what
    assert found.promise or found.reason
