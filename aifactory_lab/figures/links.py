"""Pictures of a machine's links: what each carries, beside what was published of it.

They take what `links` measured. A link that nobody promises anything of has its bar and no line, and says so; one that
could not be measured has no bar. Nothing here measures.

>>> from aifactory_lab.links import Link, Links, Part
>>> read = Link("disk_read", "disk, read", (2e9, 1e9, 3e9), promised_bytes_s=4e9, source="its data sheet")
>>> bars(Links("laptop", "/", {"disk": Part((read,))})).layout.title.text
'What the links of laptop carry'
"""

import math

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import COLOURS, INK
from aifactory_lab.links import Link, Links

BAR = 30  # pixels
ROOM = 150  # pixels of title, legend and axis
KINDS = (("disk", COLOURS[4]), ("memory", COLOURS[2]), ("gpu", COLOURS[0]))
TICKS = (0.01, 0.1, 1, 10, 100, 1000)
DASHES = ("solid", "dot", "dash", "dashdot")
LEGEND = 104  # pixels above: on a narrow page the legend takes two lines
WORDS_DECADES = 0.95  # of the axis: room for the words behind the longest bar


def bars(found: Links, *, title: str = "", height: int | None = None) -> go.Figure:
    """Draw a bar a link on a logarithmic axis: the median; slowest and fastest pass as whiskers, the promise a mark.

    Parameters
    ----------
    found
        From `links.measure` or `links.measured`.
    title
        By default it names the machine.
    height
        In pixels; by default by the number of links.
    """
    figure = go.Figure()
    for kind, colour in KINDS:
        of_kind = [link for link in found.links if link.name.startswith(kind) and link.passes]
        if of_kind:
            _measured(figure, of_kind, colour)
    _promised(figure, [link for link in found.links if link.promised_bytes_s])
    low, high = _ends(found)
    _words(figure, found, least=10**low)
    figure.update_layout(showlegend=any(link.promised_bytes_s for link in found.links))
    names = [_label(link) for link in found.links]
    words = title or f"What the links of {found.machine} carry"
    figure = theme.layout(figure, words, x="GB/s (?: no figure is published)", height=height or ROOM + BAR * len(names))
    figure.update_xaxes(type="log", range=[low, high], tickvals=TICKS, ticktext=[f"{tick:g}" for tick in TICKS])
    return figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], title=None).update_layout(bargap=0.3)


def _measured(figure: go.Figure, links: list[Link], colour: str) -> None:
    rates = [(link.bytes_s or 0.0) / 1e9 for link in links]
    up = [(link.high or 0.0) / 1e9 - rate for link, rate in zip(links, rates, strict=True)]
    down = [rate - (link.low or 0.0) / 1e9 for link, rate in zip(links, rates, strict=True)]
    figure.add_bar(
        y=[_label(link) for link in links],
        x=rates,
        orientation="h",
        showlegend=False,
        marker={"color": colour, "line": {"width": 0}},
        error_x={"array": up, "arrayminus": down, "color": INK, "thickness": 1.5, "width": 3},
        customdata=[[(link.low or 0.0) / 1e9, (link.high or 0.0) / 1e9, _against(link)] for link in links],
        hovertemplate="%{y}<br>%{x:.3g} GB/s (%{customdata[0]:.3g} to %{customdata[1]:.3g})<br>%{customdata[2]}"
        "<extra></extra>",
    )


def _promised(figure: go.Figure, links: list[Link]) -> None:
    if not links:
        return
    figure.add_scatter(
        y=[_label(link) for link in links],
        x=[(link.promised_bytes_s or 0.0) / 1e9 for link in links],
        mode="markers",
        name="published",
        marker={"symbol": "line-ns-open", "size": 20, "color": COLOURS[5], "line": {"width": 3}},
        hovertemplate="%{y}<br>published: %{x:.4g} GB/s<extra></extra>",
    )


def _words(figure: go.Figure, found: Links, *, least: float) -> None:
    """Say behind each bar what it carries and of what, or that nobody promises anything."""
    ends = [max(link.high or 0.0, link.promised_bytes_s or 0.0) / 1e9 for link in found.links]
    figure.add_scatter(
        y=[_label(link) for link in found.links],
        x=[1.12 * end or 1.12 * least for end in ends],
        text=[_told(link) for link in found.links],
        mode="text",
        textposition="middle right",
        textfont={"color": INK, "size": 12},
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )


def _told(link: Link) -> str:
    if link.bytes_s is None:
        return "not measured"
    of = f" of {link.promised_bytes_s / 1e9:.3g}" if link.promised_bytes_s else " of ?"
    return f"{link.bytes_s / 1e9:.3g}{of}"


def _label(link: Link) -> str:
    """Return a link's name as people write it.

    >>> _label(Link("gpu0_from_host_pageable", "")), _label(Link("memory_copy_all", ""))
    ('GPU 0 from host pageable', 'memory copy all cores')
    """
    words = link.name.replace("_", " ").replace("gpu", "GPU ")
    return f"{words} cores" if words.endswith(" all") else words


def _against(link: Link) -> str:
    if link.share is None:
        return f"published: unknown, for {link.reason}"
    return f"{link.share:.0%} of what is published; {link.reason}"


def _ends(found: Links) -> tuple[float, float]:
    """Return the ends of the axis, as powers of ten."""
    rates = [rate / 1e9 for link in found.links for rate in (link.low, link.high, link.promised_bytes_s) if rate]
    if not rates:
        return -2.0, 3.0
    return math.log10(min(rates)) - 0.5, math.log10(max(rates)) + WORDS_DECADES


def worth(curve: pl.DataFrame, *, title: str = "", height: int = 380) -> go.Figure:
    """Draw how much faster GPUs are than the host over each link, by the operations on each byte that crosses.

    Parameters
    ----------
    curve
        From `twin.offload.curve`: ``gpu``, ``link``, ``intensity``, ``faster``.
    """
    figure = go.Figure()
    gpus = curve["gpu"].unique(maintain_order=True).to_list()
    for number, link in enumerate(curve["link"].unique(maintain_order=True)):
        for gpu, dash in zip(gpus, DASHES, strict=False):
            part = curve.filter(pl.col("gpu") == gpu, pl.col("link") == link)
            figure.add_scatter(
                x=part["intensity"].to_list(),
                y=part["faster"].to_list(),
                name=f"{gpu}, {link}" if len(gpus) > 1 else str(link),
                mode="lines",
                line={"color": COLOURS[number % len(COLOURS)], "dash": dash},
                hovertemplate="%{x:.3g} operations a byte: %{y:.3g} times as fast<extra>%{fullData.name}</extra>",
            )
    figure.add_hline(y=1, line={"color": INK, "dash": "dash"})
    words = title or "When moving to a GPU is worth it"
    figure = theme.layout(figure, words, x="operations on each byte", y="times as fast as here", height=height)
    figure.update_xaxes(type="log", dtick=1)
    return figure.update_yaxes(type="log", dtick=1).update_layout(margin_t=LEGEND)
