"""The law of test time: how much more is right when more answers are tried, with intervals, beside a guesser.

A sample is one answer to one question, right or wrong, and the tokens that it took. From many samples a question,
best-of-k under a verifier is the unbiased pass@k (Chen et al. 2021, arXiv 2107.03374, equation 1), and the majority
vote is the mean over draws of k. Intervals are from a bootstrap over questions, for answers to one question are alike.
The control answers with random guesses under the same verifier; where both meet, the verifier finds the answer and not
the model. This module asks no model: `answering` does.

>>> pass_at_k([4, 4], [1, 0], 2)
array([0.5, 0. ])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError

Numbers = NDArray[np.float64]
KS = (1, 2, 4, 8, 16, 32, 64)
REPLICATES, DRAWS, SHARE = 1000, 32, 0.95
COLUMNS = ("question", "answer", "correct", "tokens")


def pass_at_k(samples: ArrayLike, correct: ArrayLike, k: int) -> Numbers:
    """Return the chance that of k samples of each question at least one is right, estimated without bias.

    1 - C(n-c, k) / C(n, k), for n samples of which c are right: the mean over all choices of k of them. The shorter
    1 - (1 - c/n)^k is biased.

    Parameters
    ----------
    samples, correct
        n and c of each question.
    k
        Of 1 to n.

    Raises
    ------
    TwinError
        If there are fewer samples than k, or more right ones than samples.
    """
    n, c = np.broadcast_arrays(np.asarray(samples, np.int64), np.asarray(correct, np.int64))
    if not (k >= 1 and (n >= k).all() and (c >= 0).all() and (c <= n).all()):
        msg = f"pass@{k} of {samples!r} samples with {correct!r} right cannot be"
        raise TwinError(msg, mend="1 ≤ k ≤ samples, 0 ≤ correct ≤ samples")
    missed = np.ones(n.shape)
    for i in range(k):  # C(n-c, k) / C(n, k) as a product, which does not overflow
        missed = missed * np.maximum(n - c - i, 0) / (n - i)
    return np.asarray(1.0 - missed)


def best_of(samples: pl.DataFrame, ks: Sequence[int] = KS, *, seed: int = 0) -> pl.DataFrame:
    """Return what a verifier finds among k answers.

    Parameters
    ----------
    samples
        ``question``, ``answer``, ``correct``, ``tokens``; equally many for each question.
    ks
        Those beyond the samples of a question are left out.

    Returns
    -------
    DataFrame
        ``k``, ``accuracy``, ``low``, ``high`` (95 %), ``tokens`` (written for a question, on average).
    """
    counted = _counted(samples)
    n, c = counted["samples"].to_numpy(), counted["correct"].to_numpy()
    return _curve({k: pass_at_k(n, c, k) for k in ks if k <= n.min()}, samples, seed)


def majority(samples: pl.DataFrame, ks: Sequence[int] = KS, *, draws: int = DRAWS, seed: int = 0) -> pl.DataFrame:
    """Return what a vote among k answers finds, without a verifier: the columns of `best_of`.

    Answers that are equal letter by letter vote together; of equally many votes the first answer drawn wins.
    """
    random = np.random.default_rng(seed)
    most = _counted(samples)["samples"].to_numpy().min()
    found: dict[int, list[float]] = {k: [] for k in ks if k <= most}
    for _, one in samples.group_by("question", maintain_order=True):
        names, right = one["answer"].rank("dense").to_numpy() - 1, one["correct"].to_numpy()
        for k, means in found.items():
            picked = np.array([random.permutation(len(right))[:k] for _ in range(1 if k == len(right) else draws)])
            means.append(float(np.mean([_vote(names[row], right[row]) for row in picked])))
    return _curve({k: np.array(means) for k, means in found.items()}, samples, seed)


def _vote(names: NDArray[Any], right: NDArray[Any]) -> bool:
    """Tell whether the name that comes most often is right; of equals, the one that comes first."""
    counts = np.bincount(names)
    return bool(right[np.argmax(counts[names])])


def _counted(samples: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in COLUMNS if name not in samples.columns]
    if missing or not samples.height:
        msg = f"{samples.height} samples without {', '.join(missing) or 'an answer'}"
        raise TwinError(msg, mend="laws.answering.ask(model, tokenizer, puzzles, answers=16)")
    return samples.group_by("question", maintain_order=True).agg(
        pl.len().alias("samples"), pl.col("correct").sum(), pl.col("tokens").mean()
    )


def _curve(found: dict[int, Numbers], samples: pl.DataFrame, seed: int) -> pl.DataFrame:
    draws = np.random.default_rng(seed)
    each = float(_counted(samples)["tokens"].to_numpy().mean())
    rows = []
    for k, values in found.items():
        picked = draws.integers(0, len(values), (REPLICATES, len(values)))
        low, high = np.quantile(values[picked].mean(1), ((1 - SHARE) / 2, (1 + SHARE) / 2))
        rows.append((k, float(values.mean()), float(low), float(high), k * each))
    return pl.DataFrame(rows, schema=("k", "accuracy", "low", "high", "tokens"), orient="row")


@dataclass(frozen=True)
class Stop:
    """Where trying more answers ends to pay.

    Attributes
    ----------
    k
        Answers that bring most: worth × accuracy - price, in dollars a question.
    beaten
        Answers from which the control's interval reaches the model's: beyond, the verifier does the work. None if it
        never does.
    words
        Both, said.
    """

    k: int
    beaten: int | None
    words: str


def priced(curve: pl.DataFrame, dollars_per_mtoken: float) -> pl.DataFrame:
    """Return a curve with ``dollars`` (a question) and ``dollars_per_correct`` (a right answer).

    Parameters
    ----------
    dollars_per_mtoken
        Of tokens written: `twin.cost`'s usual, or a market's price. Tokens that are read are not in it.

    Raises
    ------
    TwinError
        If the price is not positive.
    """
    if not dollars_per_mtoken > 0:
        msg = f"dollars_per_mtoken={dollars_per_mtoken!r} must be positive"
        raise TwinError(msg, mend="dollars_per_mtoken=0.5")
    dollars = (pl.col("tokens") * dollars_per_mtoken / 1e6).alias("dollars")
    return curve.with_columns(dollars).with_columns(
        pl.when(pl.col("accuracy") > 0)
        .then(pl.col("dollars") / pl.col("accuracy"))
        .otherwise(float("inf"))
        .alias("dollars_per_correct")
    )


def stop(curve: pl.DataFrame, control: pl.DataFrame, *, dollars_per_mtoken: float, worth: float) -> Stop:
    """Say where trying more answers ends to pay.

    Parameters
    ----------
    curve, control
        `best_of` of the model, and of guesses under the same verifier.
    dollars_per_mtoken
        See `priced`.
    worth
        Dollars that a right answer brings.
    """
    told = priced(curve, dollars_per_mtoken).with_columns(
        (worth * pl.col("accuracy") - pl.col("dollars")).alias("gain")
    )
    k = int(told["k"][int(told["gain"].arg_max() or 0)])
    both = curve.join(control, on="k", suffix="_control").filter(pl.col("high_control") >= pl.col("low"))
    beaten = int(both["k"][0]) if both.height else None
    most = int(told["k"].to_numpy().max())
    first = "1 answer a question brings most" if k == 1 else f"{k} answers a question bring most"
    first += ", the most that were tried" if k == most else ""
    second = f"from {beaten} on, guesses are as good" if beaten else f"up to {most}, guesses are not as good"
    return Stop(k, beaten, f"{first}; {second}")
