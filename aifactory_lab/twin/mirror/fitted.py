"""A fitted machine: the twin's figures with their intervals, and what they amount to.

It answers with a `Replica`, the best one or many as they might be; `forecasts` and `replays` ask it. How the figures
were found is `fitting`'s to know.

>>> float(upper(("wave", "step_seconds"))[0])  # a share
1.0
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.twin.mirror.estimates import Estimate, Solved
from aifactory_lab.twin.mirror.replica import FIGURES, Replica
from aifactory_lab.twin.mirror.watts import Watts
from aifactory_lab.twin.shape import Model

Reals = NDArray[np.float64]
SHARING = "sharing"
SHARES = ("wave", SHARING)  # not seconds; 0 to 1
WORDS = FIGURES | {SHARING: "power by which all times grow as the server's share of the processors falls; 1 is inverse"}


@dataclass(frozen=True)
class Mirror:
    """A machine as the twin sees it.

    Attributes
    ----------
    model
        What was served.
    names, solved
        Which of `replica.FIGURES` (and perhaps `SHARING`) were fitted, and what was found.
    scatter
        By figure (``"ttft"``, ``"tpot"``): typical relative error of one measurement around the fit.
    slots
        Sequences that the server decodes together at most.
    cores, cores_spread
        Processors that the server kept busy while it had work (geometric mean), and the deviation of their logarithm;
        None and 0 where nobody looked. The figures are those of this state.
    uneven
        Deviation of the logarithm of one request's times around its load's, of requests that were alone.
    busy
        How busy the machine was while the server had work, 0 to 1; None where nobody looked.
    power, power_note
        Watts by activity, or None and the reason.
    seen
        The loads that were fitted on.
    """

    model: Model
    names: tuple[str, ...]
    solved: Solved
    scatter: Mapping[str, float]
    slots: int
    cores: float | None
    cores_spread: float
    uneven: float
    busy: float | None
    power: Watts | None
    power_note: str
    seen: pl.DataFrame

    @cached_property
    def figures(self) -> dict[str, Estimate]:
        """Every figure, in seconds (`wave` and `sharing` have no unit); those that were not fitted are 0."""
        found = dict(zip(self.names, self.solved.estimates(upper=upper(self.names)), strict=True))
        nothing = Estimate(0.0, float("nan"), float("nan"))
        return {name: found.get(name, nothing) for name in WORDS}

    @cached_property
    def replica(self) -> Replica:
        """The server in the twin's terms, by the best estimates."""
        return self.replica_of(self.solved.values)

    def replicas(self, count: int = 200, *, seed: int = 0) -> Replica:
        """Return servers as they might be, as far as the measurements say: figures of shape (count, 1)."""
        return self.replica_of(self.draws(count, seed=seed).T[..., None])

    def draws(self, count: int, *, seed: int = 0) -> Reals:
        """Return values of the fitted figures as they might be, (count, names)."""
        return self.solved.draws(count, upper=upper(self.names), seed=seed)

    def slowed(self, cores: Reals) -> Reals:
        """Return how much longer all takes when the server gets so many cores instead of its usual ones."""
        if self.cores is None:
            return np.ones_like(cores)
        return np.asarray((self.cores / cores) ** self.figures[SHARING].value, np.float64)

    def error(self, figure: str, *, shared: bool) -> float:
        """Return the typical relative error of one measurement of a figure: its scatter around the fit.

        Unless it is `shared` (known what the server got), not knowing what else runs comes on top.
        """
        unknown = 0.0 if shared else self.figures[SHARING].value * self.cores_spread
        return float(np.hypot(self.scatter[figure], unknown))

    @property
    def rates(self) -> dict[str, float]:
        """What the figures amount to for this model.

        ``prefill_tokens_per_second``; ``arithmetic_flops``: operations per second in reading prompts, 2 a parameter
        and token; ``memory_bytes_s``: bytes of 16-bit weights per second when one sequence is decoded. They are those
        of the engine and of all that runs beside it, not of the chip.
        """
        each, step = self.figures["prefill_seconds"].value, self.figures["step_seconds"].value
        alone = step + self.figures["sequence_seconds"].value
        moved = 2.0 * self.model.active_parameters
        return {
            "prefill_tokens_per_second": 1 / each if each else float("inf"),
            "arithmetic_flops": moved / each if each else float("inf"),
            "memory_bytes_s": moved / alone if alone else float("inf"),
        }

    def table(self) -> pl.DataFrame:
        """Return what was fitted: ``figure``, ``value``, ``low``, ``high``, ``unit``, ``what``."""
        rows = [
            {"figure": name, "value": one.value, "low": one.low, "high": one.high, "unit": _unit(name), "what": what}
            for (name, one), what in zip(self.figures.items(), WORDS.values(), strict=True)
        ]
        for row in rows:
            if row["figure"] not in self.names:
                row["what"] = f"not told apart by these loads: {row['what']}"
        if self.power:
            for name in ("idle_watts", "full_watts"):
                one = getattr(self.power, name)
                rows.append({"figure": name, **one.__dict__, "unit": "W", "what": self.power.note})
        return pl.DataFrame(rows)

    def replica_of(self, values: Reals) -> Replica:
        """Return the server with these values of the fitted figures, in the order of `names`."""
        return Replica.of(self.model, named(self.names, values), slots=self.slots)

    def __repr__(self) -> str:
        errors = ", ".join(f"{name} ±{one:.0%}" for name, one in self.scatter.items())
        power = "power fitted" if self.power else self.power_note
        return f"Mirror({self.model.name}, {len(self.seen)} loads, {errors}; {power})"


def named(names: tuple[str, ...], values: Reals) -> dict[str, Reals]:
    """Return every figure by its name; what is not fitted is 0."""
    return dict.fromkeys(WORDS, np.zeros_like(values[0])) | dict(zip(names, values, strict=True))


def upper(names: tuple[str, ...]) -> Reals:
    """Return the highest value of each figure."""
    return np.array([1.0 if name in SHARES else np.inf for name in names])


def _unit(name: str) -> str:
    return "" if name in SHARES else "s"
