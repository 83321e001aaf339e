"""Blueprints: a line, or a plant of two, described in a YAML file and run from it.

`aifactory run night.yaml` runs a file of your own, `aifactory run flights` one that came with this package. A file
names data, recipe, model, endpoint and objectives (SLO) by words that the house knows; it cannot name code.

>>> from aifactory_lab import blueprints
>>> blueprint = blueprints.read(blueprints.path("factory"))
>>> blueprint.decisions.slo.p99_ms, blueprint.tokens.model.depth
(50.0, 4)
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.blueprints.editor_schema import schema
    from aifactory_lab.blueprints.endpoints import serving
    from aifactory_lab.blueprints.models import Blueprint
    from aifactory_lab.blueprints.problems import BlueprintError, Problem
    from aifactory_lab.blueprints.reading import parse, read
    from aifactory_lab.blueprints.running import Run, check, run
    from aifactory_lab.blueprints.shipped import find, names, path, template

_HOMES = {
    "Blueprint": "models",
    "BlueprintError": "problems",
    "Problem": "problems",
    "Run": "running",
    "check": "running",
    "find": "shipped",
    "names": "shipped",
    "parse": "reading",
    "path": "shipped",
    "read": "reading",
    "run": "running",
    "schema": "editor_schema",
    "serving": "endpoints",
    "template": "shipped",
}
__all__ = [
    "Blueprint",
    "BlueprintError",
    "Problem",
    "Run",
    "check",
    "find",
    "names",
    "parse",
    "path",
    "read",
    "run",
    "schema",
    "serving",
    "template",
]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
