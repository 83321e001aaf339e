"""A plant operated for a day: window by window from requests to tokens, watts, heat, and back to the clocks.

In each window the replicas that stand serve what comes, exactly; what their GPUs did makes watts, watts make heat, and
what grid and cooling allow makes the clocks of the next window. Arithmetic slows with the clock and memory hardly does,
so decoding, which mostly reads, slows little. Memory holds a row a window, 16 bytes a window and rack, and no request
that has ended.

>>> from aifactory_lab.twin.operations import traffic
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.service import Service
>>> plant, service = Plant(gpus=16, chassis="dgx-h100"), Service(tp=8, ttft_ms=2000, tpot_ms=50)
>>> lost = Incident("node", at_hours=0.25, for_hours=0.25)
>>> day = operate(plant, service, traffic.steady(4.0), hours=1, incidents=[lost])
>>> day.timeline["gpus_up"].to_list()[::20]
[16, 8, 16]
"""

import math
from collections.abc import Sequence

import numpy as np

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import climate as climates
from aifactory_lab.twin import inference, step_costs
from aifactory_lab.twin import service as services
from aifactory_lab.twin.activity import Activity, activity
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.operations import incidents as kinds
from aifactory_lab.twin.operations.balance import Balance, Demand
from aifactory_lab.twin.operations.day import Day
from aifactory_lab.twin.operations.incidents import Incident
from aifactory_lab.twin.operations.places import Places
from aifactory_lab.twin.operations.record import Record
from aifactory_lab.twin.operations.router import Router, Served
from aifactory_lab.twin.operations.tenant import Tenant
from aifactory_lab.twin.operations.traffic import Traffic
from aifactory_lab.twin.operations.windows import BATCH, CONTEXT, DECODE, PREFILL, TOKENS, Objective
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.service import Service
from aifactory_lab.twin.serving import Steps
from aifactory_lab.twin.step_costs import Costs

# Requests that may wait at one replica; what comes then is turned away, as a gateway would. An assumption.
LONGEST_QUEUE = 256


def operate(
    plant: Plant,
    service: Service,
    traffic: Traffic,
    *,
    climate: Climate | None = None,
    hours: float = 24.0,
    incidents: Sequence[Incident] = (),
    window_seconds: float = 60.0,
    seed: int = 0,
    longest_queue: int = LONGEST_QUEUE,
    routing: str = "round-robin",
    threads: int | None = None,
    places: Places | None = None,
) -> Day:
    """Return a day of a plant in operation.

    Parameters
    ----------
    plant, service, traffic
        What is there, what is served with which objective, and what comes; the traffic's lengths and rate count, not
        the service's.
    climate
        The air outside; by default a steady 25 °C.
    hours
        How long, from midnight on.
    incidents
        What goes wrong.
    window_seconds
        Length of a window: figures are of one each, and clocks, incidents and repairs take effect between two.
    seed
        The same seed gives the same day.
    longest_queue
        Requests that may wait at a replica; what comes then is rejected.
    routing
        ``"round-robin"`` or ``"least-loaded"`` (fewest requests, waiting or running), among the replicas that stand.
        The latter needs all replicas, and one core takes them all.
    threads
        Threads that simulate; by default one on each core.
    places
        The replicas that are simulated; by default all (`sampling` chooses some of them).

    Raises
    ------
    TwinError
        If a number cannot be, the model does not fit, or an incident cannot happen to this plant.
    """
    _check(hours, window_seconds, longest_queue)
    kinds.check(plant, incidents, hours)
    tp = services.replicas(plant, service).tp
    where = places or Places.of(plant, tp, service.training_gpus)
    operation = _Operation(where, service, traffic, climate or climates.steady(25.0), incidents)
    operation.start(seed, longest_queue, threads, least_loaded=_least_loaded(routing, where))
    record = Record(where, service, (traffic.note, operation.balance.climate.note), incidents, window_seconds, hours)
    try:
        for number, (begin, end) in enumerate(record.spans):
            operation.window(record, number, begin, end)
    finally:
        operation.router.close()
    return record.day()


