"""The law of pre-training: L(N, D) = E + A/N^α + B/D^β, and the best that a budget of arithmetic can buy under it.

N parameters trained on D tokens cost C = 6 N D operations (Kaplan et al. 2020, arXiv 2001.08361), so the size that
makes the loss least at a given C, and that loss, have closed forms (Hoffmann et al. 2022, arXiv 2203.15556, section
3.3). How the five constants are found, and how far they hold, is `chinchilla`'s to say.

>>> best = HOFFMANN.optimum(5.76e23)  # Gopher's and Chinchilla's budget
>>> f"{best.parameters:.2g} parameters on {best.tokens:.2g} tokens: {best.loss:.2f} nats"
'3.2e+10 parameters on 3e+12 tokens: 1.93 nats'
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError

Numbers = NDArray[np.float64]
FLOPS_PER_TOKEN = 6.0  # and parameter: 2 forward, 4 backward


@dataclass(frozen=True)
class Optimum:
    """The best use of a budget: numbers, or arrays as the budget was.

    Attributes
    ----------
    flops
        The budget, in floating-point operations.
    parameters, tokens
        What to train, on how much.
    loss
        Nats per token that it comes to.
    """

    flops: Any
    parameters: Any
    tokens: Any
    loss: Any


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A/N^alpha + B/D^beta, in nats per token.

    Attributes
    ----------
    E
        The floor: what no model of this text and vocabulary goes below.
    A, B
        What a lack of parameters, and a lack of tokens, adds.
    alpha, beta
        How fast that shrinks.

    Raises
    ------
    TwinError
        If A, B, alpha or beta is not positive, or E is negative.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (self.E >= 0 and min(self.A, self.B, self.alpha, self.beta) > 0 and np.isfinite(astuple(self)).all()):
            msg = f"{self} is no law: A, B, alpha and beta must be positive, E 0 or more"
            raise TwinError(msg, mend="laws.chinchilla.fit(runs).law")

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> Numbers:
        """Return the loss in nats per token; sizes are numbers or arrays that broadcast."""
        size, data = _positive("parameters", parameters), _positive("tokens", tokens)
        return np.asarray(self.E + self.A * size**-self.alpha + self.B * data**-self.beta)[()]

    def along(self, flops: float, parameters: ArrayLike) -> Numbers:
        """Return the loss of models of several sizes that all cost so many operations: an iso-FLOP curve."""
        size = _positive("parameters", parameters)
        return self.loss(size, flops / (FLOPS_PER_TOKEN * size))

    def optimum(self, flops: ArrayLike) -> Optimum:
        """Return what makes the loss least for so many operations.

        N = G (C/6)^(β/(α+β)) and D = (C/6)^(α/(α+β)) / G, with G = (αA/βB)^(1/(α+β)).
        """
        work = _positive("flops", flops) / FLOPS_PER_TOKEN
        size = self._balance * work ** (self.beta / (self.alpha + self.beta))
        data = work / size
        return Optimum(work[()] * FLOPS_PER_TOKEN, size[()], data[()], self.loss(size, data))

    def reaching(self, loss: float) -> Optimum:
        """Return the cheapest training that comes to a loss: the frontier turned round, in closed form.

        Raises
        ------
        TwinError
            If the loss is not above the floor.
        """
        if not loss > self.E:
            msg = f"no training comes to {loss:g} nats per token: under this law the floor is {self.E:.4g}"
            raise TwinError(msg, mend=f"a loss above {self.E:.4g}")
        spread = self.alpha + self.beta
        scale = self.A * self._balance**-self.alpha + self.B * self._balance**self.beta
        return self.optimum(FLOPS_PER_TOKEN * ((loss - self.E) / scale) ** (-spread / (self.alpha * self.beta)))

    @property
    def size_exponent(self) -> float:
        """How the best size grows with the budget, N ∝ C^a: a = β/(α+β)."""
        return self.beta / (self.alpha + self.beta)

    @property
    def _balance(self) -> float:
        return float((self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta)))

    def __str__(self) -> str:
        return f"L = {self.E:.3g} + {self.A:.4g}/N^{self.alpha:.3g} + {self.B:.4g}/D^{self.beta:.3g}"


# Hoffmann et al. 2022, appendix D.3; and the fit to the same paper's points, read off its figure, of Besiroglu et al.
# 2024 (arXiv 2404.10102, table 1), who found that the first had stopped before its minimum.
HOFFMANN = Law(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
EPOCH = Law(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)


def _positive(name: str, value: ArrayLike) -> Numbers:
    found = np.asarray(value, np.float64)
    if not (np.isfinite(found) & (found > 0)).all():
        msg = f"{name}={value!r} must be positive"
        raise TwinError(msg, mend=f"{name}=1e9")
    return found
