"""The twin's figures of this machine, fitted to what it did under loads it was given.

Seven figures (`replica.FIGURES`) by robust least squares on the logarithms of TTFT and of the time from token to token.
A figure that the loads cannot tell apart from another is left at 0, and the mirror says so: a prompt's cost needs two
lengths, attention's three. Where others share the machine, times grow as the server gets less of it; how much is an
eighth figure, `fitted.SHARING`, fitted where the server's processor time is known. Which loads to give is the caller's
to know.

>>> from aifactory_lab.twin import models
>>> from aifactory_lab.twin.mirror.observations import SCHEMA
>>> fit(Observations(pl.DataFrame(schema=SCHEMA), models.model("llama-3-8b")))
Traceback (most recent call last):
aifactory_lab.errors.TwinError: too few observations to fit: 0 levels of concurrency (needs 2), 0 lengths of ...
  mend: ...
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.mirror.estimates import Solved, robust
from aifactory_lab.twin.mirror.fitted import SHARES, SHARING, WORDS, Mirror, named, upper
from aifactory_lab.twin.mirror.observations import Observations
from aifactory_lab.twin.mirror.replica import Replica
from aifactory_lab.twin.mirror.watts import FEWEST
from aifactory_lab.twin.mirror.watts import fit as fit_watts

Reals = NDArray[np.float64]
LEVELS, LENGTHS = 2, 2
UNEVEN = 0.05  # deviation of the logarithm of the cores, below which nothing can be said of sharing
ALIKE = 1.15  # lengths closer than this are one
WAVES = np.linspace(0.0, 1.0, 5)


def fit(observations: Observations) -> Mirror:
    """Fit the figures of a machine to what it did.

    Parameters
    ----------
    observations
        Loads at two levels of concurrency or more and prompts of two lengths or more.

    Raises
    ------
    TwinError
        If they are too few, or too much alike; the message names what is missing.
    """
    cells, names = observations.cells, _names(observations)
    load = {name: cells[name].to_numpy() for name in ("isl", "osl", "concurrency")}
    cores = _centred(cells)

    def predict(values: Reals) -> Reals:
        figures = named(names, values)
        steady = Replica.of(observations.model, figures, slots=observations.slots).steady(**load)
        found: Reals = np.log(np.maximum(np.concatenate([steady.ttft, steady.tpot]), 1e-12))
        return found - figures[SHARING] * cores

    target = np.log(np.concatenate([cells["ttft"].to_numpy(), cells["tpot"].to_numpy()]))
    scale = _scale(cells, names)
    start = np.maximum(_start(cells, names, observations.slots), 1e-3 * scale)
    solved = robust(predict, target, start, upper=upper(names), scale=scale)
    known = cells["cores"].null_count() == 0
    return Mirror(
        model=observations.model,
        names=names,
        solved=solved,
        scatter=_scatter(solved),
        slots=observations.slots,
        cores=float(np.exp(np.log(cells["cores"].to_numpy()).mean())) if known else None,
        cores_spread=float(cores.std()),
        uneven=_uneven(cells),
        busy=None if cells["host_busy"].null_count() else float(np.median(cells["host_busy"])),
        **_power(observations),  # type: ignore[arg-type]
        seen=cells,
    )


def _centred(cells: pl.DataFrame) -> Reals:
    """Return the logarithm of the server's cores around its mean, twice: for TTFT and TPOT; 0 where nobody looked."""
    if not len(cells) or cells["cores"].null_count():
        return np.zeros(2 * len(cells))
    found = np.log(cells["cores"].to_numpy())
    return np.tile(found - found.mean(), 2)


def _names(observations: Observations) -> tuple[str, ...]:
    """Return the figures that these loads can tell apart."""
    cells = observations.cells
    levels = cells["concurrency"].clip(upper_bound=observations.slots).n_unique()
    lengths = _distinct(cells["isl"])
    left_out = set() if lengths > LENGTHS else {"attention_seconds"}
    if len(cells) < LEVELS or _centred(cells).std() < UNEVEN:
        left_out.add(SHARING)
    names = tuple(name for name in WORDS if name not in left_out)
    needed = len(names) // 2 + 1  # two measurements a load
    if levels < LEVELS or lengths < LENGTHS or len(cells) < needed:
        msg = (
            f"too few observations to fit: {levels} levels of concurrency (needs {LEVELS}),"
            f" {lengths} lengths of prompts (needs {LENGTHS}), {len(cells)} loads (needs {needed})"
        )
        raise TwinError(
            msg, mend="mirror.of_this_machine(), or loads at concurrency 1, 2 and 4 with two prompt lengths"
        )
    return names


