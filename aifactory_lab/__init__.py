"""An AI factory you can open in JupyterLab: raw data in, measured intelligence out.

The rooms, in the order that data flows: `device` → `datasets` → `etl` → `train` / `lm` → `serve` → `measure`,
with `figures` above them and the command line on top. Rooms open when they are first entered, so
`import aifactory_lab` costs milliseconds.

>>> import aifactory_lab
>>> aifactory_lab.device.current("cpu").kind
'cpu'
"""

import os
from importlib import import_module
from typing import Any

from aifactory_lab.doors import lazy

# Polars gives memory back to the system after every slice and asks for it again at once; keeping it for two seconds
# saves a sixth of the CPU-seconds of an ETL run for a tenth more memory. Read when Polars is loaded, hence here.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:2000")

__version__ = "0.1.0"
__all__ = [
    "blueprints",
    "catalog",
    "cells",
    "cluster",
    "dash",
    "datasets",
    "device",
    "doctor",
    "errors",
    "etl",
    "figures",
    "fleet",
    "laws",
    "line",
    "line_report",
    "links",
    "lm",
    "measure",
    "report",
    "roofline",
    "serve",
    "telemetry",
    "train",
    "twin",
    "widgets",
    "workspace",
]

__getattr__, __dir__ = lazy(__name__, __all__)


def load_ipython_extension(shell: Any) -> None:
    """Bring `%%meter` and the ledger of cells: ``%load_ext aifactory_lab``."""
    import_module("aifactory_lab.cells").load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """End the ledger of cells: ``%unload_ext aifactory_lab``."""
    import_module("aifactory_lab.cells").unload_ipython_extension(shell)