class _Operation:
    """The state of a plant between two windows."""

    def __init__(
        self, places: Places, service: Service, traffic: Traffic, climate: Climate, incidents: Sequence[Incident]
    ) -> None:
        self.places, self.service, self.traffic, self.incidents = places, service, traffic, incidents
        self.balance = Balance(places.plant, climate)
        self.tenant = Tenant(places.plant, places.training_chassis)
        self.costs: dict[float, tuple[Costs, Steps]] = {}
        still = Activity(np.zeros(()), np.zeros(()))
        self.last: tuple[Activity, float] = (still, 1.0)  # of serving GPUs, and their clock meanwhile

    def start(self, seed: int, longest_queue: int, threads: int | None, *, least_loaded: bool) -> None:
        steps, service = self.at(1.0)[1], self.service
        ttft, itl = (math.inf if ms is None else ms / 1e3 for ms in (service.ttft_ms, service.tpot_ms))
        self.router = Router(
            self.places, self.traffic, Objective(ttft, itl, steps.first),
            most=steps.most, queue=longest_queue, seed=seed, threads=threads, least_loaded=least_loaded,
        )  # fmt: skip

    def at(self, clock: float) -> tuple[Costs, Steps]:
        """Return what steps cost at a clock."""
        if clock not in self.costs:
            service, fitted = self.service, inference.fitted().parameters
            costs = step_costs.of(
                service.shape, self.places.plant.gpu, tp=self.places.tp, precision=service.precision,
                engine=service.engine, parameters=fitted, clock=clock,
            )  # fmt: skip
            # As in the closed form: reading a prompt takes a step's reading of the weights, too, which the replica's
            # work does not count.
            first = fitted.first_token_seconds + float(costs.step(1.0, 0.0))
            steps = Steps.of(costs, most=service.sequences, first=first)
            self.costs = {clock: (costs, steps)} | dict(list(self.costs.items())[:8])
        return self.costs[clock]

    def window(self, record: Record, number: int, begin: float, end: float) -> None:
        """Let a window pass, and write it down."""
        active = [one for one in self.incidents if one.active(begin)]
        gone, dark = kinds.lost(self.places.plant, active)
        standing = self.places.standing(gone)
        broken = gone.reshape(len(dark), -1)[self.places.serving_chassis :].sum(axis=1)
        whole = int((broken == 0).sum())
        training = whole * self.places.plant.gpus_per_chassis
        serving = float(standing.sum()) * self.places.tp
        demand = Demand(serving, training, float((~gone).sum()), int((~dark).sum()), *self.last)
        clock, trained, kept = self.balance.clock(demand, begin, active)
        costs, steps = self.at(clock)
        served = self.router.serve(begin, end, steps, standing)
        share = self.tenant.share(begin, end, whole=whole, slowest=self._slowest(active), clock=trained)
        did = self._activity(costs, served, end - begin)
        watts = did.watts(self.places.plant.gpu, clock=clock)
        each = self.places.spread(watts, served.up) * self.places.tp
        total = float(each.sum()) + self._others(demand, share, trained)
        site = record.plant_row(number, total, demand.chassis, self.balance.air(begin, active))
        heat = float(site.draw.racks - site.draw.switches)
        coolant = self.balance.warm(begin, end - begin, active, heat)
        record.requests_row(number, served)
        record.gpus_row(number, did, served, watts, clock=clock, coolant=coolant)
        tokens = self.places.spread(served.sums[:, TOKENS] / (end - begin), served.up)
        record.racks_row(number, each, tokens, gone, self._trained(share, trained))
        if self.places.training_chassis:
            record.put(number, training_share=share)
        if not kept:
            record.unkept.append(number)
        self.last = (_mean(did, served), clock)

    def _trained(self, share: float, clock: float) -> float:
        """Return the watts of a GPU that trains."""
        gpu = self.places.plant.gpu
        return float(self.balance.training.watts(gpu, clock=clock)) if share else idle_watts(gpu)

    def _others(self, demand: Demand, share: float, clock: float) -> float:
        """Return the watts of the GPUs that do not serve."""
        return demand.idle * idle_watts(self.places.plant.gpu) + demand.training * self._trained(share, clock)

    def _slowest(self, active: Sequence[Incident]) -> float:
        leaves, spines = kinds.count(active, "leaf"), kinds.count(active, "spine")
        return self.places.plant.fabric.after(leaves=leaves, spines=spines).slowest if leaves or spines else 1.0

    def _activity(self, costs: Costs, served: Served, seconds: float) -> Activity:
        """Return the activity of each simulated replica's GPUs, from the batches and contexts that it had."""
        sums = served.sums
        shares = np.stack([sums[:, PREFILL], sums[:, DECODE]]) / seconds
        shares /= np.maximum(shares.sum(axis=0), 1.0)  # a step that began within a window counts to it whole
        decoded = np.maximum(sums[:, DECODE], 1e-300)
        batch = np.where(sums[:, DECODE] > 0, sums[:, BATCH] / decoded, 1.0)
        context = np.where(sums[:, DECODE] > 0, sums[:, CONTEXT] / decoded / batch, 1.0)
        return activity(costs, batch, context, prefilling=shares[0], decoding=shares[1])


def _mean(did: Activity, served: Served) -> Activity:
    """Return the mean over the replicas that stand."""
    weight = served.weight * served.up
    whole = max(float(weight.sum()), 1e-300)
    return Activity(
        *(np.asarray(weight @ np.broadcast_to(part, weight.shape) / whole) for part in (did.core, did.memory))
    )


def _least_loaded(routing: str, places: Places) -> bool:
    known = ("round-robin", "least-loaded")
    if routing not in known:
        msg = f"no routing {routing!r} of a day; there are: {', '.join(known)}"
        raise TwinError(msg, mend='routing="least-loaded"')
    if routing == "least-loaded" and len(places) < places.count:
        msg = f"routing={routing!r} needs all {places.count} replicas, not {len(places)} of them"
        raise TwinError(msg, mend='routing="round-robin"')
    return routing == "least-loaded"


def _check(hours: float, window_seconds: float, longest_queue: int) -> None:
    for name, value in (("hours", hours), ("window_seconds", window_seconds), ("longest_queue", longest_queue)):
        if not (np.isfinite(value) and value > 0):
            msg = f"{name}={value!r} must be positive"
            raise TwinError(msg, mend=f"{name}={ {'hours': 24, 'window_seconds': 60}.get(name, LONGEST_QUEUE) }")
    if window_seconds > hours * 3600:
        msg = f"window_seconds={window_seconds!r} is longer than hours={hours!r}"
        raise TwinError(msg, mend=f"window_seconds={min(60.0, hours * 3600):g}")
