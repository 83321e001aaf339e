"""One page of a design, and of its day if there was one, in reading order.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> made = page(evaluate(Plant(gpus=72, chassis="gb200-nvl72"), Service(requests_per_second=50)))
>>> [section.title for section in made.sections][:3]
['The design', 'Where the watts go', 'What a million tokens cost']
"""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from aifactory_lab import figures
from aifactory_lab.report import Page, Section, Tile
from aifactory_lab.twin import hall, steady_racks, validation
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin_report import days, tables
from aifactory_lab.twin_report.kpis import Kpi, kpis

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import Day

UNVALIDATED = "Cooling, and with it the PUE and the water, is not validated: no measured plant stands behind it."
FOOTER = "Reckoned, not measured. A band is where eight of ten held-out measurements lay, or what is assumed."


def page(outcome: Outcome, day: "Day | None" = None, *, front: pl.DataFrame | None = None) -> Page:
    """Return the report of a design, laid out.

    Parameters
    ----------
    outcome
        Of `twin.design.evaluate`.
    day
        That the design went through.
    front
        The best other designs, from `twin.sweep.pareto` by chassis, that it is drawn among.
    """
    plant, service = outcome.plant, outcome.service
    sections = [_design(outcome), _watts(outcome), _money(outcome)]
    sections += [_others(front, outcome)] if front is not None else []
    sections += [_day(day)] if day is not None else []
    sections += [_figures(outcome), _card(), _assumptions(outcome)]
    return Page(
        title=f"{plant.gpus:,} GPUs for {service.shape.name}",
        subtitle=f"A {plant.chassis} plant in {outcome.climate.note}, as its twin reckons it.",
        tiles=[_tile(one) for one in kpis(outcome)],
        sections=sections,
        footer=FOOTER,
    )


def write(path: Path, outcome: Outcome, day: "Day | None" = None, *, front: pl.DataFrame | None = None) -> Path:
    """Write the report of an outcome to `path`; `day` and `front` as for `page`. Return the path."""
    return page(outcome, day, front=front).write(path)


def _tile(one: Kpi) -> Tile:
    more = [f"({one.range})"] if one.range else []
    return Tile(one.value, " ".join([one.label, *more, *([] if one.backed else ["· not validated"])]))


def _design(outcome: Outcome) -> Section:
    picture = figures.hall.plan(hall.layout(outcome.plant), steady_racks.racks(outcome))
    return Section("The design", outcome.notes, [tables.design(outcome)], [picture])


def _watts(outcome: Outcome) -> Section:
    words = ["From the grid to the tokens: each step takes its part, and every watt leaves as heat.", UNVALIDATED]
    return Section("Where the watts go", words, figures=[figures.design.waterfall(outcome)])


def _money(outcome: Outcome) -> Section:
    words = [
        "Ranges, not prices: their low end takes every assumption at its cheapest at once, their high end at its"
        " dearest. All assumptions stand at the end of the page."
    ]
    return Section("What a million tokens cost", words, figures=[figures.design.cost(outcome)])


def _others(front: pl.DataFrame, outcome: Outcome) -> Section:
    words = [
        "The best that each chassis can do for the same requests, whatever the precision, the size of a replica, the"
        " power cap and the cooling. The star is this design, at the load that is asked of it."
    ]
    return Section("Beside other designs", words, figures=[figures.design.pareto(front, here=outcome)])


def _day(day: "Day") -> Section:
    told = [days.totals(day), *([days.incidents(day)] if day.incidents.height else [])]
    words = ["A day of traffic, request by request, and what went wrong in it.", *day.notes]
    return Section("A day", words, told, [figures.operations.timeline(day)], wide=True)


def _figures(outcome: Outcome) -> Section:
    words = [
        "Where a range is given, the figure is to be expected within it; where none is, nobody measured its error."
    ]
    return Section("Every figure", words, [tables.figures(outcome)])


def _card() -> Section:
    card = validation.card()
    passed, known = int(card["passed"].sum()), card.height - card["passed"].null_count()
    words = [
        f"Published and measured numbers, recomputed for this page: {passed} of {known} are within their tolerance.",
        UNVALIDATED,
    ]
    return Section("How far to believe it", words, figures=[figures.design.card(card)], wide=True)


def _assumptions(outcome: Outcome) -> Section:
    words = ["Money and carbon; the way from the grid to the GPUs; cooling. All of them may be changed."]
    return Section("What is assumed", words, tables.assumptions(outcome))
