"""Pictures of the whole line: what each station took, how far from its floor, and what came from what.

Each function takes plain reports or strings and returns a figure; none of them measures anything.

>>> from aifactory_lab.figures import factory
>>> factory.lineage([("raw", "ab12"), ("model", "cd34")]).layout.title.text
'Lineage: every product points back to its raw material'
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from aifactory_lab.figures.theme import COLOURS, GOOD, INK, PLAIN, layout
from aifactory_lab.measure import StationReport


def floors(reports: Sequence[StationReport]) -> go.Figure:
    """Draw each station's seconds beside the least that the machine's bandwidth allows (log axis)."""
    kept = [r for r in reports if r.floor_seconds and r.seconds > 0][::-1]
    names = [r.station for r in kept]
    figure = go.Figure()
    for name, values, colour in (
        ("measured", [r.seconds for r in kept], COLOURS[0]),
        ("floor: bytes ÷ bandwidth", [r.floor_seconds for r in kept], PLAIN),
    ):
        text = [_seconds(value) for value in values]
        figure.add_bar(y=names, x=values, name=name, orientation="h", marker_color=colour, text=text, cliponaxis=False)
    figure.update_traces(textposition="outside")
    figure.update_xaxes(type="log")
    layout(figure, "How far from the machine's limit", x="seconds (log scale)", height=120 + 62 * len(kept))
    return figure.update_layout(margin_r=56)  # room for the text beside the longest bar


def spending(reports: Sequence[StationReport]) -> go.Figure:
    """Draw each station's time as a bar, its share of all beside it, its cost on hover: where time and money went."""
    total = sum(report.seconds for report in reports) or 1.0
    rows = list(reports)[::-1]
    text = [f"{r.seconds / total:.0%} · {_seconds(r.seconds)}" for r in rows]
    cost = [f"{r.station}: {r.cpu_seconds:.2f} CPU-seconds, ${r.dollars:.2g}" for r in rows]
    figure = go.Figure()
    names, values = [r.station for r in rows], [r.seconds for r in rows]
    figure.add_bar(y=names, x=values, orientation="h", marker_color=COLOURS[0], text=text, cliponaxis=False)
    figure.update_traces(textposition="outside", textfont_size=12, hovertext=cost, hoverinfo="text")
    figure.update_xaxes(range=[0, 1.45 * max(values, default=1.0)])  # room for the text beside the longest bar
    title = "Where time and money went"
    return layout(figure, title, x="seconds", height=110 + 27 * len(rows))


def stations(reports: Sequence[StationReport]) -> go.Figure:
    """Draw wall seconds and CPU-seconds per station: where the time went."""
    names = [r.station for r in reports]
    figure = go.Figure()
    figure.add_bar(x=names, y=[r.seconds for r in reports], name="wall seconds", marker_color=COLOURS[0])
    figure.add_bar(x=names, y=[r.cpu_seconds for r in reports], name="CPU-seconds", marker_color=COLOURS[1])
    return layout(figure, "Where the time went", y="seconds")


def memory(reports: Sequence[StationReport]) -> go.Figure:
    """Draw peak resident memory per station."""
    figure = go.Figure()
    peaks = [r.peak_memory_bytes / 2**20 for r in reports]
    text = [f"{peak:,.0f}" for peak in peaks]
    figure.add_bar(x=[r.station for r in reports], y=peaks, marker_color=COLOURS[2], text=text, cliponaxis=False)
    figure.update_traces(textposition="outside")
    return layout(figure, "Peak memory of the process", y="MiB")


def lineage(products: Sequence[tuple[str, str]]) -> go.Figure:
    """Draw the chain from raw material to predictions.

    Parameters
    ----------
    products
        Pairs (product, content key), raw material first.
    """
    places = list(range(len(products)))
    figure = go.Figure()
    figure.add_scatter(
        x=places,
        y=[0] * len(places),
        mode="markers+lines+text",
        marker={"size": 26, "color": GOOD, "line": {"width": 0}},
        line={"color": PLAIN, "width": 2},
        text=[f"<b>{name}</b>" for name, _ in products],
        textposition="top center",
        hovertext=[key for _, key in products],
        hoverinfo="text",
        cliponaxis=False,
    )
    for place, (_, key) in zip(places, products, strict=True):
        figure.add_annotation(x=place, y=0, text=key[:12], showarrow=False, yshift=-26, font={"size": 11, "color": INK})
    figure.update_xaxes(visible=False, range=[-0.5, len(places) - 0.5])
    figure.update_yaxes(visible=False, range=[-1, 1])
    return layout(figure, "Lineage: every product points back to its raw material", height=190)


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.2g} ms"
