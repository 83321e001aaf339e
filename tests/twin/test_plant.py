"""A plant is whole, and its counts follow from the catalogue."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware
from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant

CHASSIS = ("dgx-a100", "dgx-h100", "dgx-b200", "dgx-b300", "gb200-nvl72", "gb300-nvl72")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHASSIS), st.integers(1, 200_000), st.integers(1, 9))
def test_racks_hold_all_gpus_and_coolers_take_all_heat(chassis, gpus, nodes_per_rack):
    plant = Plant.about(gpus, chassis, nodes_per_rack=nodes_per_rack)
    assert gpus <= plant.gpus < gpus + plant.gpus_per_chassis
    racks = plant.racks()
    assert (racks.height, racks["gpus"].sum()) == (plant.rack_count, plant.gpus)
    assert racks["chassis"].is_between(1, plant.chassis_per_rack).all()
    share = plant.part.liquid_share
    assert (plant.cdus == 0) == (share == 0)
    for running, each, heat in (
        (plant.cdus, plant.cdu_part.capacity_watts, share),
        (plant.air_units, plant.air_unit_watts, 1 - share),
    ):
        assert (running - plant.spare) * each >= plant.max_watts * heat or heat == 0


def test_a_superpod_of_b200_has_the_published_fabric():
    assert Plant(gpus=1024).fabric.counts == (32, 16, 0, 1024, 1024, 0)
    assert Plant(gpus=8192).fabric.three


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"gpus": 1001}, "gpus=1001 do not fill"),
        ({"gpus": 0}, "gpus=0 do not fill"),
        ({"chassis": "dgx-9"}, "no chassis 'dgx-9'"),
        ({"gpu_cap_watts": 10.0}, "gpu_cap_watts=10"),
        ({"spare": -1}, "spare=-1"),
        ({"air_unit_watts": 0.0}, "air_unit_watts=0"),
        ({"rejection": "river"}, "no rejection 'river'"),
        ({"nodes_per_rack": 0}, "nodes_per_rack=0"),
    ],
)
def test_a_figure_that_cannot_be_is_named(wrong, said):
    with pytest.raises(TwinError, match=said) as caught:
        Plant(**wrong)
    assert caught.value.mend


def test_what_fills_the_chassis_is_offered():
    with pytest.raises(TwinError) as caught:
        Plant(gpus=1000, chassis="gb200-nvl72")
    assert caught.value.mend == "gpus=1008"


OWN = """
[sources]
me = { status = "measured", where = "my own bench" }

[gpu.mine]
memory_bytes = { is = "48 GiB", by = "me" }
memory_bandwidth_bytes_s = { is = "1 TB/s", by = "me" }
flops_dense.bf16 = { is = "200 TFLOPS", by = "me" }
flops_dense.fp8 = { is = "400 TFLOPS", by = "me" }
tdp_watts = { is = "300 W", by = "me" }

[node.my-box]
gpu = "mine"
gpus = { is = "4", by = "me" }
max_watts = { is = "2 kW", by = "me" }
nic_bytes_s_per_gpu = { is = "25 GB/s", by = "me" }
liquid_share = { is = "0", by = "me" }
"""


def test_a_plant_of_ones_own_boxes_is_reckoned_through(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    plant = Plant.about(16, "my-box", catalogue=hardware.read(file))
    assert (plant.gpu.name, plant.rack_count) == ("mine", 1)
    found = evaluate(plant, Service(model="llama-3-8b", requests_per_second=1))
    assert found.slo_kept
    assert found.watts < 16 * 300 * 2
    with pytest.raises(TwinError, match="no chassis 'my-box'"):
        Plant.about(16, "my-box")
