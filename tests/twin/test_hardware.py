"""The catalogue: figures that contradict no data sheet, traps that are not stepped into, and files that are refused."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import catalogue, hardware, quantities

MINE = """
[sources]
bench = { status = "measured", where = "our own bench" }

[gpu.mine]
memory_bytes = { is = "16 GiB", by = "bench" }
memory_bandwidth_bytes_s = { is = "1 TB/s", by = "bench" }
flops_dense.bf16 = { is = "50 TFLOPS", by = "bench" }
tdp_watts = { is = "250 W", by = "aic" }
"""
NVLINK = {"a100-80": "nvlink-3", "h100-sxm": "nvlink-4", "h200-sxm": "nvlink-4", "gh200": "nvlink-4"}
NVLINK |= dict.fromkeys(("b200-sxm", "b300-sxm", "gb200", "gb300"), "nvlink-5")


@pytest.fixture
def mine(tmp_path):
    def read(text):
        (tmp_path / "mine.toml").write_text(text)
        return hardware.read(tmp_path / "mine.toml")

    return read


def test_every_figure_has_a_source_and_a_status():
    table = hardware.ours().table()
    assert set(table["status"]) <= set(catalogue.STATUSES)
    assert table["source"].str.len_chars().min() > 10
    assert (table["value"] >= 0).all()
    for kind in catalogue.KINDS:
        assert hardware.names(kind)


@pytest.mark.parametrize("name", hardware.names())
def test_narrow_formats_are_multiples_of_wide_ones_or_one_of_them_is_sparse(name):
    flops = hardware.gpu(name).flops_dense
    assert flops.get("bf16", flops["fp16"]) == flops["fp16"]
    if "fp8" in flops:
        assert flops["fp8"] == pytest.approx(2 * flops["bf16"], rel=0.02)
    if "tf32" in flops:
        assert flops["tf32"] == pytest.approx(flops["bf16"] / 2, rel=0.03)
    if "fp4" in flops:
        assert 2 <= flops["fp4"] / flops["fp8"] <= 3.2


@pytest.mark.parametrize(("name", "generation"), NVLINK.items())
def test_a_gpus_nvlink_is_its_links_together_one_way(name, generation):
    link = hardware.link(generation)
    assert hardware.gpu(name).nvlink_bytes_s_per_direction == link.per_gpu * link.bytes_s_per_direction
    assert hardware.gpu(name).nvlink_bytes_s_bidirectional == link.bytes_s_bidirectional_per_gpu


def test_what_data_sheets_double_is_doubled_on_the_way_out():
    assert hardware.gpu("h100").flops_sparse("fp8") == 3956e12
    assert hardware.gpu("b200").flops_dense["fp8"] == 4500e12  # comparison sites print 9,000
    assert hardware.gpu("b300").flops_dense["bf16"] == 2250e12  # not 3,500
    assert hardware.gpu("b300").flops_sparse("fp4") == 18_000e12  # not twice 14,000
    assert hardware.gpu("h100").nvlink_bytes_s_bidirectional == 900e9
    assert hardware.link("nvlink-c2c").bytes_s_bidirectional_per_gpu == 900e9
    assert 2 * hardware.link("pcie-5").bytes_s_per_direction == 128e9
    with pytest.raises(TwinError, match="fp64"):
        hardware.gpu("h100").flops_sparse("fp64")


def test_memory_is_told_in_both_units():
    assert hardware.gpu("h100").memory_gib == 80
    assert hardware.gpu("b300").memory_gb == pytest.approx(288, abs=0.5)
    assert hardware.gpu("gh200").memory_gib == pytest.approx(134.1, abs=0.1)
    assert 8 * hardware.gpu("b200").memory_gib == 1440


def test_integers_were_nearly_removed_from_blackwell_ultra():
    assert hardware.gpu("b300").flops_dense["int8"] < hardware.gpu("a100-80").flops_dense["int8"] / 4
    assert hardware.gpu("gb300").flops_dense["int8"] == 165e12


def test_switches_carry_what_is_published():
    assert hardware.switch("quantum-x800").bytes_s_per_direction * 8 == pytest.approx(115.2e12)
    assert hardware.switch("spectrum-4").bytes_s_per_direction * 8 == pytest.approx(51.2e12)
    assert hardware.switch("quantum-2").port_gbit_s == pytest.approx(400)
    pair = 2 * 2 * hardware.switch("nvlink-switch-5").bytes_s_per_direction
    assert pair == 14.4e12  # both chips of a DGX B200, both ways
    tray = hardware.rack("gb300-nvl72")
    assert tray.switch_trays * 2 * 2 * hardware.switch("nvlink-switch-5").bytes_s_per_direction == pytest.approx(
        130e12, rel=0.01
    )


@pytest.mark.parametrize("kind", ["node", "rack"])
def test_a_chassis_feeds_its_gpus_and_weighs_kilograms(kind):
    for name in hardware.names(kind):
        part = hardware.ours().find(kind, name)
        assert part.max_watts > part.gpus * hardware.gpu(part.gpu).tdp_watts
        assert part.mass_kg is None or 100 < part.mass_kg < 1500
    assert hardware.rack("gb200-nvl72").mass_kg == 1360  # not 3,000, which are pounds


def test_a_scalable_unit_holds_what_there_is():
    for name in hardware.names("unit"):
        unit = hardware.unit(name)
        assert unit.holds in hardware.names("node") + hardware.names("rack")
    racks = hardware.unit("superpod-gb200")
    assert racks.count * hardware.rack(racks.holds).max_watts <= racks.max_watts
    assert 16 * racks.count * hardware.rack(racks.holds).gpus == 9216


def test_network_cards_are_beside_gpus_as_fast_as_the_chassis_says():
    assert hardware.node("dgx-b200").nic_bytes_s_per_gpu == hardware.nic("connectx-7").bytes_s_per_direction
    assert hardware.rack("gb300-nvl72").nic_bytes_s_per_gpu == hardware.nic("connectx-8").bytes_s_per_direction
    assert hardware.nic("bluefield-3").ports == 2
    assert hardware.cdu("frontier").pump_watts == 8473.47


def test_a_name_that_is_not_there_names_those_that_are():
    with pytest.raises(TwinError, match=r"h900.*h100-sxm") as refused:
        hardware.gpu("h900")
    assert refused.value.mend


def test_a_file_of_ones_own_stands_beside_ours(mine):
    both = mine(MINE)
    assert both.gpu("mine").flops_dense == {"bf16": 50e12}
    assert both.gpu("mine").statuses["tdp_watts"] == "source"  # one of our sources may be named
    assert both.gpu("mine").idle_watts is None
    assert both.gpu("h100") == hardware.gpu("h100")
    assert "mine" not in hardware.names()
    ours = mine(MINE.replace("gpu.mine", "gpu.h100-sxm"))
    assert ours.gpu("h100-sxm").tdp_watts == 250
    assert hardware.gpu("h100-sxm").tdp_watts == 700


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"250 W"', '"-250 W"', r"mine\.tdp_watts = '-250 W' must be positive"),
        ('"250 W"', '"0 W"', r"mine\.tdp_watts = '0 W' must be positive"),
        ('{ is = "250 W", by = "aic" }', '{ is = "250 W" }', r"mine\.tdp_watts = '250 W' names no source"),
        ('{ is = "250 W", by = "aic" }', "250", r"mine\.tdp_watts = 250 is a figure without"),
        ('by = "aic"', 'by = "hearsay"', "hearsay"),
        ('"250 W"', '"250 kg"', r"mine\.tdp_watts: '250 kg'"),
        ('"16 GiB"', '"16 Gb"', r"mine\.memory_bytes: '16 Gb'"),
        ('"50 TFLOPS"', '"100 TFLOPS sparse"', r"flops_dense\.bf16: '100 TFLOPS sparse'.*doubled"),
        ('"1 TB/s"', '"2 TB/s bidirectional"', "doubled"),
        ("flops_dense.bf16", "flops_dense.bf61", "bf61"),
        ("tdp_watts", "tpd_watts", "lacks tdp_watts"),
        ('"measured"', '"rumour"', "rumour"),
        ("[gpu.mine]", "[gpv.mine]", "gpv"),
        ("[gpu.mine]", "[gpu.mine", "mine.toml"),
        ('"250 W"', '"1e999 W"', "finite"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_by_name_and_value(mine, old, new, named):
    assert old in MINE
    with pytest.raises(TwinError, match=named) as refused:
        mine(MINE.replace(old, new))
    assert refused.value.mend


def test_a_sparse_figure_among_dense_ones_is_noticed(mine):
    bf16 = 'flops_dense.bf16 = { is = "2250 TFLOPS", by = "bench" }'
    fp8 = 'flops_dense.fp8 = { is = "9000 TFLOPS", by = "bench" }'
    with pytest.raises(TwinError, match=r"flops_dense\.fp8 = 9e\+15, 4 times its bf16's 2\.25e\+15") as refused:
        mine(MINE.replace(bf16.replace("2250", "50"), f"{bf16}\n{fp8}"))
    assert "sparsity" in refused.value.mend


def test_idle_is_below_the_most(mine):
    with pytest.raises(TwinError, match="idle_watts = 260"):
        mine(MINE + 'idle_watts = { is = "260 W", by = "bench" }\n')


def test_a_node_of_ones_own_needs_whole_gpus_and_a_share(mine):
    node = """
