"""A hall as OpenUSD is valid, true to its measures, the same when read again, and whole whatever happens."""

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pxr import Sdf, Usd, UsdGeom, UsdValidation

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hall, usd
from aifactory_lab.twin.plant import Plant

NONE_ITS_OWN, ALL_THEIR_OWN = 0, 10**9  # machines that are prims of their own
MODES = pytest.mark.parametrize("most", [ALL_THEIR_OWN, NONE_ITS_OWN], ids=["prims", "instancer"])


@pytest.fixture(scope="module")
def made():
    return hall.layout(Plant.about(1500, "gb200-nvl72"))


def complaints(path):
    """What OpenUSD's own validators say, all of them."""
    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    return [error.GetMessage() for error in context.Validate(Usd.Stage.Open(str(path)))]


@MODES
@pytest.mark.parametrize("chassis", ["gb200-nvl72", "dgx-b200"])
def test_every_validator_of_openusd_is_content(chassis, most, tmp_path):
    values = pl.DataFrame({"rack": [0, 0], "seconds": [0.0, 60.0], "watts": [1e5, 9e4], "state": ["up", "down"]})
    path = usd.export(hall.layout(Plant.about(500, chassis)), tmp_path / "hall", values, most=most)
    assert complaints(path) == []
    assert all(complaints(asset) == [] for asset in (tmp_path / "hall" / "assets").glob("*/usd/*.usda"))


def test_the_validators_do_complain_where_something_is_missing(made, tmp_path):
    path = usd.export(made, tmp_path / "hall")
    layer = Sdf.Layer.FindOrOpen(str(path))
    layer.ClearDefaultPrim()
    layer.pseudoRoot.ClearInfo("upAxis")
    layer.pseudoRoot.ClearInfo("metersPerUnit")
    layer.GetPrimAtPath("/Hall/Racks/Row_0/Rack_0").referenceList.prependedItems = [Sdf.Reference("./gone.usda")]
    layer.Save()
    assert len(complaints(path)) >= 4


def test_z_is_up_a_unit_is_a_metre_and_machines_are_instances(made, tmp_path):
    stage = Usd.Stage.Open(str(usd.export(made, tmp_path / "hall")))
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.GetDefaultPrim().GetPath() == "/Hall"
    machines = [prim for prim in stage.Traverse() if prim.IsInstance()]
    assert len(machines) == made.racks.height + made.coolers.height
    assert len(stage.GetPrototypes()) == 4
    assert not [path for path in stage.GetRootLayer().GetExternalReferences() if not path.startswith("./assets/")]


@pytest.mark.parametrize("chassis", ["gb200-nvl72", "dgx-b200"])
def test_racks_stand_on_the_floor_where_the_hall_has_them_and_look_into_the_cold_aisle(chassis, tmp_path):
    laid = hall.layout(Plant.about(300, chassis))
    stage = Usd.Stage.Open(str(usd.export(laid, tmp_path / "hall")))
    bounds = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"])
    for rack in laid.racks.iter_rows(named=True):
        prim = stage.GetPrimAtPath(f"/Hall/Racks/Row_{rack['row']}/Rack_{rack['rack']}")
        check(bounds.ComputeWorldBound(prim).ComputeAlignedRange(), rack)
        seen = next(
            each for each in Usd.PrimRange(prim, Usd.TraverseInstanceProxies()) if each.GetName().startswith(FRONTS)
        )
        front = bounds.ComputeWorldBound(seen).ComputeAlignedRange()
        middle = (front.GetMin()[1] + front.GetMax()[1]) / 2
        assert (middle > rack["y"]) == (rack["front"] == 90)


FRONTS = ("Compute", "Switch", "Node", "Power")


def check(box, thing):
    low, high = box.GetMin(), box.GetMax()
    halves = thing["width"] / 2, thing["depth"] / 2
    assert tuple(low) == pytest.approx((thing["x"] - halves[0], thing["y"] - halves[1], 0.0), abs=1e-5)
    assert tuple(high) == pytest.approx((thing["x"] + halves[0], thing["y"] + halves[1], thing["height"]), abs=1e-5)


@pytest.mark.parametrize("chassis", ["gb200-nvl72", "dgx-b200"])
def test_what_hangs_from_the_lines_ends_in_the_machines_connections(chassis, tmp_path):
    laid = hall.layout(Plant.about(300, chassis))
    stage = Usd.Stage.Open(str(usd.export(laid, tmp_path / "hall")))
    places, ends = UsdGeom.XformCache(), set()
    for prim in Usd.PrimRange(stage.GetPrimAtPath("/Hall"), Usd.TraverseInstanceProxies()):
        if prim.GetParent().GetName() == "ConnectionPoints":
            at = places.GetLocalToWorldTransform(prim).ExtractTranslation()
            ends.add((PIPED.get(prim.GetName(), prim.GetName()), *(round(part, 3) for part in at)))
    hanging = laid.drops().filter(pl.col("kind") != "network")
    for loop, system, points in hanging.select("loop", "system", "points").rows():
        label = loop if loop == system else f"{loop}_{system}"
        assert (label, *(round(part, 3) for part in points[0])) in ends
    assert hanging.height == len({end for end in ends if not end[0].startswith("air")})


