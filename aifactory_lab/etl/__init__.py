"""ETL: raw records become features, as lazy Polars recipes that run on CPU, GPU and clusters.

>>> import tempfile
>>> from aifactory_lab import datasets, etl
>>> folder = tempfile.mkdtemp()
>>> report = etl.run(etl.recipes.flights(), datasets.load("flights"), out=folder, engine="cpu", progress=False)
>>> report.made
327346
"""

from aifactory_lab.etl import contracts, gpu_check, quality, recipes
from aifactory_lab.etl.engine import run
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.etl.recipes import Recipe

__all__ = ["FeatureSpec", "Recipe", "contracts", "gpu_check", "quality", "recipes", "run"]
