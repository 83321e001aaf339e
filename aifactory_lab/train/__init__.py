"""Training: features become a model, by the same names on CPU and GPU.

Rooms open when they are first entered: XGBoost, scikit-learn and MLflow are imported where they are used.

>>> from aifactory_lab import train
>>> train.estimators.names("classify")
['xgboost', 'random_forest', 'logistic_regression']
"""

import os
from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.train import (
        boosting,
        bundle,
        distributed,
        estimators,
        evaluation,
        explore,
        fitting,
        inspection,
        ladder,
        registry,
        result,
        table,
        tuning,
        versions,
    )
    from aifactory_lab.train.bundle import Bundle, Feature
    from aifactory_lab.train.fitting import fit
    from aifactory_lab.train.registry import Registry
    from aifactory_lab.train.result import Result
    from aifactory_lab.train.tuning.search import search

# OpenMP threads that spin while they wait made a booster 30 times slower beside one busy neighbour. The OpenMP
# runtime reads this when it is loaded, so it works only if XGBoost and scikit-learn are not yet imported; the
# house imports them later, where they are used. What the environment already says is left alone.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOMES = {
    "Bundle": "bundle",
    "Feature": "bundle",
    "Registry": "registry",
    "Result": "result",
    "fit": "fitting",
    "search": "tuning.search",
}
__all__ = [
    "Bundle",
    "Feature",
    "Registry",
    "Result",
    "boosting",
    "bundle",
    "distributed",
    "estimators",
    "evaluation",
    "explore",
    "fit",
    "fitting",
    "inspection",
    "ladder",
    "registry",
    "result",
    "search",
    "table",
    "tuning",
    "versions",
]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
