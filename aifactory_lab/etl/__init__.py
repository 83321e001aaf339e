"""ETL: raw records become features, raw text becomes curated text: lazy Polars queries for CPU, GPU and clusters.

>>> import tempfile
>>> from aifactory_lab import datasets, etl
>>> folder = tempfile.mkdtemp()
>>> report = etl.run(etl.recipes.flights(), datasets.load("flights"), out=folder, engine="cpu", progress=False)
>>> report.made
327346
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aifactory_lab.etl import contracts, recipes
from aifactory_lab.etl.engine import run
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.etl.recipes import Recipe

if TYPE_CHECKING:
    from aifactory_lab.etl import curation, quality
    from aifactory_lab.etl.cuts import distribution
    from aifactory_lab.etl.translation import gpu_check

__all__ = ["FeatureSpec", "Recipe", "contracts", "curation", "distribution", "gpu_check", "quality", "recipes", "run"]
_FROM = {"distribution": "cuts", "gpu_check": "translation"}


def __getattr__(name: str) -> Any:
    """Open on first use (PEP 562) what a run of a recipe does not need."""
    if name in ("curation", "quality"):
        return import_module(f"aifactory_lab.etl.{name}")
    if name in _FROM:
        return getattr(import_module(f"aifactory_lab.etl.{_FROM[name]}"), name)
    msg = f"etl has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
