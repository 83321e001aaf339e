"""The ladder: what each group of features adds, and what two mistakes would pretend to add.

Its honest rungs are trained on the past and tested on the future. The same features on a random split look
better, because neighbours of every test row (the same day, the same aircraft) were learned from; a feature
that is known only after the decision looks better still. Both are shown so that they are recognised. This module
does not know what the features mean.

>>> spec = FeatureSpec(
...     "late", "time", "split", {"plan": ("a",), "sky": ("b",), "past": ("c",), "end": ("d",)}, ("end",)
... )
>>> [rung.name for rung in rungs(spec)]
['plan', '+ sky', '+ past', 'random split', '+ end']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab import measure
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.train import evaluation
from aifactory_lab.train.fitting import learn
from aifactory_lab.train.table import VALIDATION, Rows, Table

# Coarser than the house: less time for five models, about 0.002 AUC lower on the honest rungs. The random split would
# go on gaining with more rounds, so its rung is drawn too low rather than too high.
QUICK = {"learning_rate": 0.15, "rounds": 200}


@dataclass(frozen=True)
class Rung:
    """One model: which groups, split how, and whether its score can be believed."""

    name: str
    groups: tuple[str, ...]
    split: str
    honest: bool
    sentence: str


def rungs(spec: FeatureSpec) -> list[Rung]:
    """Return the rungs for a feature table: the first group, all but the last, all; random split; each leak."""
    honest = tuple(group for group in spec.groups if group not in spec.leaks)
    ladder = [Rung(honest[0], honest[:1], "time", True, f"What the {honest[0]} alone tells.")]
    for end, start in ((len(honest) - 1, 1), (len(honest), max(1, len(honest) - 1))):
        if added := honest[start:end]:
            names = ", ".join(added)
            ladder.append(Rung(f"+ {names}", honest[:end], "time", True, f"With {names}: tested on later rows only."))
    ladder.append(
        Rung(
            "random split",
            honest,
            "random",
            False,
            "The same features, but it learned from the days and the season of its test rows: it flatters.",
        )
    )
    for leak in spec.leaks:
        names = ", ".join(spec.columns(leak))
        said = f"With {names}, known only after the decision: it looks best and cannot be used."
        ladder.append(Rung(f"+ {leak}", (*honest, leak), "time", False, said))
    return ladder


def climb(
    features: Path | str,
    estimator: str = "xgboost",
    *,
    ladder: Sequence[Rung] | None = None,
    device: str | None = None,
    seed: int = 0,
    **params: Any,
) -> pl.DataFrame:
    """Train one model per rung and return their scores.

    Parameters
    ----------
    features
        Folder with `features.parquet` and `features.json`.
    ladder
        By default `rungs` of the table's specification.
    **params
        House parameters; for XGBoost `QUICK` is the default.

    Returns
    -------
    polars.DataFrame
        `rung`, `groups`, `split`, `honest`, `auc` with `low` and `high`, `features`, `rows`, `sentence`.
    """
    chosen = ladder if ladder is not None else rungs(FeatureSpec.load(Path(features)))
    values: Mapping[str, Any] = {**(QUICK if estimator == "xgboost" else {}), **params}
    lines = []
    for rung in chosen:
        table = Table.open(features, rung.groups)
        train, valid, test = _parts(table, rung.split, seed)
        fitted = learn(estimator, train, valid, device=device, **values)
        auc = evaluation.scores(test.y, fitted.probability(test), blocks=test.day)["auc"]
        lines.append(
            {
                "rung": rung.name,
                "groups": " + ".join(rung.groups),
                "split": rung.split,
                "honest": rung.honest,
                "auc": auc.value,
                "low": auc.low,
                "high": auc.high,
                "features": len(table.columns),
                "rows": len(train),
                "sentence": rung.sentence,
            }
        )
        measure.progress(1)
    return pl.DataFrame(lines)


def _parts(table: Table, split: str, seed: int) -> tuple[Rows, Rows, Rows]:
    """Return rows to learn, to stop on and to test, by time or (same sizes) at random."""
    if split == "time":
        return table.rows("learn"), table.rows("valid"), table.rows("test")
    train, test = table.rows("train"), table.rows("test")
    everything = Rows(*(np.concatenate(pair) for pair in zip(_fields(train), _fields(test), strict=True)))
    order = np.random.default_rng(seed).permutation(len(everything))
    held, tested = int(len(train) * VALIDATION), len(test)
    cuts = np.split(order, [tested, tested + held])
    return everything.take(cuts[2]), everything.take(cuts[1]), everything.take(cuts[0])


def _fields(rows: Rows) -> tuple[Any, Any, Any]:
    return rows.x, rows.y, rows.day
