"""The router of a plant: hands a window's requests to the replicas that stand, in turn, and sends lost ones again.

A request that was in a replica when it fell out starts anew elsewhere, and its time counts from its first arrival. What
no replica can hold is rejected, as is what comes while none stands or where too many wait. Watts and clocks are not
known here.

>>> from aifactory_lab.twin.operations import traffic
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.serving import Steps
>>> places = Places.of(Plant(gpus=16, chassis="dgx-h100"), tp=8)
>>> router = Router(places, traffic.steady(5.0, isl=100, osl=20), Objective(1.0, 0.1, 0.0), most=8, queue=64)
>>> served = router.serve(0.0, 60.0, Steps.flat(step=0.01, prefill=1e-4, most=8), np.array([True, True]))
>>> served.asked == served.total(windows.SERVED) + served.rejected + served.queued
True
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aifactory_lab.twin.operations import windows
from aifactory_lab.twin.operations.places import Flags, Places, Reals, Whole
from aifactory_lab.twin.operations.traffic import Curve, Requests, Traffic
from aifactory_lab.twin.operations.windows import REJECTED, Objective, Window
from aifactory_lab.twin.serving import Steps

SPARE = 8  # standard deviations of a count beyond which no window has arrivals


@dataclass(frozen=True)
class Served:
    """What a window did.

    Attributes
    ----------
    sums
        By replica and figure (`windows.PREFILL`, …), (n, figures).
    counts
        Requests that ended, by bucket of their TTFT and of their ITL, over the plant, (2, buckets).
    weight
        Replicas that each simulated one stands for, (n,).
    up
        Which replicas stood, (n,).
    asked, rejected, queued, resent
        Requests that came for the first time; that were turned away; that wait or run at the end; that were sent again.
    """

    sums: Reals
    counts: Reals
    weight: Reals
    up: Flags
    asked: float
    rejected: float
    queued: float
    resent: float

    def total(self, figure: int) -> float:
        """Return a figure's sum over the plant."""
        return float(self.weight @ self.sums[:, figure])


