"""A trial of near-duplicate search: copies with known edits are planted, and those that are found are counted.

What share of windows a planted copy still has in common with its original is counted exactly, so every found and
every missed pair can be held against the S-curve that the settings promise. This module changes no corpus.

>>> texts = ["".join(chr(97 + (n * n + n * k) % 26) for n in range(400)) for k in range(1, 5)]
>>> pairs = trial(texts, shares=(0.0,), copies=1)
>>> pairs.select("share", "jaccard", "found").unique().rows()
[(0.0, 1.0, True)]
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from aifactory_lab.etl.curation import minhash

SHARES = (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03)  # one edit in a window spoils 24 of them
BINS = 20


def trial(
    texts: Sequence[str],
    *,
    shares: Sequence[float] = SHARES,
    copies: int = 2,
    seed: int = 0,
    settings: minhash.MinHash = minhash.DEFAULT,
) -> pl.DataFrame:
    """Plant edited copies of texts and tell which would be candidates of their originals.

    Parameters
    ----------
    texts
        Originals, each at least a window long.
    shares
        Shares of characters that are replaced, at random places.
    copies
        How many copies of each text for each share.

    Returns
    -------
    DataFrame
        share, jaccard (exact), estimate (by the signatures), probability (that the S-curve promises), found.
    """
    random = np.random.default_rng(seed)
    planted = [(place, share) for place in range(len(texts)) for share in shares for _ in range(copies)]
    edited = [edit(texts[place], share, random) for place, share in planted]
    signed = minhash.signatures([*texts, *edited], settings)
    originals = signed[[place for place, _ in planted]]
    copied = signed[len(texts) :]
    banded = minhash.bands(originals, settings) == minhash.bands(copied, settings)
    exact = [minhash.jaccard(texts[place], text, settings) for (place, _), text in zip(planted, edited, strict=True)]
    return pl.DataFrame(
        {
            "share": [share for _, share in planted],
            "jaccard": exact,
            "estimate": (originals == copied).mean(axis=1),
            "probability": [minhash.candidate_probability(value, settings) for value in exact],
            "found": banded.any(axis=1),
        }
    )


def edit(text: str, share: float, random: np.random.Generator) -> str:
    """Return the text with about so large a share of its characters replaced by lower-case letters."""
    letters = np.array(list(text))
    places = random.random(len(letters)) < share
    letters[places] = [chr(97 + number) for number in random.integers(0, 26, int(places.sum()))]
    return "".join(letters)


def curve(pairs: pl.DataFrame, *, bins: int = BINS) -> pl.DataFrame:
    """Return jaccard (mean of a bin), pairs, found (share) and probability (mean), for bins of equal width."""
    place = (pl.col("jaccard") * bins).floor().clip(0, bins - 1).alias("bin")
    found = pl.col("found").cast(pl.Float64).mean()
    binned = pairs.group_by(place).agg(
        pl.col("jaccard").mean(), pl.len().alias("pairs"), found, pl.col("probability").mean()
    )
    return binned.sort("bin").drop("bin")


def scores(pairs: pl.DataFrame, *, threshold: float = 0.8) -> dict[str, float]:
    """Return recall and precision where pairs of at least so much similarity are the near duplicates.

    Recall is the share of near duplicates that were found, precision the share of found pairs that are; 1.0 where
    there are none.
    """
    alike = pairs["jaccard"] >= threshold
    both = int((alike & pairs["found"]).sum())
    return {
        "recall": both / int(alike.sum()) if alike.any() else 1.0,
        "precision": both / int(pairs["found"].sum()) if pairs["found"].any() else 1.0,
    }
