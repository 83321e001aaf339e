"""Maps and clusters of real rows."""

import numpy as np
import pytest

from aifactory_lab.errors import ModelError
from aifactory_lab.figures import training
from aifactory_lab.train import explore


@pytest.mark.parametrize(("embed", "cluster"), [("pca", "kmeans"), ("pca", "hdbscan")])
def test_a_map_has_a_place_and_a_cluster_for_every_row(features, embed, cluster):
    frame = explore.flat_map(features, ("weather",), embed=embed, cluster=cluster, sample=600, device="cpu")
    assert frame.height == 600
    assert np.isfinite(frame.select("x", "y").to_numpy()).all()
    assert frame["cluster"].n_unique() == (8 if cluster == "kmeans" else 1)  # one cloud: all noise to HDBSCAN
    assert explore.clusters(frame)["rows"].sum() == 600
    figure = training.flat_map(frame)
    assert sum(len(trace.x) for trace in figure.data) == 600


def test_a_map_repeats(features):
    one, two = (explore.flat_map(features, embed="pca", cluster="kmeans", sample=300, device="cpu") for _ in range(2))
    assert one.equals(two)


def test_what_cannot_embed_is_refused(features):
    with pytest.raises(ModelError, match="'kmeans' does not embed; those that do: pca, umap"):
        explore.flat_map(features, embed="kmeans")
