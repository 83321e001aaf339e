"""One call that measures this machine, fits it, and asks it for loads that it was not fitted on.

A server of a small model is started here; a sweep is fitted; then come loads of other lengths and concurrencies, and
arrivals at random, each forecast and compared. Whose machine it is and what else it does is not known here.

>>> trial(unseen=[{"concurrency": 3}])
Traceback (most recent call last):
aifactory_lab.errors.TwinError: a load to try needs concurrency, isl and osl, not {'concurrency': 3}
  mend: mirror.trial(unseen=[{"concurrency": 3, "isl": 40, "osl": 32}])
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.serve import llm
from aifactory_lab.serve.load.arrivals import Arrivals, poisson
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin.mirror import machine, sweeps
from aifactory_lab.twin.mirror.comparisons import compare, errors
from aifactory_lab.twin.mirror.fitted import Mirror
from aifactory_lab.twin.mirror.fitting import fit
from aifactory_lab.twin.mirror.forecasts import LOAD, forecast
from aifactory_lab.twin.mirror.observations import Observations
from aifactory_lab.twin.mirror.replays import Replay, replay
from aifactory_lab.twin.shape import Model

UNSEEN = ({"concurrency": 3, "isl": 40, "osl": 32}, {"concurrency": 6, "isl": 110, "osl": 32})
WITHIN = 32.0  # seconds for the sweep: its first pass alone may take longer
BUSY = 0.4  # share of the time that arrivals at random keep the server busy
Say = Callable[[str], object]


@dataclass(frozen=True)
class Trial:
    """A machine that was fitted, and what it then did.

    Attributes
    ----------
    mirror, seen
        The fit, and what it was fitted on.
    unseen, compared
        Loads that it was not fitted on, and forecast beside measurement, of all loads; None where none was tried.
    replay, report, arrivals
        Arrivals as simulated, as measured, and both compared; None where none were tried.
    """

    mirror: Mirror
    seen: Observations
    unseen: Observations | None = None
    compared: pl.DataFrame | None = None
    replay: Replay | None = None
    report: TokenReport | None = None
    arrivals: pl.DataFrame | None = None

    def errors(self) -> pl.DataFrame:
        """Return the errors on loads that were not seen, of this twin and of one that knows less or more.

        Returns
        -------
        frame
            As `comparisons.errors`, with ``twin``: ``"fitted"``; ``"fitted, told its share"`` of the processors, which
            leaves out what else ran; ``"data sheet"``, where nothing was fitted.

        Raises
        ------
        TwinError
            If no such load was tried.
        """
        if self.unseen is None:
            msg = "no load was tried that the fit had not seen"
            raise TwinError(msg, mend='mirror.trial(unseen=[{"concurrency": 3, "isl": 40, "osl": 32}])')
        new = self.unseen
        told = {"fitted": forecast(self.mirror, new)}
        if not new.cells["cores"].null_count():
            told["fitted, told its share"] = forecast(self.mirror, new, shared=True)
        told["data sheet"] = forecast(machine.unfitted(self.mirror.model, slots=self.mirror.slots), new)
        parts = [errors(compare(one, new)).select(pl.lit(name).alias("twin"), pl.all()) for name, one in told.items()]
        return pl.concat(parts)


def of_this_machine(model: Any = None, *, say: Say | None = print, **sweep: Any) -> Mirror:
    """Start a server here, put a short sweep of loads on it, and fit the twin to what it did: well under a minute.

    Parameters
    ----------
    model
        What to serve (`serve.llm.start`); by default an untrained Llama of 3 million parameters, for speed does not
        depend on what was learned. Needs the extra ``lm``.
    say
        Told of every load; None for silence.
    **sweep
        As for `sweeps.sweep`: ``concurrencies``, ``lengths``, ``answer``, ``seconds``, ``passes``, ``within``.

    Raises
    ------
    FactoryError
        If the model or the engine cannot be had.
    TwinError
        If the sweep is too small to fit.
    """
    return trial(model, unseen=(), arriving=0.0, say=say, **sweep).mirror


def trial(
    model: Any = None,
    *,
    unseen: Sequence[Mapping[str, int]] = UNSEEN,
    arriving: float = 4.0,
    say: Say | None = print,
    **sweep: Any,
) -> Trial:
    """Fit this machine as `of_this_machine` does; then measure and compare loads that it was not fitted on.

    Parameters
    ----------
    model, say, **sweep
        As for `of_this_machine`.
    unseen
        Their ``concurrency``, ``isl`` and ``osl``.
    arriving
        Seconds of arrivals at random; 0 for none.

    Raises
    ------
    TwinError
        If a load lacks a figure, or the sweep is too small to fit.
    """
    for one in unseen:
        if set(one) != set(LOAD):
            msg = f"a load to try needs concurrency, isl and osl, not {dict(one)}"
            raise TwinError(msg, mend='mirror.trial(unseen=[{"concurrency": 3, "isl": 40, "osl": 32}])')
    options = {"passes": 2, "within": WITHIN, "say": say} | sweep
    with tempfile.TemporaryDirectory(prefix="aifactory-mirror-") as folder:
        source = machine.untrained(Path(folder) / f"untrained-{machine.DEPTH}") if model is None else model
        shape = machine.shape_of(source)
        with llm.start(source, slots=machine.SLOTS, context=machine.CONTEXT) as server:
            seen = sweeps.sweep(server, shape, **options)
            found = fit(seen)
            if say:
                say(repr(found))
            steady = _steady(server, shape, found, seen, unseen)
            return Trial(found, seen, **steady, **_arrivals(server, shape, found, arriving))


def _steady(
    server: Any, shape: Model, found: Mirror, seen: Observations, unseen: Sequence[Mapping[str, int]]
) -> dict[str, Any]:
    if not unseen:
        return {}
    new: Observations | None = None
    for one in unseen:
        load: dict[str, Any] = {"concurrencies": (one["concurrency"],), "lengths": (one["isl"],), "answer": one["osl"]}
        did = sweeps.sweep(server, shape, **load, seconds=1.5)
        new = did if new is None else new + did
    assert new is not None
    both = seen + new
    return {"unseen": new, "compared": compare(forecast(found, both), both)}


def _arrivals(server: Any, shape: Model, found: Mirror, seconds: float) -> dict[str, Any]:
    if not seconds:
        return {}
    load = {"isl": int(np.median(found.seen["isl"])), "osl": int(np.median(found.seen["osl"]))}
    alone = found.replica.steady(**load, concurrency=1)
    rate = float(f"{BUSY * float(alone.tokens_per_second) / load['osl']:.3g}")
    coming = poisson(rate, max(8, round(rate * seconds)), seed=1)
    read, written = (np.full(len(coming), load[name]) for name in ("isl", "osl"))
    coming = Arrivals(coming.times, read, written, coming.note)
    played = replay(found, coming)
    report = sweeps.measure(server, sweeps.prompts(shape, load["isl"]), arrivals=coming)
    return {"replay": played, "report": report, "arrivals": compare(played, report)}
