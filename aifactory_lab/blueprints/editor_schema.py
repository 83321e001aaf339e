"""The JSON schema of blueprints, for editors that complete and check YAML while it is written.

It lies beside the shipped blueprints as ``schema.json``; a file of your own names it in its first line:
``# yaml-language-server: $schema=/path/to/schema.json``, where ``aifactory run --schema`` wrote it.

>>> made()["title"]
'Blueprint of aifactory_lab'
"""

import json
from typing import Any

from aifactory_lab.blueprints.models import Blueprint

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def made() -> dict[str, Any]:
    """Return the schema of this version's words."""
    found = Blueprint.model_json_schema(mode="validation")
    return {"$schema": DIALECT, **found, "title": "Blueprint of aifactory_lab"}


def schema() -> str:
    """Return the schema as text."""
    return json.dumps(made(), indent=1, ensure_ascii=False) + "\n"
