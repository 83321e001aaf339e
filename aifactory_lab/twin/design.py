"""A design reckoned through: traffic to tokens to watts to dollars and carbon, and back through clocks to tokens.

Limits close the loop: a power cap, or coolant so warm that GPUs would pass their temperature, lower the clock until the
power fits; then arithmetic is slower, requests stay longer, and the plant can answer fewer. Means over the climate's
hours, clocks for its hottest. Bursts, failures and the course of a day are `operations`' to say.

>>> plant = Plant(gpus=1024, chassis="dgx-b200")
>>> service = Service(model="llama-3-70b", requests_per_second=500, ttft_ms=2000, tpot_ms=50)
>>> found = evaluate(plant, service)
>>> found.slo_kept, 1.0 < found.pue < 1.5, found.could_tokens_per_second > found.tokens_per_second
(True, True, True)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.links import Links
from aifactory_lab.twin import climate as climates
from aifactory_lab.twin import cost, measured_links
from aifactory_lab.twin.activity import settle
from aifactory_lab.twin.climate import HOUR, Climate
from aifactory_lab.twin.loads import Load, load
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import LEAST_CLOCK, idle_watts
from aifactory_lab.twin.service import Replicas, Service, replicas
from aifactory_lab.twin.site import Assumed, Site, coolant_celsius, kelvin_per_watt, limit_watts, site

__all__ = ["Outcome", "Plant", "Service", "evaluate", "sensitivity", "what_if"]
Numbers = NDArray[np.float64]
Assumptions = Mapping[str, float | Sequence[float]]


def evaluate(
    plant: Plant,
    service: Service,
    *,
    climate: Climate | None = None,
    assumed: Assumed | None = None,
    assume: Assumptions | None = None,
    links: Links | None = None,
) -> Outcome:
    """Return what a design does, draws and costs, reckoned through.

    Parameters
    ----------
    plant, service
        What is built, and what it serves with which objective.
    climate
        The air by hour; by default a steady day of 25 °C at half humidity.
    assumed
        Of the site: `site.Assumed`.
    assume
        Of money and carbon: `cost.per_mtoken`. Its `utilisation` is 1 unless given: the load lasts all day.
    links
        Measured on a machine with the plant's GPU (`links.measure`): its links then carry no more than that.

    Raises
    ------
    TwinError
        If the model does not fit, no GPU is left to serve, or a figure cannot be.
    """
    if links is not None:
        plant = replace(plant, catalogue=measured_links.catalogue(plant.gpu.name, links, plant.catalogue))
    air, used = climate or climates.steady(), assumed or Assumed()
    cut = replicas(plant, service)
    rate = None if service.requests_per_second is None else service.requests_per_second / cut.count
    dry, wet = air.at(np.arange(air.hours) * HOUR)
    coolant = float(coolant_celsius(plant, dry_celsius=dry, wet_celsius=wet, assumed=used).max())
    limit = float(limit_watts(plant, coolant=coolant, assumed=used))
    clock = _clock(plant, service, cut, rate, limit)
    done = load(service, plant.gpu, tp=cut.tp, rate=rate, clock=clock)
    watts = float(done.activity.watts(plant.gpu, clock=clock))
    others = cut.training_gpus * _training(plant, used, limit) + cut.idle_gpus * idle_watts(plant.gpu)
    drawn = np.full(air.hours, cut.serving_gpus * watts + others)
    where = site(plant, drawn, dry_celsius=dry, wet_celsius=wet, assumed=used)
    return _outcome(plant, service, air, cut, done, clock, watts, coolant, limit, where, used, assume)


def what_if(
    plant: Plant,
    service: Service,
    *,
    change: str,
    to: Iterable[object],
    climate: Climate | None = None,
    assume: Assumptions | None = None,
) -> pl.DataFrame:
    """Compare a design with others that differ in one attribute of the plant or the service.

    Parameters
    ----------
    change, to
        The attribute, and its values: ``change="water_celsius", to=(20, 30, 40)``.
    climate, assume
        As for `evaluate`.

    Returns
    -------
    polars.DataFrame
        A row for the design as it is and for each value: the value, the KPIs, ``cooling_watts``, and its ``saving``
        against the design as it is, 0 to 1. Frontier's published savings by flow cannot be checked with it: the model's
        pumps take a share of the heat, and know no flow.

    Raises
    ------
    TwinError
        If neither the plant nor the service has the attribute, or it cannot have one of the values.
    """
    fields_of = {field.name for one in (plant, service) for field in fields(one) if field.init}
    if change not in fields_of:
        msg = f"change={change!r} is no attribute of a plant or a service"
        raise TwinError(msg, mend='change="water_celsius", to=(20, 30, 40)')
    designs = [(plant, service)]
    for value in to:
        if hasattr(service, change):
            designs.append((plant, replace(service, **{change: value})))  # type: ignore[arg-type]
        else:
            designs.append((replace(plant, **{change: value}), service))  # type: ignore[arg-type]
    found = [evaluate(one, asked, climate=climate, assume=assume) for one, asked in designs]
    values = [str(getattr(asked if hasattr(asked, change) else one, change)) for one, asked in designs]
    base = float(found[0].site.cooled.watts.mean())
    return pl.DataFrame([_row(change, value, one, base) for value, one in zip(values, found, strict=True)])


def sensitivity(
    plant: Plant, service: Service, *, climate: Climate | None = None, assume: Assumptions | None = None
) -> pl.DataFrame:
    """Return what the price of a million tokens is when one assumption is cheap or dear and all others are usual.

    Parameters
    ----------
    plant, service, climate, assume
        As for `evaluate`.

    Returns
    -------
    polars.DataFrame
        ``assumption``, ``low``, ``usual``, ``high`` in USD a million tokens; what moves it most comes first.
    """
    bill = evaluate(plant, service, climate=climate, assume=assume).bill
    rows = []
    for name, ends in bill.assumed.items():
        one = {other: values[1] for other, values in bill.assumed.items()} | {name: ends}
        low, usual, high = evaluate(plant, service, climate=climate, assume=one).bill.dollars
        rows.append((name, low, usual, high))
    frame = pl.DataFrame(rows, schema=["assumption", "low", "usual", "high"], orient="row")
    moved = pl.col("high") - pl.col("low")
    return frame.filter(moved > 0).sort(moved, descending=True)


def _row(change: str, value: str, found: Outcome, base: float) -> dict[str, object]:
    cooling = float(found.site.cooled.watts.mean())
    return {
        change: value,
        "tokens_per_second": found.tokens_per_second,
        "could_tokens_per_second": found.could_tokens_per_second,
        "tpot_ms": found.tpot * 1e3,
        "clock": found.clock,
        "watts": found.watts,
        "cooling_watts": cooling,
        "saving": 1 - cooling / base,
        "pue": found.pue,
        "water_kg_s": found.water_kg_s,
        "joules_per_token": found.joules_per_token,
        "dollars_per_mtoken": found.bill.dollars[1],
        "kg_co2e_per_mtoken": found.bill.kg_co2e[1],
    }


def _clock(plant: Plant, service: Service, cut: Replicas, rate: float | None, limit: float) -> float:
    """Return the clock at which the limit is kept by the load that the plant then has."""
    if limit >= plant.gpu.tdp_watts:
        return 1.0

    def work(clock: Numbers):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of activity.settle
        return load(service, plant.gpu, tp=cut.tp, rate=rate, clock=float(clock)).activity

    return float(settle(plant.gpu, work, limit))


def _training(plant: Plant, used: Assumed, limit: float) -> float:
    """Return what a GPU that trains draws, at most its limit."""
    rest = idle_watts(plant.gpu)
    return min(rest + used.training_activity * (plant.gpu.tdp_watts - rest), limit)


def _outcome(
    plant: Plant, service: Service, air: Climate, cut: Replicas, done: Load, clock: float, watts: float,
    coolant: float, limit: float, where: Site, used: Assumed, assume: Assumptions | None,
) -> Outcome:  # fmt: skip
    seen, count, osl = done.seen, cut.count, service.osl
    written = done.rate * count * osl
    share = cut.serving_gpus * watts / (cut.serving_gpus * watts + cut.training_gpus * _training(plant, used, limit))
    priced = plant.gpus * cut.serving_gpus / (cut.serving_gpus + cut.training_gpus)
    it = float(where.it_watts.mean())
    bill = cost.per_mtoken(
        tokens_per_second=written,
        gpus=priced,
        it_watts=it * share,
        pue=float(where.watts.mean()) / it,
        water_kg_s=float(where.cooled.water_kg_s.mean()) * share,
        assume={"utilisation": 1.0} | dict(assume or {}),
    )
    ttft, tpot = float(seen.ttft), float(seen.tpot)
    slow = (service.ttft_ms is not None and ttft * 1e3 > service.ttft_ms * (1 + 1e-9)) or (
        service.tpot_ms is not None and tpot * 1e3 > service.tpot_ms * (1 + 1e-9)
    )
    bound = "" if clock == 1 else ("power cap" if limit == plant.gpu_cap_watts else "temperature")
    return Outcome(
        plant=plant, service=service, climate=air, replicas=cut,
        concurrency=done.concurrency, batch=float(seen.batch), ttft=ttft, tpot=tpot,
        ttft_range=(ttft * seen.ttft_band[0], ttft * seen.ttft_band[1]),
        tpot_range=(tpot * seen.tpot_band[0], tpot * seen.tpot_band[1]),
        requests_per_second=done.rate * count, tokens_per_second=written,
        asked_tokens_per_second=written if service.requests_per_second is None else service.requests_per_second * osl,
        could_tokens_per_second=done.most_rate * count * osl, good_tokens_per_second=done.good_rate * count * osl,
        overloaded=done.overloaded, slo_kept=not done.overloaded and not slow,
        activity=done.activity, clock=clock, gpu_watts=watts,
        gpu_celsius=coolant + kelvin_per_watt(plant, assumed=used) * watts, bound=bound,
        site=where, share=share, bill=bill, notes=_notes(service, cut, done, clock, watts, limit, bound),
    )  # fmt: skip


def _notes(
    service: Service, cut: Replicas, done: Load, clock: float, watts: float, limit: float, bound: str
) -> tuple[str, ...]:
    """Say what a reader should know of this design."""
    notes = [f"{cut.tp} {'GPU' if cut.tp == 1 else 'GPUs'} a replica: {cut.reason}"]
    if done.overloaded:
        asked, most = service.requests_per_second, done.most_rate * cut.count
        notes.append(f"overloaded: {asked:g} requests/s are asked, {most:.4g} is all it could; the queue has no end")
    if done.concurrency > float(done.seen.batch) * (1 + 1e-9):
        wait = done.concurrency - float(done.seen.batch)
        notes.append(f"of {done.concurrency:g} requests in a replica {wait:.4g} wait for room")
    if done.good_rate == 0:
        notes.append("not even one request at a time keeps the SLO")
    if bound:
        notes.append(f"{bound}: a GPU may draw {limit:.0f} W, so its clock is {clock:.0%} of boost")
    if watts > limit * 1.001 and clock <= LEAST_CLOCK * 1.001:
        notes.append(f"at the least clock a GPU still draws {watts:.0f} W, above its limit")
    if cut.idle_gpus:
        notes.append(f"{cut.idle_gpus} GPUs are left over and idle")
    return tuple(notes)