def _distinct(lengths: pl.Series) -> int:
    found, last = 0, 0.0
    for one in lengths.drop_nulls().sort():
        if one > ALIKE * last:
            found, last = found + 1, one
    return found


def _scale(cells: pl.DataFrame, names: tuple[str, ...]) -> Reals:
    """Return the size of each figure if it alone explained a typical load."""
    tpot, ttft, batch, isl = (float(np.median(cells[name])) for name in ("tpot", "ttft", "concurrency", "isl"))
    each = {"step_seconds": tpot, "sequence_seconds": tpot / batch, "context_seconds": tpot / batch / isl}
    each |= {"prefill_seconds": ttft / isl, "attention_seconds": ttft / isl**2, "first_token_seconds": ttft}
    return np.array([each.get(name, 1.0) for name in names])


def _start(cells: pl.DataFrame, names: tuple[str, ...], slots: int) -> Reals:
    """Return where to start: with `wave` given all else is linear, and solved with no figure below 0."""
    from scipy.optimize import nnls

    measured = np.concatenate([cells["ttft"].to_numpy(), cells["tpot"].to_numpy()])
    linear = tuple(name for name in names if name not in SHARES)
    scale, shares = _scale(cells, linear), {SHARING: 0.5}
    best, found = np.inf, np.empty(0)
    for wave in WAVES:
        design = _design(cells, linear, float(wave), slots)
        factors, error = nnls(design * scale / measured[:, None], np.ones(len(measured)))
        if error < best:
            best, shares["wave"], found = error, float(wave), factors * scale
    return np.array([*found, *(shares[name] for name in names if name in SHARES)])


def _design(cells: pl.DataFrame, names: tuple[str, ...], wave: float, slots: int) -> Reals:
    isl, osl, asked = (cells[name].to_numpy() for name in ("isl", "osl", "concurrency"))
    batch = np.minimum(asked, slots)
    one, none = np.ones_like(isl), np.zeros_like(isl)
    inside, between = 1 + wave * (batch - 1), (1 - wave) * (batch - 1) / np.maximum(osl - 1, 1)
    columns = {
        "step_seconds": (none, one),
        "sequence_seconds": (none, batch),
        "context_seconds": (none, batch * (isl + osl / 2)),
        "prefill_seconds": (isl * inside, isl * between),
        "attention_seconds": (isl**2 / 2 * inside, isl**2 / 2 * between),
        "first_token_seconds": (one, none),
    }
    return np.column_stack([np.concatenate(columns[name]) for name in names])


def _scatter(solved: Solved) -> dict[str, float]:
    """Return the typical error by figure; what the fit itself took up is given back."""
    count = len(solved.residuals)
    inflated = np.sqrt(count / max(1, solved.freedom))
    halves = np.split(np.abs(solved.residuals), 2)
    # The median absolute deviation times 1.4826 is a normal law's deviation, and no outlier's.
    return {name: float(1.4826 * np.median(one) * inflated) for name, one in zip(("ttft", "tpot"), halves, strict=True)}


def _uneven(cells: pl.DataFrame) -> float:
    """Return how unevenly requests were served that were alone: what else runs here disturbs some more than others."""
    alone = cells.filter(pl.col("concurrency") == 1)["uneven"].drop_nulls()
    return float(np.median(alone)) if len(alone) else 0.0


def _power(observations: Observations) -> dict[str, object]:
    samples = observations.power
    if samples is None:
        return {"power": None, "power_note": observations.power_note}
    if len(samples) < FEWEST:
        return {"power": None, "power_note": f"{len(samples)} readings of power are too few to fit"}
    try:
        return {"power": fit_watts(samples, note=observations.power_note), "power_note": observations.power_note}
    except TwinError as error:
        return {"power": None, "power_note": error.what}
