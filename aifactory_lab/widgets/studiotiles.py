"""A design's figures as tiles: each with its range, and a mark where nothing measured stands behind it.

>>> from aifactory_lab.twin_report import Kpi
>>> "not validated" in tiles([Kpi("1.1", "PUE", "", "guesses", backed=False)])
True
"""

from collections.abc import Iterable
from html import escape

from aifactory_lab.report import TextTable
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin_report import Kpi, number
from aifactory_lab.widgets.spoken import TONES

GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(114px,1fr));gap:8px;line-height:1.35"
TILE = "border:1px solid rgba(128,134,145,.35);border-radius:8px;padding:8px 11px;min-width:0"
VALUE = "font-size:21px;font-weight:650;font-variant-numeric:tabular-nums;white-space:nowrap"
SMALL = "font-size:12px;opacity:.78"
BADGE = f"font-size:11px;border:1px solid {TONES['bad']};border-radius:4px;padding:0 5px;white-space:nowrap"
TABLE = "border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums"
CELL = "padding:4px 10px;vertical-align:top;line-height:1.4"
LINE = "border-left:3px solid;padding:1px 10px;margin:2px 0;line-height:1.45"


def tiles(kpis: Iterable[Kpi]) -> str:
    """Return tiles as HTML; what a figure rests on is told where the pointer rests."""
    return f'<div class="af-kpis" style="{GRID}">{"".join(map(_tile, kpis))}</div>'


def verdict(outcome: Outcome) -> str:
    """Return in HTML whether the objectives are kept, what was built, and what a reader should know of it."""
    plant, service, cut = outcome.plant, outcome.service, outcome.replicas
    tone, said = ("good", "objectives kept") if outcome.slo_kept else ("bad", "objectives not kept")
    built = f"{plant.gpus:,} GPUs in {plant.rack_count:,} racks, {plant.chassis_count:,} {plant.chassis}"
    cooled = f"{plant.cdus:,} CDUs, {plant.air_units:,} fan units, {plant.fabric.switches:,} switches"
    most = number(outcome.good_tokens_per_second)
    within = (
        f"TTFT within {number(service.ttft_ms)} ms, TPOT within {number(service.tpot_ms)} ms, up to {most} tokens/s"
    )
    lines = [f"<b>{said}</b>: {within}", f"{built}; {cut.count:,} replicas; {cooled}", *map(escape, outcome.notes)]
    return f'<div style="{LINE};border-color:{TONES[tone]};font-size:13px">{"<br>".join(lines)}</div>'


def table(told: TextTable) -> str:
    """Return a table as HTML; it scrolls where the page is narrow."""
    head = "".join(f'<th style="{_side(told, name)}">{escape(name)}</th>' for name in told.columns)
    rows = [
        "".join(
            f'<td style="{_side(told, name)}">{escape(value)}</td>'
            for name, value in zip(told.columns, row, strict=True)
        )
        for row in told.rows
    ]
    body = "".join(f'<tr style="border-top:1px solid rgba(128,134,145,.25)">{row}</tr>' for row in rows)
    return f'<div style="overflow-x:auto;margin:8px 0"><table style="{TABLE}"><tr>{head}</tr>{body}</table></div>'


def _side(told: TextTable, name: str) -> str:
    words = name in told.words
    side = "left" if words or name == told.columns[0] else "right"
    return f"{CELL};text-align:{side};{'white-space:normal;min-width:17ch' if words else 'white-space:nowrap'}"


def _tile(one: Kpi) -> str:
    badge = "" if one.backed else f'<div><span style="{BADGE}">not validated</span></div>'
    return (
        f'<div style="{TILE}" title="{escape(one.rests_on)}"><div style="{VALUE}">{escape(one.value)}</div>'
        f'<div style="font-size:13px">{escape(one.label)}</div>'
        f'<div style="{SMALL}">{escape(one.range) or "&nbsp;"}</div>{badge}</div>'
    )
