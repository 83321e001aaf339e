"""Raw material: the catalogue, its cards, and your own files.

>>> from aifactory_lab import datasets
>>> sorted(datasets.load("flights").paths)
['airlines', 'airports', 'flights', 'planes', 'weather']
"""

from pathlib import Path

from aifactory_lab.datasets.material import RawMaterial

__all__ = ["RawMaterial", "load"]
VENDORED = Path(__file__).parents[2] / "datasets"


def load(name: str) -> RawMaterial:
    """Open a dataset by its name in the catalogue."""
    return RawMaterial(name, {path.stem: (path,) for path in sorted((VENDORED / name).glob("*.parquet"))})