[node.box]
gpu = "mine"
gpus = { is = "2.5", by = "bench" }
max_watts = { is = "1 kW", by = "bench" }
nic_bytes_s_per_gpu = { is = "100 Gb/s", by = "bench" }
liquid_share = { is = "0.5", by = "bench" }
"""
    with pytest.raises(TwinError, match=r"box\.gpus = '2\.5' must be a whole number"):
        mine(MINE + node)
    with pytest.raises(TwinError, match=r"liquid_share = '1\.5' must be a share"):
        mine(MINE + node.replace('"2.5"', '"2"').replace('"0.5"', '"1.5"'))
    box = mine(MINE + node.replace('"2.5"', '"2"')).find("node", "box")
    assert (box.gpus, box.nic_bytes_s_per_gpu) == (2, 12.5e9)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TwinError, match=r"nowhere\.toml"):
        hardware.read(tmp_path / "nowhere.toml")


def test_a_gpu_is_a_value():
    h100 = hardware.gpu("h100-sxm")
    assert hash(h100) == hash(hardware.gpu("h100"))
    assert dataclasses.replace(h100, tdp_watts=500.0) != h100


@settings(deadline=None)
@given(st.floats(0.001, 1e6), st.sampled_from([(d, u) for d, units in quantities.UNITS.items() for u in units]))
def test_a_quantity_is_its_number_times_its_unit(number, unit):
    dimension, name = unit
    assert quantities.read(f"{number!r} {name}", dimension) == pytest.approx(number * quantities.UNITS[dimension][name])


def test_bits_are_an_eighth_of_bytes_and_gib_are_larger_than_gb():
    assert quantities.read("8 Gb/s", "bytes_s") == quantities.read("1 GB/s", "bytes_s")
    assert quantities.read("1 GiB", "bytes") / quantities.read("1 GB", "bytes") == pytest.approx(1.0737, abs=1e-4)
