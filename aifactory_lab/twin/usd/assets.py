"""Machines as OpenUSD assets in the form that SimReady asks for: a folder each, in layers, with a thumbnail.

`<Name>/usd/<Name>.usda` is what a hall references; `payloads/` beside it holds geometry, properties and connection
points. Attributes carry their unit and source as documentation. Z is up, and a unit is a metre.

>>> import tempfile
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.usd import machines
>>> path = write(machines.cdu(Plant(gpus=72, chassis="gb200-nvl72")), Path(tempfile.mkdtemp()), date="2026-11-25")
>>> path.name, sorted(each.name for each in (path.parent / "payloads").iterdir())
('RowCdu.usda', ['RowCdu_ConnectionPoints.usda', 'RowCdu_Geometry.usda', 'RowCdu_Properties.usda'])
"""

from pathlib import Path
from typing import Any

import numpy as np

from aifactory_lab.errors import require
from aifactory_lab.twin.usd import thumbnail
from aifactory_lab.twin.usd.equipment import DARK, PROFILE, VERSION, Box, Equipment, Value
from aifactory_lab.twin.usd.ports import Port, assumed

Gf, Kind, Sdf, Usd, UsdGeom, Vt = (
    require(f"pxr.{name}", extra="twin") for name in ("Gf", "Kind", "Sdf", "Usd", "UsdGeom", "Vt")
)
LICENCE = "Apache-2.0"
AUTHOR = "aifactory_lab"
CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
FACES = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
NORMALS = np.array([[0, 0, -1], [0, 0, 1], [0, -1, 0], [0, 1, 0], [-1, 0, 0], [1, 0, 0]])
TOKENS = {"domain", "direction", "system", "disconnectType"}
TYPES = {bool: "Bool", int: "Int", float: "Float", str: "Token", list: "TokenArray"}


def write(machine: Equipment, folder: Path, *, date: str) -> Path:
    """Write a machine's asset into a folder of its own below `folder`.

    Parameters
    ----------
    machine
        What is written.
    folder
        Where assets lie.
    date
        Of the making, ISO.

    Returns
    -------
    Path
        Of the layer to reference.
    """
    root = folder / machine.name / "usd" / f"{machine.name}.usda"
    payloads = root.parent / "payloads"
    payloads.mkdir(parents=True)
    parts = {"ConnectionPoints": _points, "Properties": _properties, "Geometry": _geometry}
    for part, fill in parts.items():
        stage = _stage(payloads / f"{machine.name}_{part}.usda", machine)
        fill(stage, machine)
        stage.GetRootLayer().Save()
    stage = _stage(root, machine)
    layer = stage.GetRootLayer()
    layer.subLayerPaths = [f"./payloads/{machine.name}_{part}.usda" for part in parts]
    layer.customLayerData = _provenance(machine, date)
    Usd.ModelAPI(stage.GetDefaultPrim()).SetKind(Kind.Tokens.component)
    layer.Save()
    thumbnail.write(machine, root.parent / ".thumbs" / "256x256" / f"{root.name}.png")
    return root


def _stage(path: Path, machine: Equipment) -> Any:
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, f"/{machine.name}").GetPrim())
    return stage


def _provenance(machine: Equipment, date: str) -> dict[str, Any]:
    """Return the eleven fields that SimReady asks for (SR.004), and the profile that the asset claims."""
    shape = machine.size
    found: dict[str, Any] = {
        "author": AUTHOR,
        "asset_name": machine.name,
        "asset_type": "equipment",
        "asset_license": LICENCE,
        "category": machine.category or "network rack",
        "source_file": f"{machine.name}.usda",
        "usd_date_generated": date,
        "qcode": machine.qcode,
        "rigid_body_count": 0,
        "asset_extents": Gf.Vec3f(shape.width, shape.depth, shape.height),
        "mass": float(machine.kilograms),
    }
    claim = {"profile": PROFILE, "profile_version": VERSION}
    return {"SimReady_Metadata": found | ({"validation": claim} if machine.simready else {})}


def _properties(stage: Any, machine: Equipment) -> None:
    prim = stage.GetDefaultPrim()
    for name, figure in machine.figures.items():
        attribute = _custom(prim, name, figure.value)
        said = "; ".join(filter(None, (figure.unit, figure.source)))
        if said:
            attribute.SetDocumentation(said)


def _custom(prim: Any, name: str, value: Value) -> Any:
    """Set an attribute in the type that its value asks for: words as strings, triples as float3."""
    types = Sdf.ValueTypeNames
    if isinstance(value, str):
        return _set(prim, name, types.String, value)
    if isinstance(value, tuple):
        triples = np.array(value, np.float32)
        if triples.ndim > 1:
            return _set(prim, name, types.Float3Array, Vt.Vec3fArray.FromNumpy(triples))
        return _set(prim, name, types.Float3, Gf.Vec3f(*triples.tolist()))
    return _set(prim, name, types.Int if isinstance(value, int) else types.Float, value)


def _set(prim: Any, name: str, kind: Any, value: Any) -> Any:
    attribute = prim.CreateAttribute(name, kind)
    attribute.Set(value)
    return attribute


def _points(stage: Any, machine: Equipment) -> None:
    scope = UsdGeom.Scope.Define(stage, stage.GetDefaultPrim().GetPath().AppendChild("ConnectionPoints"))
    for port in machine.ports:
        _point(UsdGeom.Xform.Define(stage, scope.GetPath().AppendChild(port.name)), port)


def _point(frame: Any, port: Port) -> None:
    frame.CreatePurposeAttr(UsdGeom.Tokens.guide)
    frame.AddTranslateOp().Set(Gf.Vec3d(*port.at))
    if any(port.turned):
        frame.AddRotateXYZOp().Set(Gf.Vec3f(*port.turned))
    base = {"domain": port.domain, "direction": port.direction, "system": port.system}
    base |= {"disconnectType": port.disconnect, "serviceClearance": assumed("site", "clearance")}
    every = base | {f"{port.domain}:{name}": value for name, value in port.values.items()}
    for name, value in every.items():
        kind = getattr(Sdf.ValueTypeNames, TYPES[type(value)])
        _set(frame.GetPrim(), f"simready:connectionPoint:{name}", kind, value)


def _geometry(stage: Any, machine: Equipment) -> None:
    body = UsdGeom.PrimvarsAPI(stage.GetDefaultPrim()).CreatePrimvar("displayColor", Sdf.ValueTypeNames.Color3fArray)
    body.Set([Gf.Vec3f(*DARK)])  # of what has no colour of its own: a hall may give it another
    group = UsdGeom.Xform.Define(stage, stage.GetDefaultPrim().GetPath().AppendChild("Geometry"))
    for box in machine.boxes:
        _mesh(UsdGeom.Mesh.Define(stage, group.GetPath().AppendChild(box.name)), box)


def _mesh(mesh: Any, box: Box) -> None:
    """Fill a mesh with a closed block of six faces with flat normals."""
    points = np.asarray(box.at) + CORNERS * box.size
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points.astype(np.float32)))
    mesh.CreateFaceVertexCountsAttr([4] * len(FACES))
    mesh.CreateFaceVertexIndicesAttr(FACES.ravel().tolist())
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(NORMALS.repeat(4, axis=0).astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.faceVarying)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr([Gf.Vec3f(*map(float, ends)) for ends in (points.min(axis=0), points.max(axis=0))])
    if box.colour != DARK:
        mesh.CreateDisplayColorAttr([Gf.Vec3f(*box.colour)])
