"""Look at rows before you trust a model on them: a flat map of a sample, and its clusters.

UMAP or PCA lays the rows out in two dimensions, k-means or HDBSCAN names the clumps; what matters is whether the
share of positives differs between clumps. A map is for looking: distances between far clumps mean nothing
(Coenen & Pearce 2019, "Understanding UMAP"). This module does not train classifiers.

>>> from aifactory_lab.train import estimators
>>> estimators.names("embed"), estimators.names("cluster")
(['pca', 'umap'], ['kmeans', 'hdbscan'])
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from aifactory_lab.errors import ModelError
from aifactory_lab.train import estimators
from aifactory_lab.train.table import Table

SAMPLE = 3000


def flat_map(
    features: Path | str,
    groups: Sequence[str] = (),
    *,
    embed: str = "umap",
    cluster: str = "hdbscan",
    sample: int = SAMPLE,
    device: str | None = None,
    seed: int = estimators.SEED,
) -> pl.DataFrame:
    """Lay out a random sample of the training rows in two dimensions and name its clusters.

    Parameters
    ----------
    features
        Folder with `features.parquet` and `features.json`.
    groups
        Feature groups to look at; by default all honest ones.
    embed, cluster
        Estimators of the house: ``"pca"`` or ``"umap"``; ``"kmeans"`` or ``"hdbscan"``.

    Returns
    -------
    polars.DataFrame
        `x`, `y`, `cluster` (-1 is noise), `label` (0/1).

    Raises
    ------
    ModelError
        If an estimator does not embed, or does not cluster.
    """
    _check(embed, "embed")
    _check(cluster, "cluster")
    table = Table.open(features, groups)
    rows = table.rows("train")
    rows = rows.take(np.random.default_rng(seed).permutation(len(rows))[:sample])
    flat = np.asarray(estimators.make(embed, device, seed=seed).fit_transform(rows.x), dtype=np.float64)
    found = np.asarray(estimators.make(cluster, device).fit_predict(flat.astype(np.float32)))
    return pl.DataFrame({"x": flat[:, 0], "y": flat[:, 1], "cluster": found.astype(np.int64), "label": rows.y})


def clusters(frame: pl.DataFrame) -> pl.DataFrame:
    """Return each cluster's rows and share of positives, from `flat_map`; noise is -1.

    Examples
    --------
    >>> clusters(pl.DataFrame({"cluster": [0, 0, 1], "label": [1, 0, 1]})).rows()
    [(0, 2, 0.5), (1, 1, 1.0)]
    """
    summary = frame.group_by("cluster").agg(pl.len().alias("rows"), pl.col("label").mean().alias("positives"))
    return summary.sort("cluster")


def _check(name: str, task: estimators.Task) -> None:
    if name not in (there := estimators.names(task)):
        msg = f"{name!r} does not {task}; those that do: {', '.join(there)}"
        raise ModelError(msg)
