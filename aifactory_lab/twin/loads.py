"""A steady load on a replica: how many requests it keeps, what they see, what the GPUs do; and the most it can take.

By Little's law requests in a replica = rate × stay; the stay grows with the requests, so the rate that comes in finds
its concurrency. It is a mean: the waits of bursts are `serving`'s to say. Beyond the most, a queue grows without end,
and the time to the first token is infinite. Power and clocks come from outside.

>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.service import Service
>>> b200 = Plant(gpus=8, chassis="dgx-b200").gpu
>>> light, full = (load(Service(requests_per_second=10), b200, tp=2, rate=rate) for rate in (2.0, 500.0))
>>> light.concurrency < full.concurrency, light.overloaded, full.overloaded
(True, False, True)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.twin import inference, step_costs
from aifactory_lab.twin.activity import Activity, steady
from aifactory_lab.twin.efficiencies import Parameters
from aifactory_lab.twin.inference import Prediction
from aifactory_lab.twin.parts import Gpu
from aifactory_lab.twin.service import Service, within

Numbers = NDArray[np.float64]
POINTS = 48  # of concurrency that are tried, twice: between two neighbours of the first the second looks closer


@dataclass(frozen=True)
class Load:
    """A replica's load at a clock.

    Attributes
    ----------
    concurrency
        Requests in it while it has any; in a closed loop those that wait for room, too.
    seen
        What they see (one figure each, not arrays).
    rate
        Requests per second that it answers.
    most_rate, good_rate
        Requests per second that it could answer, and could within the SLO; 0 where not even one request keeps it.
    busy
        Share of the time in which it has a request.
    overloaded
        Whether more are asked per second than it could answer.
    activity
        Of its GPUs.
    """

    concurrency: float
    seen: Prediction
    rate: float
    most_rate: float
    good_rate: float
    busy: float
    overloaded: bool
    activity: Activity


def load(service: Service, gpu: Gpu, *, tp: int, rate: float | None = None, clock: float = 1.0) -> Load:
    """Return what a replica does that is asked for so many requests per second.

    Parameters
    ----------
    rate
        Of one replica; None for the service's concurrency or, without one, for the most within its SLO (all that it
        could, where nothing keeps it).
    clock
        Share of the boost clock.

    Raises
    ------
    TwinError
        If the model does not fit.
    """
    most = _point(service, gpu, tp, clock, float(service.sequences))
    top = float(most.batch)
    tried = np.unique(np.geomspace(1.0, top, POINTS))
    curve = _point(service, gpu, tp, clock, tried)
    best = _good(service, gpu, tp, clock, curve)
    most_rate, good_rate = float(most.requests_per_second), best[1]
    if rate is None:
        asked = service.concurrency or best[0] or top
        seen = _waiting(_point(service, gpu, tp, clock, min(asked, top)), asked - min(asked, top))
        at, served, busy, overloaded = asked, float(seen.requests_per_second), 1.0, False
    else:
        overloaded = rate > most_rate * (1 + 1e-9)
        at = top if overloaded else _concurrency(service, gpu, tp, clock, curve, rate)
        seen = _waiting(_point(service, gpu, tp, clock, at), np.inf if overloaded else 0.0)
        served, busy = min(rate, most_rate), min(1.0, rate / float(seen.requests_per_second))
    done = _activity(service, gpu, tp, clock, seen, served)
    return Load(float(at), seen, served, most_rate, good_rate, busy, overloaded, done)


def _point(service: Service, gpu: Gpu, tp: int, clock: float, concurrency: float | Numbers | None) -> Prediction:
    return inference.predict(
        service.shape, gpu, tp=tp, isl=service.isl, osl=service.osl, concurrency=np.asarray(concurrency, np.float64),
        precision=service.precision, engine=service.engine, clock=clock, parameters=_parameters(service),
    )  # fmt: skip


def _waiting(seen: Prediction, requests: float) -> Prediction:
    """Return what requests see that so many others wait before."""
    wait = requests / seen.requests_per_second if requests else 0.0
    return replace(seen, ttft=seen.ttft + wait, e2e=seen.e2e + wait)


def _parameters(service: Service) -> Parameters:
    """Return the efficiencies: a service that runs already has no first wave of requests, as a benchmark's loop has."""
    fitted = inference.fitted().parameters
    return fitted if service.concurrency else replace(fitted, wave=0.0)


def _concurrency(service: Service, gpu: Gpu, tp: int, clock: float, curve: Prediction, rate: float) -> float:
    """Return the concurrency at which a replica answers so many requests; 1 where one at a time is enough."""
    for _ in range(2):
        rates = np.maximum.accumulate(curve.requests_per_second)
        place = int(np.searchsorted(rates, rate))
        if place == 0:
            return float(curve.batch[0])
        if place >= len(rates):
            return float(curve.batch[-1])
        low, high = float(curve.batch[place - 1]), float(curve.batch[place])
        curve = _point(service, gpu, tp, clock, np.linspace(low, high, POINTS))
    return float(np.interp(rate, np.maximum.accumulate(curve.requests_per_second), curve.batch))


def _good(service: Service, gpu: Gpu, tp: int, clock: float, curve: Prediction) -> tuple[float, float]:
    """Return the largest concurrency that keeps the SLO and its rate; 0 where none does."""
    found = (0.0, 0.0)
    for _ in range(2):
        kept = np.logical_and.accumulate(within(service, curve))
        last = int(kept.sum()) - 1
        if last < 0:
            return found
        found = float(curve.batch[last]), float(curve.requests_per_second[last])
        if last + 1 == len(curve.batch):
            return found
        curve = _point(service, gpu, tp, clock, np.linspace(found[0], float(curve.batch[last + 1]), POINTS))
    return found


def _activity(service: Service, gpu: Gpu, tp: int, clock: float, seen: Prediction, rate: float) -> Activity:
    """Return the activity while so many requests per second are read and written, in batches as seen."""
    costs = step_costs.of(
        service.shape, gpu, tp=tp, precision=service.precision, engine=service.engine, clock=clock,
        parameters=_parameters(service),
    )  # fmt: skip
    return steady(costs, seen.batch, rate, isl=service.isl, osl=service.osl)
