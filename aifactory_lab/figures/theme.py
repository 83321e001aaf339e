"""The look of every picture: colours that colour-blind readers can tell apart, one layout, both themes.

Figures have a transparent ground and mid-grey ink, so that they read on JupyterLab's light and dark themes.
This module does not know what is drawn.

>>> import plotly.graph_objects as go
>>> layout(go.Figure(), "Rows per second").layout.title.text
'Rows per second'
"""

import plotly.graph_objects as go

# Okabe & Ito (2008), "Color Universal Design": eight colours safe for the common colour-vision deficiencies;
# black is replaced by a grey that shows on dark ground too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C")
GOOD, WARN, BAD, PLAIN = COLOURS[2], COLOURS[1], COLOURS[5], COLOURS[7]
INK = "#7A7F87"
GRID = "rgba(128,134,145,0.22)"
CONFIG = {"displaylogo": False, "showSendToCloud": False, "responsive": True}


def layout(figure: go.Figure, title: str, *, x: str = "", y: str = "", height: int = 340) -> go.Figure:
    """Give a figure the look of the house and return it.

    Parameters
    ----------
    title, x, y
        Figure title and axis titles, with units.
    height
        In pixels; the width follows the page.
    """
    figure.update_layout(
        title={
            "text": title,
            "font": {"size": 16},
            "x": 0.01,
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14},
        },
        height=height,
        margin={"l": 12, "r": 16, "t": 78 if _has_legend(figure) else 50, "b": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, Segoe UI, sans-serif", "size": 13, "color": INK},
        colorway=list(COLOURS),
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "title": None},
        hoverlabel={"namelength": -1},
    )
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    figure.update_xaxes(**axis, title={"text": x or None, "standoff": 8})
    figure.update_yaxes(**axis, title={"text": y or None, "standoff": 8})
    return figure


def _has_legend(figure: go.Figure) -> bool:
    """Tell whether plotly will draw a legend: it stands between the title and the plot, and needs room."""
    if figure.layout.showlegend is not None:
        return bool(figure.layout.showlegend)
    return sum(trace.showlegend is not False for trace in figure.data) > 1
