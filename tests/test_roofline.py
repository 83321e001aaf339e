"""The machine's floor: measured once, remembered per machine, never half-written."""

import json

import pytest

from aifactory_lab import roofline
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.roofline import Roofline


def test_measured_is_positive_and_remembered(tmp_path):
    first = roofline.measured(tmp_path)
    assert min(first.disk_read, first.disk_write, first.memory) > 0
    assert roofline.measured(tmp_path) == first
    assert [p.name for p in tmp_path.iterdir()] == ["roofline.json"]


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"machine": "another", "memory": 1})])
def test_foreign_or_torn_memory_is_measured_again(tmp_path, content, monkeypatch):
    (tmp_path / "roofline.json").write_text(content)
    monkeypatch.setattr(roofline, "BLOCK", 1 << 20)
    assert roofline.measured(tmp_path).memory > 1e6


def test_unwritable_folder_is_said(tmp_path):
    with pytest.raises(WorkspaceError, match="cannot be measured"):
        roofline.measure(tmp_path / "absent")


def test_transfers_add_up():
    machine = Roofline(disk_read=10.0, disk_write=5.0, memory=2.0)
    assert machine.floor_seconds(bytes_in=10, bytes_out=10, memory_bytes=10) == pytest.approx(1 + 2 + 5)
