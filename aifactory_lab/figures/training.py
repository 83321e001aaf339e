"""What a training tells, as figures: ladder, losses, curves, calibration, cost, importance. Frames in, figures out.

>>> import polars as pl
>>> loss_curve(pl.DataFrame({"round": [1, 2], "learn": [0.6, 0.5], "valid": [0.6, 0.55]})).data[1].name
'validation'
"""

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, PLAIN, WARN

ROW_PIXELS, FRAME_PIXELS = 26, 120
SLICES = {"learn": "learning", "valid": "validation"}
CHANCE = 0.5  # the AUC of a coin
DOTS = {"color": PLAIN, "dash": "dot", "width": 1}


def ladder(frame: pl.DataFrame, baseline: float | None = None) -> go.Figure:
    """Draw the AUC of every rung, from `train.ladder.climb`; what cannot be believed is drawn as an outline.

    Parameters
    ----------
    frame
        `rung`, `auc`, `low`, `high`, `honest`, `sentence`.
    baseline
        A published score to compare with, as a dotted line.
    """
    frame = frame.reverse()
    colours = [GOOD if honest else BAD for honest in frame["honest"]]
    fills = [colour if honest else "rgba(0,0,0,0)" for colour, honest in zip(colours, frame["honest"], strict=True)]
    bars = go.Bar(
        base=CHANCE,
        x=(frame["auc"] - CHANCE).to_list(),
        y=frame["rung"].to_list(),
        orientation="h",
        marker={"color": fills, "line": {"color": colours, "width": 2}},
        error_x=_interval(frame, "auc"),
        text=[f"{value:.3f}" for value in frame["auc"]],
        textposition="inside",
        insidetextanchor="start",
        customdata=frame["sentence"].to_list(),
        hovertemplate="%{y}: %{text}<br>%{customdata}<extra></extra>",
    )
    figure = go.Figure(bars)
    if baseline is not None:
        figure.add_vline(baseline, line=DOTS, annotation_text=f"published {baseline:.3f}")
    figure.update_xaxes(range=[CHANCE, 1.0])
    height = FRAME_PIXELS + 2 * ROW_PIXELS * frame.height
    return theme.layout(
        figure, "The ladder: solid is honest, outlined flatters", x="AUC on the test rows", height=height
    )


def loss_curve(frame: pl.DataFrame) -> go.Figure:
    """Draw the loss per round of each slice, from `Result.history`; the best validation round is marked."""
    figure = go.Figure()
    for name in frame.columns[1:]:
        figure.add_scatter(x=frame["round"].to_list(), y=frame[name].to_list(), name=SLICES.get(name, name))
    if "valid" in frame.columns and frame.height:
        best = frame.row(int(frame["valid"].arg_min() or 0), named=True)
        figure.add_vline(best["round"], line=DOTS, annotation_text=f"best: round {best['round']}")
    return theme.layout(figure, "Loss per round", x="round", y="log loss")


def roc(curves: pl.DataFrame | Mapping[str, pl.DataFrame]) -> go.Figure:
    """Draw recall against the false alarm rate, from `Result.curve`; several models by name."""
    figure = _lines(curves, "false_alarm_rate", "recall")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=DOTS, name="chance", hoverinfo="skip")
    return theme.layout(figure, "ROC curve", x="false alarm rate", y="recall")


def precision_recall(curves: pl.DataFrame | Mapping[str, pl.DataFrame]) -> go.Figure:
    """Draw precision against recall, from `Result.curve`; several models by name."""
    figure = _lines(curves, "recall", "precision")
    figure.update_yaxes(range=[0, 1.02])
    return theme.layout(figure, "Precision and recall", x="recall", y="precision")


def calibration(frame: pl.DataFrame) -> go.Figure:
    """Draw observed against predicted frequencies with 95 % intervals, from `Result.calibration`."""
    top = max(frame["predicted"].max(), frame["high"].max())  # type: ignore[type-var]
    figure = go.Figure()
    figure.add_scatter(x=[0, top], y=[0, top], mode="lines", line=DOTS, name="exact", hoverinfo="skip")
    figure.add_scatter(
        x=frame["predicted"].to_list(),
        y=frame["observed"].to_list(),
        error_y=_interval(frame, "observed"),
        mode="markers+lines",
        marker={"color": COLOURS[0], "size": 8},
        customdata=frame["rows"].to_list(),
        name="model",
        hovertemplate="predicted %{x:.1%}, observed %{y:.1%}<br>%{customdata:,} rows<extra></extra>",
    )
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(tickformat=".0%")
    return theme.layout(figure, "Calibration", x="predicted probability", y="observed share")


