"""Published figures: each with a source, multiplied as the standards say, the same wherever the house has them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.links import pci, published
from aifactory_lab.telemetry.nvml.devices import LANE
from aifactory_lab.twin import hardware

TOLD = tomllib.loads(published.FILE.read_text())
ENTRIES = {f"{kind} {name}": one for kind in ("pcie", "nvlink") for name, one in TOLD[kind].items()}
ENTRIES |= {"c2c": TOLD["c2c"], "sata": TOLD["sata"]}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_figure_has_a_source_with_a_status(name):
    source = TOLD["sources"][ENTRIES[name]["by"]]
    assert source["status"] in ("source", "secondary")
    assert source["where"]


# PCI-SIG's table of x16 bandwidth: 4.0, 8.0, 15.75, 31.5, 63.0 GB/s one way, by generation
@pytest.mark.parametrize(
    ("generation", "gigabytes"), [(1, 4.0), (2, 8.0), (3, 15.75), (4, 31.5), (5, 63.0), (6, 118.0)]
)
def test_pcie_after_its_coding(generation, gigabytes):
    assert published.pcie(generation, 16).bytes_s / 1e9 == pytest.approx(gigabytes, rel=1e-3)


@pytest.mark.parametrize("name", [name for name in hardware.names("link") if name.startswith("pcie")])
def test_pcie_agrees_with_the_twin_which_prints_it_before_the_coding(name):
    raw = 16 * published.raw_lane(int(name.removeprefix("pcie-")))
    assert raw == hardware.link(name).bytes_s_per_direction
    assert published.pcie(int(name.removeprefix("pcie-")), 16).bytes_s < raw


@pytest.mark.parametrize("name", [name for name in hardware.names("link") if name.startswith("nvlink-")])
def test_nvlink_agrees_with_the_twin(name):
    theirs, generation = hardware.link(name), name.removeprefix("nvlink-")
    ours = published.c2c() if generation == "c2c" else published.nvlink(int(generation), int(theirs.per_gpu))
    assert ours.bytes_s == theirs.bytes_s_per_direction * theirs.per_gpu


@pytest.mark.parametrize(("gpu", "generation"), [("a100-80", 3), ("h100-sxm", 4), ("gh200", 4), ("b200-sxm", 5)])
def test_gpus_of_the_twin_have_all_links_of_their_generation(gpu, generation):
    links = int(hardware.link(f"nvlink-{generation}").per_gpu)
    assert published.nvlink(generation, links).bytes_s == hardware.gpu(gpu).nvlink_bytes_s_per_direction


@pytest.mark.parametrize(
    "generation", [one for one in LANE if one < 6]
)  # of 6 the driver's counters count more than packets
def test_pcie_agrees_with_the_telemetry(generation):
    assert published.pcie(generation, 1).bytes_s == pytest.approx(LANE[generation], rel=1e-3)


def test_grace_hopper_is_seven_times_pcie():
    """The advertised "7×" is the data sheet's: 900 GB/s both ways beside PCIe 5's 128."""
    raw = 16 * published.raw_lane(5)
    assert published.c2c().bytes_s / raw == pytest.approx(7.03, abs=0.01)


def test_what_is_not_in_the_file_is_said():
    with pytest.raises(DataError, match="has no pcie of generation 7; it has: 1, 2, 3, 4, 5, 6"):
        published.pcie(7, 16)
    with pytest.raises(DataError, match="has no nvlink of generation 1"):
        published.nvlink(1, 4)


@given(generation=st.integers(1, 6), lanes=st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_lanes_add_up_and_the_rate_leads_back_to_the_generation(generation, lanes):
    assert published.pcie(generation, lanes).bytes_s == pytest.approx(lanes * published.pcie(generation, 1).bytes_s)
    assert published.pcie_generation(published.raw_lane(generation) * 8 / 1e9) == generation


def test_a_link_at_its_best_has_nothing_to_say():
    assert pci.Pcie((5, 16), (5, 16)).notes == ()


def test_sata_and_memory():
    assert published.sata(6.0).bytes_s == 600e6
    assert published.dram(12, 4800, "SMBIOS").bytes_s == pytest.approx(460.8e9)  # AMD EPYC 9004's data sheet
