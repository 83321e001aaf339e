"""Where a search looks: for each house parameter, the values that it may take.

The ranges are the house's own, around its defaults (`estimators.TABLE`), and fit both devices: what only one of the
twins has is not searched. XGBoost's number of rounds is not searched either: the validation rows stop it. This module
does not choose values; optuna does.

>>> of("random_forest")["max_depth"]
IntDistribution(high=20, log=False, low=6, step=1)
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import ModelError, require
from aifactory_lab.train import estimators

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, "BaseDistribution"]


def of(model: str) -> dict[str, "BaseDistribution"]:
    """Return the house's search space of an estimator.

    Raises
    ------
    ModelError
        If it does not classify, so that no score says which parameters are better.
    """
    made = require("optuna", extra="fleet").distributions
    whole, number, choice = made.IntDistribution, made.FloatDistribution, made.CategoricalDistribution
    spaces: dict[str, dict[str, BaseDistribution]] = {
        "xgboost": {
            "learning_rate": number(0.03, 0.3, log=True),
            "max_depth": whole(3, 10),
            "min_child_weight": whole(1, 300, log=True),
            "subsample": number(0.5, 1.0),
            "colsample_bytree": number(0.4, 1.0),
        },
        "random_forest": {
            "n_estimators": whole(50, 200, step=50),
            "max_depth": whole(6, 20),
            "min_samples_leaf": whole(2, 200, log=True),
            "max_features": choice(("sqrt", 0.3, 0.5)),
        },
        "logistic_regression": {"C": number(1e-3, 1e2, log=True)},
    }
    _refuse_others(model)
    return spaces[model]


def check(model: str, space: Space, fixed: Mapping[str, Any]) -> None:
    """Refuse a model that has no score, a space that it does not have, or one that moves what was fixed.

    Raises
    ------
    ModelError
        With the parameter.
    """
    _refuse_others(model)
    base = require("optuna", extra="fleet").distributions.BaseDistribution
    estimators.house(model, **dict.fromkeys(space), **{name: fixed[name] for name in fixed if name not in space})
    if not space:
        msg = "an empty space leaves nothing to search"
        raise ModelError(msg, mend=f"train.tuning.space.of({model!r})")
    for name, values in space.items():
        if name in fixed:
            msg = f"{name} is fixed to {fixed[name]!r} and also to be searched"
            raise ModelError(msg, mend=f"leave {name}=… out, or take it out of the space")
        if not isinstance(values, base):
            msg = f"the space of {name} is {values!r}, which is not a distribution of optuna's"
            raise ModelError(msg, mend=f"{{{name!r}: optuna.distributions.FloatDistribution(0.01, 1.0, log=True)}}")


def _refuse_others(model: str) -> None:
    if model not in (known := estimators.names("classify")):
        msg = f"{model!r} cannot be searched: no score says which parameters are better; these can: {', '.join(known)}"
        raise ModelError(msg, mend="train.search(features, model='xgboost', …)")
