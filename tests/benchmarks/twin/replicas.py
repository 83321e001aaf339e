"""One replica that serves requests, three times: by the house, by simpy with an event a step, and as a plain loop.

All three follow the same rules (first come, first served; a prompt is read at once, before the next step; every step
writes one token for each sequence), so every token is due at the same moment in each. simpy is the field's library of
discrete events for Python; the loop is what one would write without it, and what the tests hold the house to.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from aifactory_lab.twin import hardware, inference, models, serving, step_costs
from aifactory_lab.twin.serving import Steps
from aifactory_lab.twin.traces import Trace
from tests.twin import naive

Moments = NDArray[np.float64]
RATE = 3.0  # requests a second: half of what the replica can


def trace(count: int) -> Trace:
    """Requests as a chat's: Poisson arrivals, lengths spread as logarithms are."""
    seed = np.random.default_rng(11)
    isl, osl = (np.clip(seed.lognormal(mean, 0.8, count), 8, 4000).astype(int) for mean in (6.6, 5.0))
    return Trace.of(seed.exponential(1 / RATE, count).cumsum(), isl, osl)


def steps() -> Steps:
    """Llama-3-70B in FP8 on four H100s."""
    costs = step_costs.of(
        models.model("llama-3-70b"),
        hardware.gpu("h100-sxm"),
        tp=4,
        precision="fp8",
        parameters=inference.fitted().parameters,
    )
    return Steps.of(costs)


def house(count: int) -> dict[str, Any]:
    """By `twin.serving`, which goes from change to change of the batch."""
    serving.simulate(trace(10), steps())  # compiled once
    return _timed(lambda came: serving.simulate(came, steps()).last, count)


def by_simpy(count: int) -> dict[str, Any]:
    """By simpy."""
    return _timed(lambda came: Replica(came, steps()).run(), count)


def by_loop(count: int) -> dict[str, Any]:
    """By a plain loop over steps, and over the tokens of each prompt."""
    return _timed(lambda came: np.array([one["last"] for one in naive.simulate(came, steps())]), count)


class Replica:
    """A process of simpy that admits, reads and steps; another that sends."""

    def __init__(self, came: Trace, costs: Steps) -> None:
        self.came, self.costs, self.env = came, costs, simpy.Environment()
        self.waiting: list[int] = []
        self.running: dict[int, int] = {}  # tokens written, by request
        self.held, self.last = 0, np.full(len(came), np.nan)
        self.woken = self.env.event()

    def run(self) -> Moments:
        """Simulate to the last token; return each request's moment of it."""
        self.env.process(self.sending())
        self.env.process(self.serving())
        self.env.run()
        return self.last

    def sending(self) -> Any:
        """Wait for each arrival."""
        for request, moment in enumerate(self.came.times.tolist()):
            yield self.env.timeout(moment - self.env.now)
            self.waiting.append(request)
            if not self.woken.triggered:
                self.woken.succeed()

    def serving(self) -> Any:
        """Admit whoever fits, else make a step, else wait."""
        while True:
            if self.waiting and self.fits(self.waiting[0]):
                request = self.waiting.pop(0)
                prompt = int(self.came.isl[request])
                yield self.env.timeout(prompt * (self.costs.prefill + self.costs.attention * prompt / 2))
                self.begin(request)
            elif self.running:
                yield self.env.timeout(self.step_seconds())
                self.written()
            else:
                self.woken = self.env.event()
                yield self.woken

    def fits(self, request: int) -> bool:
        """Tell whether there is room for a request."""
        tokens = int(self.came.isl[request] + self.came.osl[request])
        return self.held + tokens <= self.costs.capacity and len(self.running) < self.costs.most

    def begin(self, request: int) -> None:
        """Write a request's first token."""
        if self.came.osl[request] == 1:
            self.last[request] = self.env.now
        else:
            self.running[request] = 1
            self.held += int(self.came.isl[request] + self.came.osl[request])

    def step_seconds(self) -> float:
        """Seconds of the step that comes."""
        batch = len(self.running)
        context = sum(int(self.came.isl[request]) + done for request, done in self.running.items())
        reading = self.costs.reading[batch] + self.costs.growth * context
        return float(max(reading, self.costs.compute[batch]) + self.costs.lost[batch])

    def written(self) -> None:
        """Count a token for each, and let those go that have all of theirs."""
        for request in list(self.running):
            self.running[request] += 1
            if self.running[request] == self.came.osl[request]:
                del self.running[request]
                self.held -= int(self.came.isl[request] + self.came.osl[request])
                self.last[request] = self.env.now


def _timed(serve: Callable[[Trace], Moments], count: int) -> dict[str, Any]:
    came = trace(count)
    before = time.process_time()
    last = serve(came)
    seconds = time.process_time() - before
    told = {"requests": count, "requests/s": count / seconds, "simulated s per s": float(last.max()) / seconds}
    return told | {"last token, s": float(last.max()), "sum of moments, s": float(last.sum())}
