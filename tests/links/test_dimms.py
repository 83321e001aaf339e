"""What memory should carry, read from firmware tables: real layouts, virtual machines', torn ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.links import dimms
from tests.links.firmware import module, tables

EPYC = tables(*(module(f"P0 CHANNEL {letter}", "DIMM 0", speed=5600, configured=4800) for letter in "ABCDEFGHIJKL"))


def promised(folder, content: bytes):
    (folder / "DMI").write_bytes(content)
    return dimms.promise(folder / "DMI")


def test_channels_times_transfers_as_configured_not_as_the_module_could(tmp_path):
    found, note = promised(tmp_path, EPYC)
    assert (found.bytes_s, found.words, note) == (pytest.approx(460.8e9), "12 × 4800 MT/s", "")


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        ([("P0 CHANNEL A", "DIMM 0"), ("P0 CHANNEL A", "DIMM 1"), ("P0 CHANNEL B", "DIMM 0")], 2),
        ([("", "DIMM_A1"), ("", "DIMM_A2"), ("", "DIMM_B1")], 2),
        ([("NODE 1", "CPU1_DIMM_A1"), ("NODE 2", "CPU2_DIMM_A1")], 2),
        ([("BANK 0", "ChannelA-DIMM0"), ("BANK 2", "ChannelB-DIMM0")], 2),
    ],
)
def test_channels_are_read_from_the_modules_names(tmp_path, names, channels):
    found, note = promised(tmp_path, tables(*(module(*each, configured=3200) for each in names)))
    assert (found.words, note) == (f"{channels} × 3200 MT/s", "")


def test_names_that_do_not_tell_are_called_so(tmp_path):
    found, note = promised(tmp_path, tables(module("", "left", configured=3200), module("", "right", configured=3200)))
    assert found.words == "2 × 3200 MT/s"
    assert note == "each module is counted as a channel: the names do not tell"


def test_empty_slots_are_no_channels_and_the_slowest_module_sets_the_pace(tmp_path):
    mixed = (
        module("", "DIMM_A1", configured=3200),
        module("", "DIMM_B1", configured=2933),
        module("", "DIMM_C1", size=0),
    )
    assert promised(tmp_path, tables(*mixed))[0].words == "2 × 2933 MT/s"


def test_a_speed_that_no_16_bits_hold_is_read_beside_them(tmp_path):
    fast = module("", "DIMM_A1", configured=0xFFFF, extended=70_000)
    assert promised(tmp_path, tables(fast))[0].words == "1 × 70000 MT/s"


@pytest.mark.parametrize("content", [tables(module("", "DIMM 0")), tables(), b""])
def test_a_virtual_machine_promises_nothing(tmp_path, content):
    found, note = promised(tmp_path, content)
    assert found is None
    assert note.startswith("SMBIOS does not say")


def test_who_may_not_read_it_is_told(tmp_path):
    found, note = dimms.promise(tmp_path)
    assert found is None
    assert "cannot be read (Is a directory)" in note


@given(st.binary(max_size=300))
def test_any_bytes_end(content):
    assert len(list(dimms.dimms(content))) <= len(content)


@given(st.integers(0, len(EPYC)))
def test_a_torn_table_tells_what_it_holds(end):
    found = list(dimms.dimms(EPYC[:end]))
    assert found == list(dimms.dimms(EPYC))[: len(found)]


def test_this_machine_answers_one_way_or_the_other():
    found, note = dimms.promise()
    assert found or note
