"""Joules: read from a powercap tree as Linux lays it out, or said to be unknown."""

from pathlib import Path

import pytest

from aifactory_lab.telemetry.energy import Energy


def zone(root: Path, index: int, energy: str, most: str = "1000000") -> Path:
    folder = root / f"intel-rapl:{index}"
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(energy)
    (folder / "max_energy_range_uj").write_text(most)
    return folder


def test_no_counter_is_said_not_guessed(tmp_path):
    joules, note = Energy(tmp_path).joules()
    assert joules is None
    assert "no energy counter" in note


def test_packages_are_summed(tmp_path):
    zone(tmp_path, 0, "100000")
    zone(tmp_path, 1, "0")
    energy = Energy(tmp_path)
    zone(tmp_path, 0, "600000")
    zone(tmp_path, 1, "250000")
    assert energy.joules() == (pytest.approx(0.75), "")


def test_a_wrapped_counter_keeps_counting(tmp_path):
    zone(tmp_path, 0, "900000")
    energy = Energy(tmp_path)
    zone(tmp_path, 0, "100000")
    assert energy.joules()[0] == pytest.approx(0.2)


def test_unreadable_zone_is_left_out(tmp_path):
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir()  # reading a folder fails as a root-only file does
    assert Energy(tmp_path).joules()[0] is None