def cost_curve(frame: pl.DataFrame, threshold: float | None = None) -> go.Figure:
    """Draw the cost per row against the threshold, from `Result.curve`.

    Parameters
    ----------
    threshold
        The decision that was chosen (on the validation rows); marked.
    """
    inside = frame.filter(pl.col("threshold") <= 1)
    figure = go.Figure()
    figure.add_scatter(
        x=inside["threshold"].to_list(), y=inside["cost"].to_list(), name="cost", line={"color": COLOURS[0]}
    )
    never, always = frame["cost"][0], frame["cost"][-1]
    for level, name in ((never, "never yes"), (always, "always yes")):
        figure.add_hline(level, line=DOTS, annotation_text=f"{name}: {level:.3f}")
    if threshold is not None:
        figure.add_vline(threshold, line={"color": WARN, "width": 2}, annotation_text=f"chosen: {threshold:.3f}")
    figure.update_yaxes(rangemode="tozero")
    return theme.layout(figure, "Cost of the decision", x="threshold", y="cost per row")


def importance(frame: pl.DataFrame, top: int = 15) -> go.Figure:
    """Draw the AUC lost by shuffling, from `train.inspection.importance`, coloured by group."""
    frame = frame.sort("drop", descending=True).head(top)
    order = frame["name"].to_list()[::-1]
    figure = go.Figure()
    for number, group in enumerate(frame["group"].unique(maintain_order=True)):
        part = frame.filter(pl.col("group") == group)
        figure.add_bar(
            x=part["drop"].to_list(),
            y=part["name"].to_list(),
            error_x=_interval(part, "drop"),
            orientation="h",
            name=group,
            marker={"color": COLOURS[number % len(COLOURS)]},
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=order)
    height = FRAME_PIXELS + ROW_PIXELS * len(order)
    return theme.layout(figure, "What the model leans on", x="AUC lost when shuffled", height=height)


def learning_curve(frame: pl.DataFrame) -> go.Figure:
    """Draw test AUC against training rows, from `train.inspection.learning_curve`."""
    figure = go.Figure()
    figure.add_scatter(
        x=frame["rows"].to_list(),
        y=frame["auc"].to_list(),
        error_y=_interval(frame, "auc"),
        mode="markers+lines",
        marker={"color": COLOURS[0], "size": 8},
        hovertemplate="%{x:,} rows: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(type="log", dtick=1)
    return theme.layout(figure, "Would more rows help?", x="rows learned from", y="AUC on the test rows")


def flat_map(frame: pl.DataFrame) -> go.Figure:
    """Draw rows on their map, coloured by label, with each cluster's number at its middle, from `train.explore`."""
    figure = go.Figure()
    for label, colour in ((0, PLAIN), (1, WARN)):
        part = frame.filter(pl.col("label") == label)
        figure.add_scattergl(
            x=part["x"].to_list(),
            y=part["y"].to_list(),
            mode="markers",
            marker={"color": colour, "size": 4, "opacity": 0.6},
            name=f"label {label}",
            hovertemplate="cluster %{customdata}<extra></extra>",
            customdata=part["cluster"].to_list(),
        )
    middles = frame.filter(pl.col("cluster") >= 0).group_by("cluster").agg(pl.col("x", "y").median()).sort("cluster")
    for cluster, x, y in middles.iter_rows():
        figure.add_annotation(x=x, y=y, text=str(cluster), showarrow=False, font={"size": 14})
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False)
    return theme.layout(figure, "Map of the rows (only nearness means something)", height=420)


def _lines(curves: pl.DataFrame | Mapping[str, pl.DataFrame], x: str, y: str) -> go.Figure:
    named = {"model": curves} if isinstance(curves, pl.DataFrame) else curves
    figure = go.Figure()
    for name, frame in named.items():
        figure.add_scatter(
            x=frame[x].to_list(),
            y=frame[y].to_list(),
            mode="lines",
            name=name,
            customdata=frame["threshold"].to_list(),
            hovertemplate=f"{x} %{{x:.3f}}, {y} %{{y:.3f}}<br>threshold %{{customdata:.3f}}<extra></extra>",
        )
    return figure


def _interval(frame: pl.DataFrame, column: str) -> dict[str, object]:
    above = (frame["high"] - frame[column]).to_list()
    below = (frame[column] - frame["low"]).to_list()
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": theme.INK,
        "thickness": 1.5,
    }
