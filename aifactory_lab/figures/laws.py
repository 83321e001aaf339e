"""Pictures of the three scaling laws: a fit and the run that it never saw, iso-FLOP curves, tuning, trying again.

They take what `laws` returns. Nothing here is fitted or measured.

>>> from aifactory_lab.laws.law import EPOCH
>>> isoflop(EPOCH, [1e20, 1e21]).layout.title.text
'The same arithmetic, spent on more parameters or on more tokens'
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, COLOURS, PLAIN
from aifactory_lab.laws.chinchilla import Fit
from aifactory_lab.laws.law import Law

Numbers = Sequence[float] | pl.Series
STEPS = 60  # points of a curve
WIDTH = (8, 30)  # times smaller, and larger, than the optimum
APART = 1.25  # a run belongs to an iso-FLOP curve if its operations are no further off than this factor
DASHES = {"best": "solid", "vote": "dot"}
WAYS = {"best": "checked by a verifier", "vote": "the most frequent"}
TASKS = {
    "accuracy": "one expression",
    "chain": "one chain",
    "vote": "vote of several",
    "best": "best of several, checked",
}
LEGEND_PIXELS = 150
BAND = 0.16  # opacity of an interval


def fitted(fit: Fit, held_out: pl.DataFrame | None = None, *, title: str = "Loss over tokens, by size") -> go.Figure:
    """Draw the runs and the law through them, one colour a size; what was held out with its forecast's interval.

    Parameters
    ----------
    held_out
        Runs that the fit never saw: `runs.below` parts them.
    """
    figure = go.Figure()
    sizes = sorted({*fit.runs["parameters"], *([] if held_out is None else held_out["parameters"])})
    most = max(fit.runs["tokens"].to_numpy().max(), 0 if held_out is None else held_out["tokens"].to_numpy().max())
    tokens = np.geomspace(fit.runs["tokens"].to_numpy().min(), most, STEPS)
    for number, size in enumerate(sizes):
        colour, name = COLOURS[number % len(COLOURS)], f"{_short(size)} parameters"
        own = fit.runs.filter(pl.col("parameters") == size)
        line = {"color": colour, "width": 1.5}
        figure.add_scatter(
            x=tokens,
            y=fit.law.loss(size, tokens),
            mode="lines",
            line=line,
            name=name,
            legendgroup=name,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=own["tokens"].to_list(),
            y=own["loss"].to_list(),
            mode="markers",
            marker={"color": colour, "size": 8},
            name=name,
            legendgroup=name,
            showlegend=False,
        )
    if held_out is not None:
        _forecasts(figure, fit, held_out)
    theme.layout(figure, title, x="tokens", y="nats per token of held-out text", height=440)
    return _counts(_below(figure))


def _forecasts(figure: go.Figure, fit: Fit, held_out: pl.DataFrame) -> None:
    said = [fit.predict(*row) for row in held_out.select("parameters", "tokens").rows()]
    x, share = held_out["tokens"].to_list(), said[0].share if said else 0.0
    figure.add_scatter(
        x=x,
        y=[one.loss for one in said],
        error_y=_between([one.loss for one in said], [one.low for one in said], [one.high for one in said]),
        mode="markers",
        marker={"color": PLAIN, "size": 9, "symbol": "line-ew-open"},
        name=f"forecast, {share:.0%}",
        text=[one.words for one in said],
        hovertemplate="%{y:.3f}<br>%{text}",
    )
    marker = {"color": BAD, "size": 11, "symbol": "diamond-open", "line": {"width": 2}}
    figure.add_scatter(
        x=x, y=held_out["loss"].to_list(), mode="markers", marker=marker, name="measured, not in the fit"
    )


def isoflop(
    law: Law, budgets: Sequence[float], runs: pl.DataFrame | None = None, *, chosen: float | None = None
) -> go.Figure:
    """Draw the loss over the size for several budgets of operations, their optima, and the runs that cost as much.

    Parameters
    ----------
    chosen
        One more budget, drawn above the others.
    """
    figure = go.Figure()
    for number, budget in enumerate(budgets):
        _spent(figure, law, budget, runs, {"color": COLOURS[number % len(COLOURS)]})
    best = law.optimum(np.asarray(budgets, np.float64))
    marker = {"color": PLAIN, "size": 9, "symbol": "x"}
    line = {"color": PLAIN, "dash": "dash", "width": 1}
    figure.add_scatter(x=best.parameters, y=best.loss, mode="lines+markers", marker=marker, line=line, name="optimum")
    if chosen is not None:
        _spent(figure, law, chosen, runs, {"color": BAD, "width": 4}, "chosen: ")
        here, star = law.optimum(chosen), {"color": BAD, "size": 15, "symbol": "star"}
        figure.add_scatter(x=[here.parameters], y=[here.loss], mode="markers", marker=star, name="its optimum")
    title = "The same arithmetic, spent on more parameters or on more tokens"
    theme.layout(figure, title, x="parameters", y="nats per token", height=420)
    return _counts(_below(figure))


def _spent(
    figure: go.Figure, law: Law, budget: float, runs: pl.DataFrame | None, line: dict[str, object], kind: str = ""
) -> None:
    """Add one budget's curve, and the runs that cost about as much."""
    name, best = f"{kind}{budget:.2g} FLOP", law.optimum(budget)
    size = np.geomspace(best.parameters / WIDTH[0], best.parameters * WIDTH[1], STEPS)
    figure.add_scatter(x=size, y=law.along(budget, size), mode="lines", line=line, name=name, legendgroup=name)
    if runs is None:
        return
    work = 6 * runs["parameters"] * runs["tokens"]
    near = runs.filter((work > budget / APART) & (work < budget * APART))
    x, y, marker = near["parameters"].to_list(), near["loss"].to_list(), {"color": line["color"], "size": 8}
    figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name=name, legendgroup=name, showlegend=False)


