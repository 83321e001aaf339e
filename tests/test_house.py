"""The house keeps its own rules: light import, one direction, docstrings, small modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import aifactory_lab

PACKAGE = Path(aifactory_lab.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ORDER = [
    "doors",
    "errors",
    "aside",
    "access",
    "decoding",
    "device",
    "telemetry",
    "links",
    "roofline",
    "measure",
    "workspace",
    "cluster",
    "fleet",
    "datasets",
    "etl",
    "train",
    "lm",
    "serve",
    "twin",
    "laws",
]
TOP = [
    "figures",
    "report",
    "line",
    "line_report",
    "blueprints",
    "twin_report",
    "doctor",
    "dash",
    "catalog",
    "widgets",
    "cells",
    "terminal",
    "fleet_commands",
    "twin_commands",
    "catalog_commands",
    "cli",
]
HEAVY = (
    "polars",
    "numpy",
    "pandas",
    "sklearn",
    "xgboost",
    "mlflow",
    "plotly",
    "dask",
    "fastapi",
    "pooch",
    "torch",
    "transformers",
)


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "aifactory_lab":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aifactory_lab."):
            rooms.add((node.module or "").split(".")[1])
    return rooms & {*ORDER, *TOP}


def test_import_opens_no_heavy_room():
    code = f"import sys, aifactory_lab; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_named_room_opens():
    for name in aifactory_lab.__all__:
        assert getattr(aifactory_lab, name).__name__ == f"aifactory_lab.{name}"
    assert aifactory_lab.__all__ == sorted(aifactory_lab.__all__)
    with pytest.raises(AttributeError, match="has no 'cellar'; did you mean 'cells'"):
        _ = aifactory_lab.cellar


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_run_one_way(module):
    here = room(module)
    order = [*ORDER, *TOP]
    if here not in order:
        return
    above = {name for name in imported_rooms(module) if order.index(name) > order.index(here)}
    # the serving load test and the line draw nothing: figures stand above the stations
    assert not above, f"{here} imports {above} from above"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_module_has_one_purpose_and_says_it(module):
    text = module.read_text()
    assert len(text.splitlines()) <= 400, "split it: one purpose a module"
    assert ast.get_docstring(ast.parse(text)), "a module says what it is"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_only_device_asks_for_gpus(module):
    if module.name == "device.py":
        return
    text = module.read_text()
    for call in ("cuda.is_available", "getDeviceCount", "libcuda.so"):
        assert call not in text, f"{call} belongs in device.py"
