"""What a fit of the law of pre-training minimises, and how the minimum is found.

As Hoffmann et al. 2022 (arXiv 2203.15556, appendix D.3): the residual of the loss's logarithm, the three terms summed
by log-sum-exp, Huber's loss with δ, L-BFGS from a grid of starts. As Besiroglu et al. 2024 (arXiv 2404.10102) Huber's
losses are summed, not averaged, and the minimum is followed to its end: a mean is so small that the optimiser stops too
early. All of the grid is weighed, the best are followed. This module knows numbers, not runs.

>>> size, data = np.repeat([1e6, 1e7, 1e8], 3), np.tile([1e8, 1e9, 1e10], 3)
>>> problem = Problem(size, data, 2 + 100 / size**0.3 + 500 / data**0.3, delta=1e-3)
>>> at, value = problem.best()
>>> [round(one, 1) for one in problem.constants(at)]
[2.0, 100.0, 500.0, 0.3, 0.3]
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Found = tuple[Numbers, float]
# Hoffmann's starts: of a, b and e (the logarithms of A, B and E), alpha and beta.
STARTS = (
    (0, 5, 10, 15, 20, 25),
    (0, 5, 10, 15, 20, 25),
    (-1, -0.5, 0, 0.5, 1),
    (0, 0.5, 1, 1.5, 2),
    (0, 0.5, 1, 1.5, 2),
)
DELTA = 1e-3
FOLLOWED = 8  # of the 4,500
# Wide enough that no sensible fit ends here: one that does has a constant which the runs do not determine.
LEAST_FLOOR, LEAST_EXPONENT, MOST_EXPONENT = -7.0, 1e-3, 4.0


class Problem:
    """What is minimised, over (u, v, e, α, β): the terms' logarithms at the middle of the runs, and the exponents.

    In a = u + α log N₀ and b = v + β log D₀ the same minimum lies in a narrow valley, where L-BFGS creeps.
    """

    def __init__(self, parameters: Numbers, tokens: Numbers, loss: Numbers, delta: float) -> None:
        self.n, self.d, self.loss, self.delta = parameters, tokens, loss, delta
        logs = np.log(parameters), np.log(tokens)
        self.middle = float(logs[0].mean()), float(logs[1].mean())
        self.x, self.y = logs[0] - self.middle[0], logs[1] - self.middle[1]
        self.z = np.log(loss)
        self.weight = np.ones(len(loss))

    def again(self, draws: np.random.Generator) -> "Problem":
        """Return the problem of the runs drawn with replacement, as weights: the same middle, the same variables."""
        other = object.__new__(Problem)
        other.__dict__ |= self.__dict__
        count = len(self.loss)
        other.weight = np.bincount(draws.integers(0, count, count), minlength=count).astype(np.float64)
        return other

    def best(self) -> Found:
        """Return the lowest of the minima that the best starts lead to."""
        return min((self.follow(start) for start in self.starts()), key=lambda found: found[1])

    def starts(self) -> Numbers:
        """Return the best of Hoffmann's grid."""
        a, b, e, alpha, beta = np.array(list(product(*STARTS)), np.float64).T
        grid = np.stack([a - alpha * self.middle[0], b - beta * self.middle[1], e, alpha, beta], axis=1)
        grid[:, 3:] = grid[:, 3:].clip(LEAST_EXPONENT)
        terms = self._terms(grid[:, :, None])
        huber = self._huber(np.logaddexp.reduce(terms) - self.z)[0]
        return np.asarray(grid[np.argsort(huber @ self.weight, kind="stable")[:FOLLOWED]])

    def value(self, at: Numbers) -> tuple[float, Numbers]:
        """Return the sum of Huber's losses of the residuals in units of δ, and its gradient."""
        terms = self._terms(at[None, :, None])[:, 0]
        total = np.logaddexp.reduce(terms)
        huber, pull = self._huber(total - self.z)
        slopes = self.weight * pull / self.delta * np.exp(terms - total)
        gradient = [*slopes.sum(1), -(slopes[0] @ self.x), -(slopes[1] @ self.y)]
        return float(self.weight @ huber), np.array(gradient)

    def _terms(self, at: Numbers) -> Numbers:
        """Return the three terms' logarithms, (3, places, runs), for places of (places, 5, 1)."""
        size = at[:, 0] - at[:, 3] * self.x
        data = at[:, 1] - at[:, 4] * self.y
        return np.stack([size, data, np.broadcast_to(at[:, 2], size.shape)])

    def _huber(self, residuals: Numbers) -> tuple[Numbers, Numbers]:
        """Return Huber's loss in units of δ², and its slope in units of δ."""
        r = residuals / self.delta
        pull = r.clip(-1.0, 1.0)
        return pull * (r - pull / 2), pull

    def follow(self, start: Numbers) -> Found:
        """Return the minimum that L-BFGS comes to, and its value."""
        from scipy.optimize import minimize

        bounds = [(None, None), (None, None), (LEAST_FLOOR, None), *[(LEAST_EXPONENT, MOST_EXPONENT)] * 2]
        options = {"maxiter": 2000, "maxfun": 10_000, "ftol": 1e-10, "gtol": 1e-6, "maxcor": 20}
        found = minimize(self.value, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(found.x), float(found.fun)

    def constants(self, at: Numbers) -> tuple[float, ...]:
        """Return E, A, B, alpha, beta."""
        u, v, e, alpha, beta = (float(value) for value in at)
        made = np.exp([e, u + alpha * self.middle[0], v + beta * self.middle[1]])
        return (*(float(one) for one in made), alpha, beta)