class Router:
    """Replicas and what they hold, from window to window.

    Parameters
    ----------
    places, traffic
        Who serves, and what comes.
    objective
        What makes a request good.
    most, queue
        Sequences that a replica decodes together, and requests that may wait at it, at most.
    seed
        The same seed gives the same requests.
    threads
        How many replicas are simulated at the same time; by default one on each core.
    least_loaded
        Hand requests to who has fewest, waiting or running, instead of in turn; then one thread simulates all replicas.
    """

    def __init__(
        self,
        places: Places,
        traffic: Traffic,
        objective: Objective,
        *,
        most: int,
        queue: int,
        seed: int = 0,
        threads: int | None = None,
        least_loaded: bool = False,
    ) -> None:
        self.places, self.traffic, self.objective = places, traffic, objective
        self.generator = np.random.default_rng(seed)
        self.pool = windows.idle(len(places), most, queue)
        self.up = np.ones(len(places), np.bool_)
        self.turn = 0
        self.due: Reals | None = None
        self.least_loaded = least_loaded
        workers = 1 if least_loaded else threads or len(os.sched_getaffinity(0))
        self.blocks = _blocks(places.stratum, workers)
        self.workers = ThreadPoolExecutor(workers) if min(workers, len(self.blocks)) > 1 else None

    @property
    def whole(self) -> bool:
        """Whether all replicas of the plant are simulated."""
        return len(self.places) == self.places.count

    def close(self) -> None:
        """Let the threads go."""
        if self.workers is not None:
            self.workers.shutdown()

    def serve(self, begin: float, end: float, steps: Steps, standing: Flags) -> Served:
        """Serve a window.

        Parameters
        ----------
        begin, end
            Seconds.
        steps
            What steps cost in it.
        standing
            Which replicas of the whole plant stand, (count,).
        """
        up = standing[self.places.number]
        lost, resent = self._lost(up, begin)
        if not standing.any():
            fresh = self.traffic.between(begin, end, self.generator)
            window, asked = _nothing(end, len(up)), float(len(fresh.times))
            rejected = asked + resent
        else:
            coming = self._in_turn if self.whole else self._thinned
            window, asked, rejected = coming((begin, end), (lost, resent), standing, steps.capacity)
        sums, counts = self._run(window, steps)
        weight = self.places.weight
        rejected += float(weight @ sums[:, REJECTED])
        queued = float(weight @ (self.pool.waiting + self.pool.batch))
        return Served(sums, counts, weight, up, asked, rejected, queued, resent)

    def _lost(self, up: Flags, begin: float) -> tuple[Requests, float]:
        """Take the requests out of replicas that fell out, first come first, and let those that came back begin."""
        self.pool.clock[up & ~self.up] = self.pool.due[up & ~self.up] = begin
        fallen = np.flatnonzero(self.up & ~up)
        self.up = up
        nothing = (np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
        taken = [nothing, *(windows.drop(self.pool, int(replica)) for replica in fallen)]
        came, isl, osl = (np.concatenate(column) for column in zip(*taken, strict=True))
        held = np.array([len(one[0]) for one in taken[1:]], np.float64)
        order = np.lexsort((osl, isl, came))
        return Requests(came[order], isl[order], osl[order]), float(held @ self.places.weight[fallen])

    def _in_turn(
        self, span: tuple[float, float], lost: tuple[Requests, float], standing: Flags, capacity: int
    ) -> tuple[Window, float, float]:
        """Hand every request of the plant to the next replica that stands; those lost go first."""
        begin, end = span
        fresh = self.traffic.between(begin, end, self.generator)
        kept, count = _fitting(fresh, capacity), int(standing.sum())
        came, isl, osl = (np.concatenate(pair) for pair in zip(lost[0], kept, strict=True))
        reached = np.maximum(came, begin)
        ranks = np.where(standing, np.cumsum(standing) - 1, -1)[self.places.number]
        starts = np.where(ranks >= 0, (ranks - self.turn) % count, -1)
        self.turn = (self.turn + len(came)) % count
        window = Window(end, reached, came, isl, osl, starts, np.full(len(starts), len(came)), count)
        return window, float(len(fresh.times)), float(len(fresh.times) - len(kept.times))

    def _thinned(
        self, span: tuple[float, float], lost: tuple[Requests, float], standing: Flags, capacity: int
    ) -> tuple[Window, float, float]:
        """Make only the requests that the simulated replicas get, and their part of those that were lost."""
        (begin, end), weight, count = span, self.places.weight, int(standing.sum())
        owner, times = (
            self._renewals(self.traffic, begin, end, count)
            if isinstance(self.traffic, Curve)
            else self._picked(begin, end, standing)
        )
        isl, osl = self.traffic.lengths(len(times), self.generator)
        fits = isl + osl <= capacity
        asked, rejected = float(weight[owner].sum()), float(weight[owner[~fits]].sum())
        heirs = self._heirs(*lost, count)
        columns = zip(lost[0], (times[fits], isl[fits], osl[fits]), strict=True)
        came, isl, osl = (np.concatenate([gone[heirs[0]], fresh]) for gone, fresh in columns)
        owner = np.concatenate([heirs[1], owner[fits]])
        order = np.argsort(owner, kind="stable")
        edges = np.searchsorted(owner[order], np.arange(len(weight) + 1))
        starts = np.where(self.up, edges[:-1], -1)
        reached = np.maximum(came, begin)[order]
        return Window(end, reached, came[order], isl[order], osl[order], starts, edges[1:], 1), asked, rejected

    def _renewals(self, curve: Curve, begin: float, end: float, count: int) -> tuple[Whole, Reals]:
        """Return who gets what when: of a Poisson process shared in turn, each has every `count`-th arrival.

        Between two of those an Erlang-distributed number of arrivals is expected (Cox and Isham, Point Processes,
        1980), so they are drawn for each replica alone.
        """
        up = np.flatnonzero(self.up)
        moments, expected = curve.expected(begin, end)
        if self.due is None:
            self.due = self.generator.uniform(0, count, len(self.up))
        mean = expected[-1] / count
        most = int(mean + SPARE * np.sqrt(mean / count + 1) + SPARE)
        gaps = self.generator.standard_gamma(count, (len(up), most)) if len(up) else np.zeros((0, most))
        gaps[:, 0] = self.due[up]
        at = np.cumsum(gaps, axis=1)
        within = at < expected[-1]
        self.due[up] = at[np.arange(len(up)), within.sum(axis=1)] - expected[-1]
        return np.repeat(up, within.sum(axis=1)), np.interp(at[within], expected, moments)

    def _picked(self, begin: float, end: float, standing: Flags) -> tuple[Whole, Reals]:
        """Return who gets what when, of all that comes."""
        times = self.traffic.between(begin, end, self.generator).times
        count = int(standing.sum())
        whose = np.full(count, -1)
        whose[(np.cumsum(standing) - 1)[self.places.number[self.up]]] = np.flatnonzero(self.up)
        owner = whose[(self.turn + np.arange(len(times))) % count]
        self.turn = (self.turn + len(times)) % count
        return owner[owner >= 0], times[owner >= 0]

    def _heirs(self, lost: Requests, resent: float, count: int) -> tuple[Whole, Whole]:
        """Return which of the lost requests are sent again to a simulated replica, and to which."""
        heirs = np.flatnonzero(self.up)
        if not len(lost.times) or not len(heirs):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        number = self.generator.binomial(round(resent), min(1.0, len(heirs) / count))
        drawn = np.sort(self.generator.integers(0, len(lost.times), number))
        return drawn, heirs[np.arange(number) % len(heirs)]

    def _run(self, window: Window, steps: Steps) -> tuple[Reals, Reals]:
        """Run the replicas, some at the same time, and return their sums and the plant's buckets."""
        sums = np.zeros((len(self.places), windows.SUMS))
        counts = np.zeros((len(self.blocks), 2, windows.BUCKETS), np.int64)
        costs = steps.compiled(self.pool.queue.shape[1])
        jobs = [
            (self.pool, costs, window, self.objective, sums, counts[number], begin, end)
            for number, (begin, end) in enumerate(self.blocks)
        ]
        if self.least_loaded:
            windows.share(self.pool, costs, window, self.objective, sums, counts[0])
        elif self.workers is None:
            for job in jobs:
                windows.run(*job)
        else:
            for done in [self.workers.submit(windows.run, *job) for job in jobs]:
                done.result()
        weight = self.places.weight[[begin for begin, _ in self.blocks]]
        return sums, np.tensordot(weight, counts, axes=1)


def _fitting(requests: Requests, capacity: int) -> Requests:
    fits = requests.isl + requests.osl <= capacity
    return requests if fits.all() else Requests(requests.times[fits], requests.isl[fits], requests.osl[fits])


def _nothing(end: float, replicas: int) -> Window:
    """Return a window in which nobody gets anything."""
    empty, none = np.empty(0), np.empty(0, np.int64)
    return Window(end, empty, empty, none, none, np.full(replicas, -1), np.zeros(replicas, np.int64), 1)


def _blocks(stratum: Whole, workers: int) -> list[tuple[int, int]]:
    """Return ranges of replicas of one stratum each, of like size for so many workers."""
    edges = [0, *(np.flatnonzero(np.diff(stratum)) + 1).tolist(), len(stratum)]
    found = []
    for begin, end in itertools.pairwise(edges):
        parts = max(1, min(end - begin, round(workers * (end - begin) / len(stratum))))
        cuts = np.linspace(begin, end, parts + 1).astype(int).tolist()
        found += list(itertools.pairwise(cuts))
    return found
