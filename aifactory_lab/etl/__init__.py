"""ETL: raw records become features, raw text becomes curated text: lazy Polars queries for CPU, GPU and clusters.

>>> import tempfile
>>> from aifactory_lab import datasets, etl
>>> folder = tempfile.mkdtemp()
>>> report = etl.run(etl.recipes.flights(), datasets.load("flights"), out=folder, engine="cpu", progress=False)
>>> report.made
327346
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy
from aifactory_lab.etl import contracts, recipes
from aifactory_lab.etl.engine import run
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.etl.recipes import Recipe

if TYPE_CHECKING:
    from aifactory_lab.etl import curation, quality
    from aifactory_lab.etl.cuts import distribution
    from aifactory_lab.etl.translation import gpu_check

__all__ = ["FeatureSpec", "Recipe", "contracts", "curation", "distribution", "gpu_check", "quality", "recipes", "run"]
_HOMES = {"distribution": "cuts", "gpu_check": "translation"}

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
