"""Two measurements beside each other: two folders, two days, two machines.

A link is called changed only where the passes of one do not meet those of the other: medians alone differ every time.

>>> from aifactory_lab.links.found import Part
>>> from aifactory_lab.links.link import Link
>>> one = Links("a", "/", {"copy": Part((Link("memory_copy", "memory", (9e9, 10e9, 11e9)),))})
>>> two = Links("b", "/", {"copy": Part((Link("memory_copy", "memory", (4e9, 5e9, 6e9)),))})
>>> compare(one, two).select("ratio", "changed").row(0)
(0.5, True)
"""

import polars as pl

from aifactory_lab.links.found import Links

SIDES = ("gb_s", "low", "high")


def compare(first: Links, other: Links) -> pl.DataFrame:
    """Return one row a link of either.

    Returns
    -------
    polars.DataFrame
        ``name``, ``gb_s``, ``other_gb_s``, ``ratio`` (other ÷ first) and ``changed``; null where one has it not.
    """
    one, two = (each.table().select("name", *SIDES) for each in (first, other))
    two = two.rename({name: f"other_{name}" for name in SIDES})
    joined = one.join(two, on="name", how="full", coalesce=True, maintain_order="left_right")
    apart = (pl.col("low") > pl.col("other_high")) | (pl.col("high") < pl.col("other_low"))
    ratio = pl.col("other_gb_s") / pl.col("gb_s")
    return joined.select("name", "gb_s", "other_gb_s", ratio.alias("ratio"), apart.alias("changed"))
