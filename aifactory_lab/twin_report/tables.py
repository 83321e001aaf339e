"""Frames of the twin as tables of the report.

>>> import polars as pl
>>> table(pl.DataFrame({"a": [1.5], "b": ["x"]}), words=["b"]).rows
[['1.5', 'x']]
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from aifactory_lab.report import TextTable
from aifactory_lab.twin import cooling, cost, site
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin_report.kpis import number


def table(frame: pl.DataFrame, *, words: Sequence[str] = ()) -> TextTable:
    """Return a frame as text; `words` names the columns that hold sentences."""
    rows = [[_cell(value) for value in row] for row in frame.iter_rows()]
    return TextTable(
        [name.replace("_", " ") for name in frame.columns], rows, [name.replace("_", " ") for name in words]
    )


def figures(outcome: Outcome) -> TextTable:
    """Return every figure of a design with its range, its unit and what it rests on."""
    return table(outcome.table(), words=["rests_on"])


def design(outcome: Outcome) -> TextTable:
    """Return what is built, and what it serves."""
    plant, service, cut = outcome.plant, outcome.service, outcome.replicas
    cap = f"{plant.gpu_cap_watts:,.0f} W a GPU" if plant.gpu_cap_watts else f"none: {plant.gpu.tdp_watts:,.0f} W a GPU"
    chillers = "with chillers" if plant.chillers else "without chillers"
    replicas = f"{cut.count:,} replicas of {cut.tp} GPUs: {cut.reason}"
    rows = [
        ("plant", f"{plant.gpus:,} GPUs ({plant.gpu.name}) in {plant.chassis_count:,} {plant.chassis}"),
        ("racks and coolers", f"{plant.rack_count:,} racks, {plant.cdus:,} CDUs, {plant.air_units:,} fan units"),
        ("fabric", f"{plant.fabric.switches:,} switches, {sum(plant.fabric.cables):,} cables"),
        ("power cap", cap),
        ("cooling", f"water of {plant.water_celsius:g} °C, {plant.rejection}, {chillers}"),
        ("weather", outcome.climate.note),
        (
            "service",
            f"{service.shape.name} in {service.precision}, {replicas}",
        ),
        ("requests", f"{outcome.requests_per_second:,.4g} a second of {service.isl:,} + {service.osl:,} tokens"),
        ("objectives", f"TTFT {number(service.ttft_ms)} ms, TPOT {number(service.tpot_ms)} ms"),
        ("training", f"{cut.training_gpus:,} GPUs; idle: {cut.idle_gpus:,}"),
    ]
    return TextTable(["what", "as designed"], rows, ["as designed"])


def assumptions(outcome: Outcome) -> list[TextTable]:
    """Return what is assumed of money and carbon, of the site and of cooling."""
    used = pl.DataFrame(
        [(name, *values) for name, values in outcome.bill.assumed.items()],
        schema=("assumption", "low", "usual", "high"),
        orient="row",
    )
    money = used.join(cost.assumptions().select("assumption", "unit", "by"), on="assumption", how="left")
    return [table(money, words=["unit", "by"]), _assumed(site.assumptions()), _assumed(cooling.assumptions())]


def _assumed(told: dict[str, dict[str, object]]) -> TextTable:
    rows = [[name, number(float(str(one["is"]))), str(one["why"])] for name, one in told.items()]
    return TextTable(["assumption", "is", "why"], rows, ["why"])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return number(value)
    return str(value)
