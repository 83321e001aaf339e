"""What a soak has shown: was every answer right, do the servers' books agree, does anything grow.

A process fails when the high end of its slope's interval lies above `LIMIT`: it grows, or the run was too short to
tell. The limit is what a server may grow in an hour and still run a month on 8 GiB.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme
from tests.benchmarks.harness import Table
from tests.benchmarks.soak.asked import Asked
from tests.benchmarks.soak.memory import WARM, slopes

LIMIT = 10.0  # MiB an hour: 7 GiB a month
QUARTER = 900.0
SAMPLE = re.compile(r"^(?P<name>[\w:]+)\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
COUNTED = {
    "predictions": {"aifactory_requests_total": "status"},
    "tokens": {"vllm:request_success_total": "finished_reason", "aifactory_llm_refusals_total": "status"},
}


def counted(endpoint: str, text: str) -> Counter[tuple[str, str]]:
    """Return what a server says it answered, from its metrics."""
    found: Counter[tuple[str, str]] = Counter()
    for sample in SAMPLE.finditer(text):
        if label := COUNTED[endpoint].get(sample["name"]):
            value = re.search(rf'{label}="([^"]*)"', sample["labels"])
            found[endpoint, value[1] if value else ""] += int(float(sample["value"]))
    return found


def books(asked: Asked, theirs: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """Compare what clients saw with what servers counted: equal, or within what nobody waited for."""
    rows = []
    for key in sorted({*asked.sure, *asked.unsure, *theirs}):
        low, high = asked.sure[key], asked.sure[key] + asked.unsure[key]
        rows.append({"endpoint": key[0], "what": key[1], "clients saw": low, "left unread": high - low,
                     "server counted": theirs[key], "agree": _word(low <= theirs[key] <= high)})  # fmt: skip
    return [row for row in rows if row["clients saw"] or row["left unread"] or row["server counted"]]


def growth(samples: pl.DataFrame, rest: dict[str, tuple[dict[str, float], dict[str, float]]]) -> list[dict[str, Any]]:
    """Judge every process: memory by its slope, the rest by what it held at rest before and after."""
    fitted = {column: slopes(samples, column) for column in ("rss", "anonymous")}
    rows = []
    for name, (before, after) in rest.items():
        resident, own = fitted["rss"][name], fitted["anonymous"][name]
        part = samples.filter(pl.col("process") == name)
        row = {"process": name, "RSS MiB, first": round(part["rss"][0], 1), "last": round(part["rss"][-1], 1)}
        row |= {"most": round(float(part["rss"].max()), 1), "RSS MiB/h": resident.per_hour}
        row |= {
            "95 %": f"{resident.low:+.2f} … {resident.high:+.2f}",
            "anonymous MiB/h": f"{own.per_hour} ({own.low:+.2f} … {own.high:+.2f})",
        }
        row |= {what: f"{before[what]:.0f} → {after[what]:.0f}" for what in ("descriptors", "sockets", "threads")}
        still = all(after[what] <= before[what] + 2 for what in ("descriptors", "sockets", "threads"))
        rows.append(
            row | {"CPU-s": round(after["cpu"] - before["cpu"]), "held": _word(still and resident.high <= LIMIT)}
        )
    return rows


def quarters(acts: pl.DataFrame) -> list[dict[str, Any]]:
    """Goodput and latency of the valid requests, by endpoint and quarter of an hour."""
    valid = acts.filter("valid").with_columns(quarter=(pl.col("start") // QUARTER).cast(pl.Int64) + 1)
    return valid.group_by("endpoint", "quarter").agg(
        pl.len().alias("valid requests"),
        (pl.col("what") == "").mean().round(5).alias("answered right"),
        (pl.col("seconds").median() * 1e3).round(1).alias("p50 ms"),
        (pl.col("seconds").quantile(0.99) * 1e3).round(1).alias("p99 ms"),
    ).sort("endpoint", "quarter").to_dicts()  # fmt: skip


def kinds(acts: pl.DataFrame) -> list[dict[str, Any]]:
    """How often each thing was done, and how often it held."""
    return acts.group_by("endpoint", "kind").agg(
        pl.len().alias("times"), (pl.col("what") == "").sum().alias("held"),
        pl.col("what").filter(pl.col("what") != "").first().alias("first that did not"),
    ).sort("endpoint", "kind").to_dicts()  # fmt: skip


def tables(asked: Asked, samples: pl.DataFrame, rest: dict[str, Any], theirs: Counter[tuple[str, str]]) -> list[Table]:
    """Return everything as tables, the verdict in the last one's notes."""
    acts = asked.frame()
    grown, agreed = growth(samples, rest), books(asked, theirs)
    wrong = acts.filter(pl.col("what") != "").height
    held = not wrong and all(row["held"] == "yes" for row in grown) and all(row["agree"] == "yes" for row in agreed)
    notes = [
        f"{acts.height:,} acts in {samples['seconds'].max() / 3600:.2f} h, {wrong} did not hold;"
        f" {asked.busy:,} times 429 and asked again"
        f" ({asked.unprompted:,} without a burst of ours); {asked.tokens:,} tokens checked.",
        f"Slopes: Theil-Sen over the last {1 - WARM:.0%}; the interval's high end must stay below {LIMIT:g} MiB/h.",
        f"Verdict: {'held' if held else 'FAILED'}.",
    ]
    return [
        Table("Soak: what was done", kinds(acts)),
        Table("Soak: valid requests by quarter of an hour", quarters(acts)),
        Table("Soak: the servers' books beside the clients'", agreed),
        Table("Soak: what the servers hold", grown, notes),
    ]


def _word(true: bool) -> str:
    return "yes" if true else "NO"


def figure(samples: pl.DataFrame) -> go.Figure:
    """Draw the memory curve of every process."""
    drawn = go.Figure()
    for name, part in samples.group_by("process", maintain_order=True):
        drawn.add_scatter(x=part["seconds"] / 60, y=part["rss"], name=str(name[0]), mode="lines")
    drawn.update_yaxes(rangemode="tozero")
    return theme.layout(drawn, "Resident memory under mixed load", x="minutes", y="MiB")


def draw(samples: pl.DataFrame, path: Path) -> None:
    """Keep the figure as a page."""
    path.write_text(figure(samples).to_html(include_plotlyjs=True, config=theme.CONFIG))
