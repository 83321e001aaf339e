"""XGBoost as a chain of links, so that a killed run resumes to the very same model.

XGBoost draws rows and columns from random generators that live in the process: continuing from a saved model
restarts them, and the result differs (`seed_per_iteration` does not mend it: the column sampler is seeded once
per booster). So every run, killed or not, is a chain of short boosters, the links: each grows `every` trees on
top of the margins (the sum of all trees so far, per row) that the links before left, with a seed made of the
run's seed and its first round. A checkpoint holds the links and the margins, which is all that the next link
depends on: a resumed run equals an uninterrupted one bit for bit (same data, parameters, thread count and
XGBoost version; the fingerprint covers them). Carrying margins also spares each link the prediction of all
earlier trees, which made a plain continuation three times slower. At the end the links become one booster.

This module does not know where rows come from, nor what they mean.

>>> random = np.random.default_rng(0)
>>> x = random.normal(size=(400, 3)).astype("f4")
>>> matrix = quantile_matrix(x, x[:, 0] > 0, threads=1)
>>> boost(matrix, None, {"objective": "binary:logistic", "nthread": 1, "seed": 7}, 20, every=10).rounds
20
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.aside import write_aside

EVERY = 25
PATIENCE = 30
Losses = dict[str, list[float]]
Watch = Callable[[int, NDArray[np.float32]], None]


@dataclass(frozen=True)
class Boosted:
    """A trained booster and how it got there.

    Attributes
    ----------
    booster
        `xgboost.Booster`, cut at the best round.
    rounds
        Trees in it.
    losses
        Loss after each round, per slice (``"learn"``, ``"valid"``).
    resumed
        The round from which a checkpoint was taken up; 0 if the run was not interrupted.
    """

    booster: Any
    rounds: int
    losses: Losses
    resumed: int = 0

    def history(self) -> pl.DataFrame:
        """Return one row per round: `round`, then a loss per slice."""
        length = max((len(values) for values in self.losses.values()), default=0)
        return pl.DataFrame({"round": range(1, length + 1), **self.losses})


@dataclass
class _State:
    """What the next link depends on: the links so far as JSON models, losses, and the margins per slice."""

    links: list[bytes] = field(default_factory=list)
    losses: Losses = field(default_factory=dict)
    rounds: int = 0
    margins: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def quantile_matrix(
    x: NDArray[np.float32], y: ArrayLike, *, threads: int | None = None, like: Any = None, bins: int = 256
) -> Any:
    """Return the rows binned to one byte per value (`xgboost.QuantileDMatrix`); NaN is missing.

    Parameters
    ----------
    like
        A matrix whose bins are taken over: for validation rows.
    """
    import xgboost

    return xgboost.QuantileDMatrix(x, np.asarray(y), nthread=threads, ref=like, max_bin=bins, missing=np.nan)


def boost(
    learn: Any,
    valid: Any | None,
    params: Mapping[str, Any],
    rounds: int,
    *,
    patience: int = PATIENCE,
    every: int = EVERY,
    checkpoint: Path | None = None,
    data: str = "",
    after: Watch | None = None,
) -> Boosted:
    """Train link by link; stop early when the validation loss has not improved for `patience` rounds.

    Parameters
    ----------
    learn, valid
        `quantile_matrix` of each slice; without `valid` all rounds are trained.
    params, rounds
        As from `estimators.xgboost_params`.
    every
        Rounds per link, and so between two checkpoints. It is part of the run: another value is another model.
    checkpoint
        Folder for checkpoints; a run with the same fingerprint is taken up there.
    data
        Hash of the data, for the fingerprint.
    after
        Called after each link with the rounds so far and the margins of the validation rows; what it raises ends the
        run.
    """
    mark = fingerprint(params, rounds, patience, every, data)
    state = _latest(checkpoint, mark) if checkpoint else _State()
    resumed = state.rounds
    while state.rounds < rounds and not _stalled(state.losses, patience):
        state = _link(state, learn, valid, params, min(every, rounds - state.rounds))
        if checkpoint:
            _save(checkpoint, mark, state)
        if after and valid is not None:
            after(state.rounds, state.margins["valid"])
    return _finish(state, patience, resumed)


def traffic(rows: int, columns: int, rounds: int, params: Mapping[str, Any]) -> int:
    """Return the bytes that histogram boosting must at least read from memory: the floor of its time.

    To grow one level of one tree, every sampled row's bin (one byte per sampled column) and its gradient pair
    (two float32) are read once (Chen & Guestrin 2016, "XGBoost", §3; the histogram method reads nothing less).

    >>> traffic(1000, 30, 10, {"max_depth": 6})
    2280000
    """
    sampled = rows * float(params.get("subsample", 1.0))
    width = columns * float(params.get("colsample_bytree", 1.0)) + 8
    return round(rounds * int(params.get("max_depth", 6)) * sampled * width)


def fingerprint(params: Mapping[str, Any], rounds: int, patience: int, every: int, data: str) -> str:
    """Return 12 hex digits that change with anything that the model depends on."""
    import xgboost

    parts = [sorted((name, str(value)) for name, value in params.items()), rounds, patience, every, data]
    return hashlib.sha256(json.dumps([*parts, xgboost.__version__]).encode()).hexdigest()[:12]


def _link(state: _State, learn: Any, valid: Any | None, params: Mapping[str, Any], rounds: int) -> _State:
    import xgboost

    seed = (int(params.get("seed", 0)) * 1_000_003 + state.rounds) % 2**31
    watched = [(learn, "learn")] if valid is None else [(learn, "learn"), (valid, "valid")]
    for matrix, name in watched:
        # an empty margin means: none yet, begin from the intercept
        matrix.set_base_margin(state.margins.get(name, np.empty(0, np.float32)))
    found: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        {**params, "seed": seed},
        learn,
        num_boost_round=rounds,
        evals=watched,
        evals_result=found,
        verbose_eval=False,
    )
    losses = {name: state.losses.get(name, []) + next(iter(metrics.values())) for name, metrics in found.items()}
    margins = {name: booster.predict(matrix, output_margin=True) for matrix, name in watched}
    return _State([*state.links, bytes(booster.save_raw("json"))], losses, state.rounds + rounds, margins)


def _finish(state: _State, patience: int, resumed: int) -> Boosted:
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(_join(state.links)))
    valid = state.losses.get("valid")
    best = _best(valid, patience) if valid else state.rounds
    return Boosted(booster[:best] if best < state.rounds else booster, best, state.losses, resumed)


def _join(links: list[bytes]) -> bytes:
    """Return one model with the trees of all links (XGBoost's documented JSON schema) and the first's intercept."""
    first, *others = [json.loads(link) for link in links]
    model = first["learner"]["gradient_booster"]["model"]
    for other in others:
        more = other["learner"]["gradient_booster"]["model"]
        count, rounds = len(model["trees"]), model["iteration_indptr"][-1]
        model["trees"] += [{**tree, "id": count + tree["id"]} for tree in more["trees"]]
        model["tree_info"] += more["tree_info"]
        model["iteration_indptr"] += [rounds + end for end in more["iteration_indptr"][1:]]
    model["gbtree_model_param"]["num_trees"] = str(len(model["trees"]))
    return json.dumps(first).encode()


def _best(losses: list[float], patience: int) -> int:
    """Return how many rounds to keep: those to the first minimum that `patience` rounds did not beat."""
    best = 0
    for number, loss in enumerate(losses):
        if loss < losses[best]:
            best = number
        elif number - best >= patience:
            break
    return best + 1


def _stalled(losses: Losses, patience: int) -> bool:
    valid = losses.get("valid", [])
    return bool(valid) and len(valid) - _best(valid, patience) >= patience


def _save(folder: Path, mark: str, state: _State) -> None:
    """Keep the newest state in one step: its name carries its own sha256, so a torn one is never believed."""
    stream = io.BytesIO()
    told = json.dumps({"rounds": state.rounds, "losses": state.losses, "links": [*map(bytes.decode, state.links)]})
    np.savez(stream, _told=np.frombuffer(told.encode(), np.uint8), **state.margins)  # type: ignore[arg-type]
    content = stream.getvalue()
    older = list(folder.glob(f"{mark}-*.checkpoint"))
    path = folder / f"{mark}-{state.rounds:05d}-{hashlib.sha256(content).hexdigest()[:16]}.checkpoint"
    with write_aside(path) as aside:
        aside.write_bytes(content)
    for stale in older:
        stale.unlink(missing_ok=True)


def _latest(folder: Path, mark: str) -> _State:
    """Return the newest whole state of this run, or an empty one."""
    for path in sorted(folder.glob(f"{mark}-*.checkpoint"), reverse=True):
        content = path.read_bytes()
        if path.stem.endswith(hashlib.sha256(content).hexdigest()[:16]):
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                told = json.loads(arrays["_told"].tobytes())
                margins = {name: arrays[name] for name in arrays.files if name != "_told"}
            return _State([link.encode() for link in told["links"]], told["losses"], told["rounds"], margins)
    return _State()