PIPED = {
    f"{short}_{way}": f"{loop}_{way}"
    for short, loop in (("tcs", "technology"), ("fws", "facility"))
    for way in ("supply", "return")
}


def test_points_of_an_instancer_stand_where_prims_would(made, tmp_path):
    stage = Usd.Stage.Open(str(usd.export(made, tmp_path / "hall", most=NONE_ITS_OWN)))
    bounds = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"])
    for group, things in (("Racks", made.racks), ("Coolers", made.coolers)):
        instancer = UsdGeom.PointInstancer(stage.GetPrimAtPath(f"/Hall/{group}"))
        for place, thing in enumerate(things.iter_rows(named=True)):
            check(bounds.ComputePointInstanceWorldBound(instancer, place).ComputeAlignedRange(), thing)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["dgx-h100", "gb300-nvl72"]),
    st.integers(1, 1200),
    st.floats(15, 45),
    st.integers(1, 25),
    st.booleans(),
    st.booleans(),
)
def test_a_hall_read_again_is_the_same(tmp_path_factory, chassis, gpus, water, longest, prims, text):
    plant = Plant.about(gpus, chassis, water_celsius=water, spare=2)
    laid = hall.layout(plant, aisle=hall.Aisle(cold=1.8, longest=longest))
    folder = tmp_path_factory.mktemp("again") / "hall"
    usd.export(laid, folder, most=ALL_THEIR_OWN if prims else NONE_ITS_OWN, text=text)
    again = usd.read(folder)
    assert (again.plant, again.aisle, again.extent) == (laid.plant, laid.aisle, laid.extent)
    tight = {"check_exact": True} if prims else {"abs_tol": 1e-5}  # an instancer's points are single floats
    for name in ("racks", "coolers"):
        assert_frame_equal(getattr(again, name), getattr(laid, name), **tight)
    for name in ("pipes", "trays"):
        keys = ["system", "row"] if name == "trays" else ["loop", "system", "row"]
        ours, theirs = (unfolded(getattr(each, name), keys) for each in (again, laid))
        assert_frame_equal(ours, theirs, abs_tol=1e-4)


def unfolded(lines, keys):
    ends = [
        pl.col("points").list.get(place).arr.get(axis).alias(f"{place}{axis}") for place in (0, 1) for axis in range(3)
    ]
    return lines.with_columns(*ends).drop("points").sort(*keys, "00", "01")


