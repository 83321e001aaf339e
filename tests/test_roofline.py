"""The machine's floor: measured once with its links, remembered per machine, never believed when torn."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab import links, roofline
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.links import Link, Links, Part
from aifactory_lab.roofline import Roofline

THREE = {"disk_read": 10.0, "disk_write": 5.0, "memory": 2.0}


def test_measured_is_positive_and_remembered(tmp_path):
    first = roofline.measured(tmp_path)
    assert min(first.disk_read, first.disk_write, first.memory) > 0
    assert roofline.measured(tmp_path) == first
    assert [p.name for p in tmp_path.iterdir()] == ["links.json"]


def test_roofline_and_links_are_one_measurement(tmp_path):
    machine = roofline.measured(tmp_path)
    whole = links.measured(tmp_path)
    assert machine.disk_read == whole.rate("disk_read")
    assert machine.memory == whole.rate("memory_copy")
    assert roofline.measured(tmp_path) == machine
    assert whole.rate("memory_triad") > 0
    assert roofline.measure(tmp_path) != machine
    assert links.kept(tmp_path).rate("memory_triad") == whole.rate("memory_triad")


def test_a_roofline_of_an_earlier_version_is_measured_again(tmp_path):
    (tmp_path / "roofline.json").write_text(json.dumps({"machine": "here", "disk_read": 1.0}))
    assert roofline.measured(tmp_path).disk_read > 1e6


def test_unwritable_folder_is_said(tmp_path):
    with pytest.raises(WorkspaceError, match="cannot be measured"):
        roofline.measure(tmp_path / "absent")


def test_transfers_add_up():
    machine = Roofline(**THREE)
    assert machine.floor_seconds(bytes_in=10, bytes_out=10, memory_bytes=10) == pytest.approx(1 + 2 + 5)


def test_bytes_that_cross_to_a_gpu_are_counted_where_that_link_was_measured():
    crossing = {"host_to_device_bytes": 40, "device_to_host_bytes": 10, "device_to_device_bytes": 90}
    machine = Roofline(**THREE, host_to_device=20.0, device_to_host=10.0, device_to_device=45.0)
    assert machine.floor_seconds(bytes_in=10, **crossing) == pytest.approx(1 + 2 + 1 + 2)
    assert Roofline(**THREE).floor_seconds(bytes_in=10, **crossing) == pytest.approx(1)


def test_the_fastest_gpu_is_the_roof():
    host = [Link(f"gpu{gpu}_from_host", "", (rate, rate + 1, rate - 1)) for gpu, rate in ((0, 10.0), (1, 20.0))]
    others = [Link("gpu0_to_host", "", (8.0,)), Link("gpu0_from_host_pageable", "", (99.0,))]
    pairs = [Link("gpu0_to_gpu1", "", (30.0,)), Link("gpu1_to_gpu0", "", reason="lost")]
    here = [Link("disk_read", "", (1.0,)), Link("disk_write", "", (2.0,)), Link("memory_copy", "", (3.0,))]
    found = Roofline.of(Links("here", "/", {"all": Part((*here, *host, *others, *pairs))}))
    assert found == Roofline(1.0, 2.0, 3.0, host_to_device=20.0, device_to_host=8.0, device_to_device=30.0)


@given(st.dictionaries(st.sampled_from(["bytes_in", "bytes_out", "host_to_device_bytes"]), st.integers(0, 10**15)))
def test_a_link_more_never_lowers_the_floor(moved):
    without, with_gpu = Roofline(**THREE), Roofline(**THREE, host_to_device=3.0)
    assert 0 <= without.floor_seconds(**moved) <= with_gpu.floor_seconds(**moved)
