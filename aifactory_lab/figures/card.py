"""The validation card as a picture: a line a check, its error within its tolerance, both numbers beside it.

Its own module, for it is long; `figures.design.card` is the same. What is checked, and how, is the twin's to say.

>>> from aifactory_lab.twin import validation
>>> card(validation.card(["Frontier at rest"])).layout.title.text
'Validation: 1 of 1 published numbers met'
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, GOOD, GRID, WARN

ROW, LINE = 24, 29  # pixels of a bar and of a check
LABEL = 30  # letters of a check's name in a line


def card(frame: pl.DataFrame) -> go.Figure:
    """Draw the validation card: a line a check, its error within its tolerance, both numbers beside it.

    Parameters
    ----------
    frame
        Of `validation.card`.

    Raises
    ------
    DataError
        If the frame is not one.
    """
    needed = {"check", "unit", "target", "ours", "error", "tolerance", "passed", "seen", "source", "note"}
    check(frame, needed, "a validation card", "figures.design.card(twin.validation.card())")
    rows = list(frame.iter_rows(named=True))
    figure = go.Figure()
    for name, colour, symbol, kept in (
        ("passed", GOOD, "circle", [row for row in rows if row["passed"] and not row["seen"]]),
        ("passed, but seen by the model", GOOD, "circle-open", [row for row in rows if row["passed"] and row["seen"]]),
        ("failed", BAD, "x", [row for row in rows if row["passed"] is False]),
        ("not computed: no data here", WARN, "line-ew-open", [row for row in rows if row["passed"] is None]),
    ):
        if kept:
            figure.add_scatter(
                x=[_of_tolerance(row) for row in kept], y=[row["check"] for row in kept], mode="markers", name=name,
                marker={"size": 10, "color": colour, "symbol": symbol, "line": {"width": 2, "color": colour}},
                hovertext=[_check_said(row) for row in kept], hoverinfo="text",
            )  # fmt: skip
    columns = ((0.34, "target", _target), (0.62, "ours", _ours), (1.0, "error, at most", _error_said))
    for place, name, text in columns:
        figure.add_scatter(
            x=[place] * len(rows), y=[row["check"] for row in rows], text=[text(row) for row in rows], mode="text",
            textposition="middle left", xaxis="x2", showlegend=False, hoverinfo="skip", textfont={"size": 12},
            cliponaxis=False,
        )  # fmt: skip
        figure.add_annotation(x=place, y=1, xref="x2 domain", yref="paper", text=f"<b>{name}</b>", showarrow=False,
                              xanchor="right", yanchor="bottom")  # fmt: skip
    return _card_layout(figure, rows)


def _card_layout(figure: go.Figure, rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    passed = sum(bool(row["passed"]) for row in rows)
    title = f"Validation: {passed} of {len(rows)} published numbers met"
    figure = theme.layout(figure, title, height=170 + LINE * len(rows))
    figure.add_shape(type="rect", x0=-1, x1=1, y0=0, y1=1, yref="paper", line_width=0, fillcolor=GRID, layer="below")
    legend_below(figure).update_layout(
        xaxis={"domain": [0, 0.28], "range": [-1.35, 1.35], "tickvals": [-1, 0, 1],
               "ticktext": ["−1", "0", "+1"], "title": "error ÷ tolerance"},
        xaxis2={"domain": [0.3, 1], "range": [0, 1], "visible": False, "anchor": "y"},
        margin_t=78,
    )  # fmt: skip
    names = [row["check"] for row in rows][::-1]
    ticks = ["<br>".join(textwrap.wrap(name, LABEL, break_on_hyphens=False)) for name in names]
    figure.update_yaxes(tickvals=names, ticktext=ticks, tickfont={"size": 11})
    return figure.update_yaxes(categoryorder="array", categoryarray=names, range=[-0.7, len(rows) - 0.3])


def legend_below(figure: go.Figure) -> go.Figure:
    """Put the legend under the plot: on a narrow page it needs lines that a title would lose."""
    legend = {"y": 0, "yref": "container", "yanchor": "bottom"}
    return figure.update_layout(legend=legend, showlegend=True, margin={"t": 50, "b": 64})


def _of_tolerance(row: Mapping[str, Any]) -> float:
    """Return the error as a share of what is tolerated; beyond the edge it stays at the edge."""
    if row["error"] is None or not row["error"]:
        return 0.0
    part = row["error"] / row["tolerance"] if row["tolerance"] else float("inf") * row["error"]
    return float(max(-1.25, min(1.25, part)))


def _check_said(row: Mapping[str, Any]) -> str:
    lines = (row["check"], f"{_target(row)}; ours {_ours(row)}", row["source"], row["note"])
    return "<br>".join(str(line) for line in lines if line)


def _target(row: Mapping[str, Any]) -> str:
    unit = str(row["unit"])
    return f"{number(row['target'])} {unit if unit != '1' and len(unit) < 9 else ''}".strip()


def _ours(row: Mapping[str, Any]) -> str:
    return number(row["ours"])


def _error_said(row: Mapping[str, Any]) -> str:
    """Return the error and the largest that passes: relative, but to a target of 0."""
    if row["error"] is None:
        return "–"
    if not row["target"]:
        return f"{row['error']:.3f}, {row['tolerance']:.3g}"
    return f"{row['error']:+.1%}, " + (f"{100 * row['tolerance']:.3g}%" if row["tolerance"] else "none")


def number(value: float | None) -> str:
    """Return a number as people write it, of four digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def check(frame: pl.DataFrame, needed: set[str], what: str, mend: str) -> None:
    """Refuse a frame that lacks what is drawn of it."""
    if missing := needed - set(frame.columns):
        msg = f"this is not {what}: it lacks {', '.join(sorted(missing))}"
        raise DataError(msg, mend=mend)
