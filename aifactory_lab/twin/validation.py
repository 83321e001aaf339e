"""The validation card: every published number that the twin recomputes, with ours, the error, and whether it passes.

`card()` computes it afresh; nothing is remembered. Failures are shown, not hidden, and so is what could not be
computed. How a number is computed is for the lists of checks to say; `peers()` shows who says otherwise.

>>> row = card(["Frontier at rest"]).row(0, named=True)
>>> row["target"], round(row["ours"], 4), row["passed"]
(7.3065, 7.3065, True)
"""

from collections.abc import Iterable
from typing import Any

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import llm_checks, plant_checks, power_checks
from aifactory_lab.twin import peers as others
from aifactory_lab.twin.checks import Check

# A further list of checks joins here: a module with a tuple CHECKS.
CHECKS: tuple[Check, ...] = (*plant_checks.CHECKS, *power_checks.CHECKS, *llm_checks.CHECKS)

SCHEMA = {
    "check": pl.String,
    "unit": pl.String,
    "target": pl.Float64,
    "ours": pl.Float64,
    "error": pl.Float64,
    "tolerance": pl.Float64,
    "passed": pl.Boolean,
    "seen": pl.Boolean,
    "source": pl.String,
    "note": pl.String,
}


def names() -> tuple[str, ...]:
    """Return the names of all checks, in the card's order."""
    return tuple(check.name for check in CHECKS)


def card(only: Iterable[str] | None = None) -> pl.DataFrame:
    """Compute the card: one row a check.

    Parameters
    ----------
    only
        Names of checks; all by default.

    Returns
    -------
    polars.DataFrame
        ``check``, ``unit``, ``target``, ``ours``, ``error`` (relative), ``tolerance``, ``passed`` (null where data is
        missing), ``seen`` (the model was fitted on it), ``source``, ``note``.

    Raises
    ------
    TwinError
        If there is no check of a name.
    """
    wanted = list(names() if only is None else only)
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        msg = f"no check {unknown[0]!r}; there are: {', '.join(names())}"
        raise TwinError(msg, mend="twin.validation.card()")
    return pl.DataFrame([_row(check) for check in CHECKS if check.name in wanted], schema=SCHEMA, orient="row")


def peers(**options: Any) -> pl.DataFrame:
    """Return measured servings beside our predictions and AIConfigurator's; see `peers.compare`."""
    return others.compare(**options)


def _row(check: Check) -> tuple[object, ...]:
    found = check.outcome()
    numbers = (found.target, found.ours, found.error, check.tolerance, found.passed)
    return check.name, check.unit, *numbers, check.seen, check.source, found.note
