"""Points on a law, with noise if asked for: what nobody published as numbers is drawn from published constants."""

import numpy as np
import polars as pl

from aifactory_lab.laws import runs
from aifactory_lab.laws.law import Law

# The sizes and budgets of Hoffmann et al. 2022, figure 3: 70 million to 16 billion parameters, 5 to 500 billion tokens.
SIZES, BUDGETS = np.geomspace(7e7, 1.6e10, 9), np.geomspace(5e9, 5e11, 9)


def drawn(law: Law, *, noise: float = 0.0, seed: int = 0, sizes=SIZES, budgets=BUDGETS) -> pl.DataFrame:
    n, d = (side.ravel() for side in np.meshgrid(sizes, budgets))
    loss = law.loss(n, d) * np.exp(np.random.default_rng(seed).normal(0, noise, n.shape))
    return runs.frame(pl.DataFrame({"parameters": n, "tokens": d, "loss": loss}))