def post_training(curve: pl.DataFrame) -> go.Figure:
    """Draw accuracy and forgetting over the arithmetic of post-training, beside the base.

    Parameters
    ----------
    curve
        `laws.post_training.curve`.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.62, 0.38])
    base, tuned = curve.head(1), curve.tail(-1)
    x = tuned["flops"].to_list()
    error = _between(tuned["accuracy"], tuned["low"], tuned["high"])
    for number, (column, name) in enumerate(
        (
            ("accuracy", "one expression"),
            ("chain", "one chain"),
            ("vote", "vote of 16"),
            ("best", "best of 16, checked"),
        )
    ):
        bars = error if column == "accuracy" else None
        line = {"color": COLOURS[number]}
        figure.add_scatter(x=x, y=tuned[column].to_list(), name=name, line=line, error_y=bars, row=1, col=1)
    figure.add_scatter(
        x=x,
        y=tuned["old_bits_per_byte"].to_list(),
        name="old text",
        line={"color": BAD},
        text=tuned["stage"],
        row=2,
        col=1,
    )
    dotted = {"color": PLAIN, "dash": "dot", "width": 1}
    for row, column in enumerate(("best", "old_bits_per_byte"), 1):
        figure.add_hline(base[column][0], line=dotted, annotation_text="base", row=row, col=1)
    _below(theme.layout(figure, "What post-training won and what it forgot", height=520))
    figure.update_xaxes(type="log", exponentformat="power", dtick="D2")
    figure.update_xaxes(title_text="FLOP after pre-training", row=2, col=1)
    figure.update_yaxes(title_text="share right", tickformat=".0%", row=1, col=1)
    return figure.update_yaxes(title_text="bits per byte", row=2, col=1)


def answers(curves: pl.DataFrame, *, form: str = "expression") -> go.Figure:
    """Draw accuracy over the tokens written for a question, with intervals, beside guesses under the same verifier.

    Parameters
    ----------
    curves
        ``who``, ``form``, ``way``, and the columns of `laws.test_time.best_of`.
    form
        Of the answers: ``"expression"`` or ``"chain"``.
    """
    figure = go.Figure()
    shown = curves.filter(pl.col("form") == form)
    names = [name for name in dict.fromkeys(shown["who"]) if name != "guesses"]
    colours = dict(zip([*names, "guesses"], [*COLOURS[: len(names)], PLAIN], strict=False))
    for (who, way), one in shown.group_by("who", "way", maintain_order=True):
        _band(figure, one, colours[str(who)])
        line = {"color": colours[str(who)], "dash": DASHES.get(str(way), "dash")}
        label = f"{who}, {WAYS.get(str(way), way)}"
        figure.add_scatter(x=one["tokens"].to_list(), y=one["accuracy"].to_list(), line=line, name=label, text=one["k"])
    figure.update_traces(hovertemplate="%{text} answers: %{y:.1%}", selector={"mode": None})
    title = f"What more answers bring: {form}s"
    theme.layout(figure, title, x="tokens written for a question", y="share right", height=440)
    _counts(_below(figure))
    return figure.update_yaxes(tickformat=".0%", range=[0, 1])


def three(fit: Fit, tuned: pl.DataFrame, curves: pl.DataFrame, *, flops_per_token: float) -> go.Figure:
    """Draw the three laws one below the other, over one axis of operations.

    Parameters
    ----------
    fit, tuned, curves
        Of the three laws: the other figures' data.
    flops_per_token
        Operations of a token that is written, 2 a parameter, which put answers on the axis.
    """
    figure = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.09,
        subplot_titles=("pre-training: nats per token", "post-training: share right", "an answer: share right"),
    )
    work = 6 * fit.runs["parameters"].to_numpy() * fit.runs["tokens"].to_numpy()
    budgets = np.geomspace(work.min(), work.max(), STEPS)
    dots, line = {"color": COLOURS[0], "size": 6}, {"color": COLOURS[0]}
    figure.add_scatter(x=work, y=fit.runs["loss"].to_list(), mode="markers", marker=dots, name="runs", row=1, col=1)
    best = fit.law.optimum(budgets).loss
    figure.add_scatter(x=budgets, y=best, mode="lines", line=line, name="the best that a budget buys", row=1, col=1)
    after = tuned.tail(-1)
    bars = _between(after["accuracy"], after["low"], after["high"])
    figure.add_scatter(
        x=after["flops"], y=after["accuracy"], error_y=bars, line={"color": COLOURS[1]}, name="one answer", row=2, col=1
    )
    last = [name for name in dict.fromkeys(curves["who"]) if name != "guesses"][-1]
    for who, colour in ((last, COLOURS[2]), ("guesses", PLAIN)):
        one = curves.filter(who=who, form="expression", way="best")
        x = (one["tokens"] * flops_per_token).to_list()
        name = f"{'tuned model' if who == last else 'guesses'}, best of k, checked"
        figure.add_scatter(x=x, y=one["accuracy"].to_list(), line={"color": colour}, name=name, row=3, col=1)
    _below(theme.layout(figure, "Three scaling laws on one axis", height=680)).update_layout(margin_t=70)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(type="log", exponentformat="power", dtick=1, showticklabels=True)
    figure.update_xaxes(title_text="FLOP (a training's; a question's in the last)", row=3, col=1)
    figure.update_yaxes(tickformat=".0%", row=2, col=1)
    return figure.update_yaxes(tickformat=".0%", row=3, col=1)


def _below(figure: go.Figure) -> go.Figure:
    """Put the legend below: its rows are many, and on a narrow page more."""
    legend = {"y": 0.0, "yref": "container", "yanchor": "bottom"}
    return figure.update_layout(legend=legend, margin={"t": 50, "b": LEGEND_PIXELS})


def _counts(figure: go.Figure) -> go.Figure:
    """Give a figure an axis of counts, labelled at 1, 2 and 5."""
    return figure.update_xaxes(type="log", tickformat="~s", dtick="D2")


def _band(figure: go.Figure, curve: pl.DataFrame, colour: str) -> None:
    x = curve["tokens"].to_list()
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*curve["high"], *curve["low"].to_list()[::-1]],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{BAND})",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _between(values: Numbers, low: Numbers, high: Numbers) -> dict[str, object]:
    """Return plotly's error bars from an interval's ends."""
    middle = np.asarray(values, np.float64)
    return {
        "type": "data",
        "symmetric": False,
        "array": (np.asarray(high) - middle).tolist(),
        "arrayminus": (middle - np.asarray(low)).tolist(),
        "thickness": 1.5,
    }


def _short(value: float) -> str:
    """Return a count in three digits: ``430 k``, ``1.75 M``."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"
