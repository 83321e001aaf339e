"""A machine's figures are the catalogue's in the units that SimReady asks for; its connections lie on its outside."""

import math

import pytest
from pxr import Usd, UsdGeom

from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.usd import assets, machines

PLANTS = [
    Plant.about(72, "gb200-nvl72"),
    Plant.about(72, "gb300-nvl72"),
    Plant(gpus=64),
    Plant(gpus=64, chassis="dgx-h100"),
]
EVERY = [pytest.param(plant, kind, id=f"{plant.chassis}-{kind}") for plant in PLANTS for kind in machines.of(plant)]


@pytest.mark.parametrize(("plant", "kind"), EVERY)
def test_sizes_are_millimetres_of_what_is_drawn_in_metres(plant, kind, tmp_path):
    machine = machines.of(plant)[kind]
    stage = Usd.Stage.Open(str(assets.write(machine, tmp_path, date="2026-11-25")))
    root = stage.GetDefaultPrim()
    drawn = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"]).ComputeWorldBound(root).ComputeAlignedRange()
    said = [root.GetAttribute(f"aif:core:{name}").Get() / 1000 for name in ("width", "depth", "height")]
    assert tuple(drawn.GetSize()) == pytest.approx(said, abs=1e-5)
    assert tuple(drawn.GetMidpoint())[:2] == pytest.approx((0.0, 0.0), abs=1e-6)
    assert drawn.GetMin()[2] == 0.0
    told = stage.GetRootLayer().customLayerData["SimReady_Metadata"]
    assert tuple(told["asset_extents"]) == pytest.approx(said, abs=1e-6)
    assert told["mass"] == pytest.approx(root.GetAttribute("aif:core:weight").Get())
    # every figure of the class says its unit or whence it is
    spec = [attribute for attribute in root.GetAttributes() if attribute.GetName().startswith("aif:spec:")]
    assert all(attribute.GetMetadata("documentation") for attribute in spec if attribute.GetName()[9:] != "coolingType")


@pytest.mark.parametrize(("plant", "kind"), EVERY)
def test_connections_lie_on_the_outside_and_look_out(plant, kind, tmp_path):
    machine = machines.of(plant)[kind]
    stage = Usd.Stage.Open(str(assets.write(machine, tmp_path, date="2026-11-25")))
    size = machine.size
    low, high = (-size.width / 2, -size.depth / 2, 0.0), (size.width / 2, size.depth / 2, size.height)
    for port in machine.ports:
        frame = UsdGeom.Xformable(stage.GetPrimAtPath(f"/{machine.name}/ConnectionPoints/{port.name}"))
        place = frame.ComputeLocalToWorldTransform(Usd.TimeCode.Default())
        at, out = place.ExtractTranslation(), place.TransformDir((0, 0, 1))
        assert all(low[axis] - 1e-6 <= at[axis] <= high[axis] + 1e-6 for axis in range(3))
        beyond = [at[axis] + 0.01 * out[axis] for axis in range(3)]
        assert not all(low[axis] <= beyond[axis] <= high[axis] for axis in range(3)), port.name


def test_an_nvl72_rack_has_the_catalogues_power_and_the_known_flow():
    rack = machines.compute_rack(PLANTS[0])
    figures = {name.removeprefix("aif:spec:"): figure.value for name, figure in rack.figures.items()}
    assert figures["numGPUs"] == 72
    assert figures["namePlatePower"] == 132_000  # W, while all others are kW
    assert figures["liquidCooling"] + figures["airCooling"] == pytest.approx(figures["maxPowerDcTdp"]) == 132.0
    assert figures["heatCaptureRatio"] == 85.0
    inlet, litres, minutes = figures["requiredLiquidFlowRate"][0]
    assert inlet == 44.0  # the facility's 40 °C and the CDU's approach
    assert minutes == pytest.approx(60 * litres)
    assert minutes == pytest.approx(112.2 / 115 * 166.4, rel=1e-3)  # 115 kW at 10 K take 166 L/min
    air = 1.17 * 1.006 * 15 * figures["requiredAirFlowRate"][0][1]
    assert air == pytest.approx(figures["airCooling"])


def test_a_rack_of_nodes_weighs_and_draws_what_its_nodes_do():
    rack = machines.compute_rack(Plant(gpus=64, nodes_per_rack=2))
    assert rack.kilograms == pytest.approx(150 + 2 * 142.4)
    assert rack.figures["aif:spec:namePlatePower"].value == 28_600
    assert [port.name for port in rack.ports if port.domain == "thermal"] == []
    assert len([box for box in rack.boxes if box.name.startswith("Node")]) == 2


def test_a_cdus_two_loops_carry_the_same_heat():
    unit = machines.cdu(PLANTS[0])
    ports = {port.name: port.values for port in unit.ports}
    for loop in ("fws", "tcs"):
        cold, warm = ports[f"{loop}_supply"], ports[f"{loop}_return"]
        carried = (
            992.2 * 4.179 * cold["designFlowRate"] / 1000 * (warm["designTemperature"] - cold["designTemperature"])
        )
        assert carried == pytest.approx(unit.figures["aif:spec:nominalCoolingCapacity"].value) == 1350.0
    assert ports["tcs_supply"]["designTemperature"] - ports["fws_supply"]["designTemperature"] == 4.0
    assert ports["power"]["maxCurrent"] * math.sqrt(3) * 415 * 0.95 == pytest.approx(22e3)


def test_a_switch_rack_claims_no_profile(tmp_path):
    stage = Usd.Stage.Open(str(assets.write(machines.network_rack(PLANTS[0]), tmp_path, date="2026-11-25")))
    assert "validation" not in stage.GetRootLayer().customLayerData["SimReady_Metadata"]
