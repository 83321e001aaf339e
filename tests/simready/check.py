"""NVIDIA's own validator passes our racks, CDUs and fan units as AIF-Entity, and fails what is broken on purpose.

Run by `make simready-check`, which makes the validator's environment; not among the tests of `make test`.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pxr import Sdf

from aifactory_lab.twin import hall, usd
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.usd.equipment import PROFILE, VERSION

PROGRAMS = Path(__file__).parents[2] / ".venv-simready" / "bin"
PLANTS = ("gb200-nvl72", "gb300-nvl72", "dgx-h100", "dgx-b200")
GOOD = {f"{chassis}/{name}" for chassis in PLANTS for name in ("FanUnit", "rack")}
GOOD |= {f"{chassis}/RowCdu" for chassis in PLANTS if "nvl72" in chassis}


def without_prim(layer, prim):
    edit = Sdf.BatchNamespaceEdit()
    edit.Add(prim, Sdf.Path.emptyPath)
    assert layer.Apply(edit)


def lose_a_pipe(folder):
    """The coolant comes, and nothing takes it away."""
    layer = Sdf.Layer.FindOrOpen(str(folder / "payloads" / "RowCdu_ConnectionPoints.usda"))
    without_prim(layer, "/RowCdu/ConnectionPoints/tcs_return")
    layer.Save()


def lose_its_capacity(folder):
    layer = Sdf.Layer.FindOrOpen(str(folder / "payloads" / "RowCdu_Properties.usda"))
    del layer.GetPrimAtPath("/RowCdu").properties["aif:spec:nominalCoolingCapacity"]
    layer.Save()


def lose_its_power(folder):
    layer = Sdf.Layer.FindOrOpen(str(folder / "payloads" / "RowCdu_ConnectionPoints.usda"))
    without_prim(layer, "/RowCdu/ConnectionPoints/power")
    layer.Save()


def lose_its_picture(folder):
    shutil.rmtree(folder / ".thumbs")


# what is broken, the feature that must fail, and the requirement that its message names
BROKEN = {
    "pipe": (lose_a_pipe, "FET202_AIF", "tcs_return"),
    "capacity": (lose_its_capacity, "FET202_AIF", "nominalCoolingCapacity"),
    "power": (lose_its_power, "FET203_AIF", "electrical connection point"),
    "picture": (lose_its_picture, "FET_033_STANDARD", "No thumbnail"),
}


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    """By name, the layers to validate: each machine of some plants, and CDUs that lack something."""
    folder, found = tmp_path_factory.mktemp("simready"), {}
    for chassis in PLANTS:
        usd.export(hall.layout(Plant.about(64, chassis)), folder / chassis)
        for path in (folder / chassis / "assets").glob("*/usd/*.usda"):
            name = path.stem if path.stem in {"FanUnit", "RowCdu", "NetworkRack"} else "rack"
            found[f"{chassis}/{name}"] = path
    for name, (spoil, *_) in BROKEN.items():
        copy = folder / "broken" / name / "RowCdu"
        shutil.copytree(found["gb200-nvl72/RowCdu"].parents[1], copy)
        spoil(copy / "usd")
        found[name] = copy / "usd" / "RowCdu.usda"
    return {name: path for name, path in found.items() if not name.endswith("NetworkRack")}


@pytest.fixture(scope="module")
def verdicts(assets, tmp_path_factory):
    """What the validator says: by name the features that failed; and its words."""
    folder = tmp_path_factory.mktemp("verdicts")
    (folder / "list").write_text("\n".join(str(path) for path in assets.values()))
    order = [
        "--profile",
        PROFILE,
        "--version",
        VERSION,
        "--asset_list",
        folder / "list",
        "--output",
        folder / "json",
        "-v",
    ]
    done = subprocess.run([PROGRAMS / "simready-validate", *order], capture_output=True, text=True, check=False)
    told = json.loads((folder / "json").read_text())
    failed = {
        name: {feature for feature, said in told[str(path)]["features_summary"].items() if not said["passed"]}
        for name, path in assets.items()
    }
    return failed, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(GOOD))
def test_the_validator_passes(name, verdicts):
    assert verdicts[0][name] == set()


@pytest.mark.parametrize("name", BROKEN)
def test_the_validator_fails_what_lacks_something_and_says_what(name, verdicts):
    _, feature, words = BROKEN[name]
    assert verdicts[0][name] == {feature}
    assert words in verdicts[1]


def test_nothing_else_was_asked(verdicts):
    assert set(verdicts[0]) == GOOD | set(BROKEN)


def failures(path):
    """What NVIDIA's general rules say of a stage: how many failures and errors, in words too.

    Left out is that a pivot should lie in the middle: a hall is measured from its corner.
    """
    rules = [word for category in ("Basic", "Geometry", "Layer", "Layout", "Units") for word in ("-c", category)]
    order = [
        PROGRAMS / "nvidia_usd_validate",
        *rules,
        "-D",
        "AssetPivotPlacementChecker",
        "--no-instance-prototypes",
        path,
    ]
    told = subprocess.run(order, capture_output=True, text=True, check=False)
    words = told.stdout + told.stderr
    counts = re.findall(r"^.*:(?:Failures|Errors): (\d+)$", words, re.MULTILINE)
    assert len(counts) == 2, words
    return sum(map(int, counts)), words


def test_a_whole_hall_keeps_the_general_rules_and_a_spoilt_one_does_not(tmp_path):
    path = usd.export(hall.layout(Plant.about(1000, "gb200-nvl72")), tmp_path / "hall")
    assert failures(path)[0] == 0
    layer = Sdf.Layer.FindOrOpen(str(path))
    layer.GetAttributeAtPath("/Hall/Floor.extent").default = [(0, 0, 0), (1, 1, 1)]
    layer.Save()
    count, words = failures(path)
    assert count == 1
    assert "incorrect extent" in words
