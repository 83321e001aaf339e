"""Near duplicates: documents that share most of their 24-character windows.

Signatures are cut into bands; documents that agree in a whole band are joined, and of everything that hangs together
the first row stays. Banding and joining are queries; the joined pairs are a few bytes a document, so their connected
components are SciPy's on every machine. Texts shorter than a window have no signature and stay. This module does not
know how signatures come about: `minhash` does.

>>> from aifactory_lab.etl.curation.processors import Host
>>> text = "Return the canonical path of the specified filename, eliminating symbolic links"
>>> found = near_duplicates(pl.DataFrame({"row": [0, 1, 2], "text": [text, text + ".", text[::-1]]}), Host())
>>> found.select("row", "first").rows()
[(1, 0)]
"""

import numpy as np
import polars as pl

from aifactory_lab.etl.curation import minhash
from aifactory_lab.etl.curation.processors import Processor

SCHEMA = {"row": pl.UInt32, "first": pl.UInt32, "jaccard": pl.Float64}


def near_duplicates(
    documents: pl.DataFrame, processor: Processor, settings: minhash.MinHash = minhash.DEFAULT
) -> pl.DataFrame:
    """Return the documents that nearly repeat an earlier one.

    Parameters
    ----------
    documents
        row (unique, at most 2^32) and text.

    Returns
    -------
    DataFrame
        row; first: the earliest that it hangs together with, maybe over others; jaccard: how similar the two are by
        their signatures.
    """
    signed = pl.col("text").str.len_chars() >= settings.width
    long = documents.filter(signed).select(pl.col("row").cast(pl.UInt32), "text")
    if long.height < 2:
        return pl.DataFrame(schema=SCHEMA)
    made = processor.signatures(long["text"], settings)
    pairs = processor.collect(joined(banded(minhash.bands(made, settings)).lazy()))
    labels = _components(pairs, long.height)
    rows = long["row"].to_numpy()
    first = np.full(labels.max() + 1, np.iinfo(np.uint32).max, np.uint32)
    np.minimum.at(first, labels, rows)
    return _told(rows, first[labels], made)


def banded(keys: minhash.Hashes) -> pl.DataFrame:
    """Return member, band, key: one row for each band of each signature."""
    members, bands = keys.shape
    return pl.DataFrame(
        {
            "member": np.repeat(np.arange(members, dtype=np.uint32), bands),
            "band": np.tile(np.arange(bands, dtype=np.uint32), members),
            "key": keys.ravel(),
        }
    )


def joined(keys: pl.LazyFrame) -> pl.LazyFrame:
    """Return member, partner: each that agrees in a band with an earlier one, and the earliest of that band.

    A star instead of all pairs: it has the same connected components, and grows with the members of a band, not with
    their square.
    """
    earliest = keys.group_by("band", "key").agg(pl.col("member").min().alias("partner"))
    pairs = keys.join(earliest, on=["band", "key"]).filter(pl.col("member") != pl.col("partner"))
    return pairs.select("member", "partner").unique()


def _components(pairs: pl.DataFrame, members: int) -> np.ndarray:
    """Return a label for each member, equal within a connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = pairs["member"].to_numpy(), pairs["partner"].to_numpy()
    graph = coo_array((np.ones(pairs.height, np.bool_), ends), shape=(members, members))
    return np.asarray(connected_components(graph, directed=False)[1])


def _told(rows: np.ndarray, first: np.ndarray, made: minhash.Signatures) -> pl.DataFrame:
    """Return what goes, with the estimated similarity to what stays."""
    goes = np.flatnonzero(rows != first)
    order = np.argsort(rows)
    stays = order[np.searchsorted(rows, first[goes], sorter=order)]
    similar = (made[goes] == made[stays]).mean(axis=1) if len(goes) else np.empty(0)
    return pl.DataFrame({"row": rows[goes], "first": first[goes], "jaccard": similar}, schema=SCHEMA)
