"""Words that a blueprint may use for what has a name in the house; and the refusal of those that have none.

A blueprint names things and never imports them: data may come from anyone, and a name that is looked up in a table
cannot run code. This module does not know where a word stands.

>>> one_of("xgbost", ["xgboost", "random_forest"], "estimator")
Traceback (most recent call last):
pydantic_core._pydantic_core.PydanticCustomError: no estimator 'xgbost'; did you mean 'xgboost'? There are: xgboost, ...
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import PydanticCustomError

from aifactory_lab.datasets.entries import ENTRIES
from aifactory_lab.errors import FactoryError
from aifactory_lab.etl import recipes
from aifactory_lab.etl.curation.redaction import PATTERNS
from aifactory_lab.serve import engines
from aifactory_lab.train import estimators


def refusal(what: str, *, at: str = "", mend: str = "") -> PydanticCustomError:
    """Return an error for pydantic to place; `at` names the key below the field that is meant, if it is one."""
    return PydanticCustomError("blueprint", "{what}", {"what": what, "at": at, "mend": mend})


def near(word: str, there: Collection[str]) -> str:
    """Return the word that was probably meant, or an empty text."""
    return next(iter(get_close_matches(word, list(there), 1)), "")


def one_of(word: str, there: Collection[str], what: str, *, at: str = "") -> str:
    """Return the word if it is one of those there are.

    Raises
    ------
    PydanticCustomError
        With the list, and the nearest.
    """
    if word in there:
        return word
    meant = near(word, there)
    hint = f"; did you mean {meant!r}? There" if meant else "; there"
    said = f"no {what} {word!r}{hint} are: {', '.join(there)}"
    raise refusal(said, at=at, mend=f"write {meant} for {word}" if meant else "")


def plain(value: Any) -> Any:
    """Return a value that is one word or number."""
    if isinstance(value, bool | int | float | str):
        return value
    what = f"should be one number, word or truth value, is {'nothing' if value is None else 'a list or a mapping'}"
    raise refusal(what)


def dataset(word: str) -> str:
    """Return the name of a dataset of the catalogue."""
    return one_of(word, ENTRIES, "dataset")


def recipe(word: str) -> str:
    """Return the name of a recipe that came with this package."""
    return one_of(word, recipes.names(), "recipe")


def estimator(word: str) -> str:
    """Return the name of an estimator that classifies."""
    return one_of(word, estimators.names("classify"), "estimator")


def redacted(word: str) -> str:
    """Return a kind of personal data that can be redacted."""
    return one_of(word, PATTERNS, "kind of personal data")


def predictor(word: str) -> str:
    """Return the name of an engine of predictions, or auto."""
    return one_of(word, ("auto", *engines.OPENERS), "engine")


def parameters(name: str, given: Mapping[str, Any]) -> None:
    """Refuse a parameter that an estimator does not have, or whose value is of another type than its default.

    Raises
    ------
    PydanticCustomError
        For the first that is wrong.
    """
    try:
        known = estimators.house(name)
    except FactoryError:
        return  # the estimator itself is refused elsewhere
    for word, value in given.items():
        one_of(word, known, f"parameter of {name}", at=word)
        wanted = type(known[word])
        numbers = wanted in (int, float) and isinstance(value, int | float) and not isinstance(value, bool)
        if wanted is int and numbers and int(value) != value:
            what = f"should be a whole number, is {value}"
            raise refusal(what, at=word)
        if not numbers and wanted is not type(value):
            what = f"should be of the kind of {known[word]!r}, is {value!r}"
            raise refusal(what, at=word)