@MODES
def test_what_racks_do_comes_back_moment_by_moment(made, most, tmp_path):
    several = pl.DataFrame(
        {
            "rack": [0, 1, 2, 0, 1],
            "seconds": [0.0, 0.0, 0.0, 60.0, 60.0],
            "watts": [98e3, 99e3, None, 0.0, 99e3],
            "state": ["up", "up", "unknown", "down", None],
        }
    )
    usd.export(made, tmp_path / "hall", several, most=most)
    told = usd.read_values(tmp_path / "hall")
    assert_frame_equal(told, several.sort("seconds", "rack"), check_column_order=False)
    stage = Usd.Stage.Open(str(tmp_path / "hall" / "hall.usdc"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0.0, 60.0, 1.0)
    usd.export(made, tmp_path / "hall", several.filter(seconds=0.0).drop("seconds"), most=most)
    told = usd.read_values(tmp_path / "hall")
    assert_frame_equal(told, several.filter(seconds=0.0).drop("seconds"), check_column_order=False)
    assert usd.read_values(usd.export(made, tmp_path / "bare", most=most)).height == 0


@MODES
def test_racks_are_coloured_from_the_least_to_the_most(made, most, tmp_path):
    values = pl.DataFrame({"rack": [0, 1, 2], "celsius": [40.0, 80.0, 60.0]})
    stage = Usd.Stage.Open(str(usd.export(made, tmp_path / "hall", values, by="celsius", most=most)))
    if most:
        row = "/Hall/Racks/Row_0"
        found = [stage.GetAttributeAtPath(f"{row}/Rack_{rack}.primvars:displayColor").Get()[0] for rack in range(4)]
        body = stage.GetPrimAtPath(f"{row}/Rack_1/Geometry/Body")
        inherited = UsdGeom.PrimvarsAPI(body).FindPrimvarWithInheritance("displayColor")
        assert inherited.Get()[0] == found[1]
    else:
        shown = UsdGeom.PrimvarsAPI(stage.GetPrimAtPath("/Hall/Racks")).GetPrimvar("displayColor")
        assert shown.GetInterpolation() == "vertex"
        found = list(shown.Get())[:4]
    violet, yellow, teal, dark = ([round(part, 2) for part in colour] for colour in found)
    assert (violet, yellow, teal) == ([0.27, 0.0, 0.33], [0.99, 0.91, 0.15], [0.13, 0.57, 0.55])
    assert dark == [0.1, 0.1, 0.11]
    later = pl.concat([values.with_columns(seconds=at, celsius=pl.col("celsius") + at) for at in (0.0, 40.0)])
    stage = Usd.Stage.Open(str(usd.export(made, tmp_path / "day", later, by="celsius", most=most)))
    path = "/Hall/Racks/Row_0/Rack_1.primvars:displayColor" if most else "/Hall/Racks.primvars:displayColor"
    colours = [stage.GetAttributeAtPath(path).Get(at)[0 if most else 1] for at in (0.0, 40.0)]  # 80 °C, then 120
    assert [round(part, 2) for part in colours[0]] == [0.13, 0.57, 0.55]
    assert [round(part, 2) for part in colours[1]] == [0.99, 0.91, 0.15]
    assert complaints(tmp_path / "day" / "hall.usdc") == []
    with pytest.raises(TwinError, match="'state': it holds String"):
        usd.export(made, tmp_path / "no", pl.DataFrame({"rack": [0], "state": ["up"]}), by="state")


def test_a_rack_that_somebody_moved_is_read_where_it_is_now(made, tmp_path):
    path = usd.export(made, tmp_path / "hall")
    stage = Usd.Stage.Open(str(path))
    prim = stage.GetPrimAtPath("/Hall/Racks/Row_0/Rack_3")
    prim.GetAttribute("xformOp:translate").Set((1.5, 2.5, 0.0))
    prim.GetAttribute("xformOp:rotateZ").Set(90.0)
    stage.Save()
    moved = usd.read(path).racks.row(3, named=True)
    assert (moved["x"], moved["y"], moved["front"]) == (1.5, 2.5, 0)


def test_a_folder_with_something_else_is_left_alone_and_an_older_hall_replaced(made, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(TwinError, match="something else than a hall") as caught:
        usd.export(made, tmp_path)
    assert caught.value.mend
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    first = usd.export(made, tmp_path / "hall", text=True)
    smaller = hall.layout(Plant.about(72, "gb200-nvl72"))
    assert usd.export(smaller, tmp_path / "hall") != first
    assert usd.read(tmp_path / "hall").racks.height == smaller.racks.height
    assert not first.exists()


KILLED = """
import sys
from aifactory_lab.twin import hall, usd
from aifactory_lab.twin.plant import Plant
usd.export(hall.layout(Plant.about(72 * 1000, "gb200-nvl72")), sys.argv[1], text=True)
"""


def test_a_killed_export_leaves_the_older_hall_whole(made, tmp_path):
    usd.export(made, tmp_path / "hall")
    writer = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "hall"])
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".hall.partial-*")):
        assert time.monotonic() < deadline
        assert writer.poll() is None
        time.sleep(0.005)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert list(tmp_path.glob(".hall.partial-*")), "it was to be killed while it wrote"
    assert usd.read(tmp_path / "hall").racks.equals(made.racks)
    usd.export(made, tmp_path / "hall")
    assert [path.name for path in tmp_path.iterdir()] == ["hall"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pl.DataFrame({"watts": [1.0]}), "need a column 'rack'"),
        (pl.DataFrame({"rack": [0]}), "one beside it"),
        (pl.DataFrame({"rack": [999], "watts": [1.0]}), "rack 999"),
        (pl.DataFrame({"rack": [None], "watts": [1.0]}, schema={"rack": pl.Int64, "watts": pl.Float64}), "rack None"),
        (pl.DataFrame({"rack": [1, 1], "watts": [1.0, 2.0]}), "twice"),
    ],
)
def test_values_that_do_not_fit_are_named_before_anything_is_written(made, values, said, tmp_path):
    with pytest.raises(TwinError, match=said) as caught:
        usd.export(made, tmp_path / "hall", values)
    assert caught.value.mend
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_hall_is_refused_by_name(tmp_path):
    for path in (tmp_path, tmp_path / "gone.usdc"):
        with pytest.raises(TwinError, match="holds no hall"):
            usd.read(path)
    (tmp_path / "hall.usda").write_text("#usda 1.0\nthis is broken {")
    with pytest.raises(TwinError, match=r"hall\.usda is no OpenUSD that can be read"):
        usd.read(tmp_path)
    stage = Usd.Stage.CreateNew(str(tmp_path / "other.usda"))
    UsdGeom.Xform.Define(stage, "/Cat")
    stage.Save()
    with pytest.raises(TwinError, match="no hall of ours"):
        usd.read(tmp_path / "other.usda")
