"""What a language model's training tells, as figures: losses, held-out score and its baselines, speed, schedule.

A training as `telemetry.trainings.read` returns it goes in, or only the frame of its steps; a figure comes out.

>>> import polars as pl
>>> steps = pl.DataFrame({"step": [1, 2], "tokens": [512, 1024], "loss": [7.6, 7.1], "learning_rate": [1e-3, 2e-3]})
>>> learning_rate(steps).data[0].y
(0.001, 0.002)
"""

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from aifactory_lab.errors import DataError
from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import COLOURS
from aifactory_lab.telemetry.trainings.account import HALF_LIFE, HELD_OUT, LEAST_LINES, flops, smoothed
from aifactory_lab.telemetry.trainings.training import Training

Given = Training | pl.DataFrame
TOKENS = "tokens seen"
FAINT = "rgba(0,114,178,0.3)"
APART = 0.07  # of the height between the names of two baselines
NEEDED = {"tokens", "loss"}


def loss(training: Given) -> go.Figure:
    """Draw the training loss, and the held-out bits per byte among its baselines.

    Parameters
    ----------
    training
        A training, or only the frame of its steps (``tokens``, ``loss``): then the loss stands alone.

    Raises
    ------
    DataError
        If the frame has not these columns.
    """
    steps = _steps(training)
    scores = training.scores.filter(pl.col("name") == HELD_OUT) if isinstance(training, Training) else None
    held = scores.filter(pl.col("step").is_not_null()) if scores is not None else pl.DataFrame()
    columns = 2 if held.height else 1
    heads = ["training loss, nats per token", "held-out bits per byte"][:columns]
    figure = make_subplots(1, columns, subplot_titles=heads if columns > 1 else None, horizontal_spacing=0.1)
    x = steps["tokens"].to_list()
    line = {"color": FAINT, "width": 1}
    mean = smoothed(steps["loss"].to_list(), max(LEAST_LINES, HALF_LIFE * steps.height))
    figure.add_scatter(x=x, y=steps["loss"].to_list(), name="each batch", line=line, row=1, col=1)
    figure.add_scatter(x=x, y=mean.tolist(), name="smoothed", line={"color": COLOURS[0], "width": 2.5}, row=1, col=1)
    if isinstance(training, Training) and held.height:
        _held_out(figure, held, training.baselines)
    figure = theme.layout(figure, _title(training, "Loss"), x=TOKENS, y="" if columns > 1 else heads[0], height=380)
    return figure.update_layout(showlegend=False, margin={"t": 78}).update_annotations(font_size=13)


def _held_out(figure: go.Figure, held: pl.DataFrame, baselines: dict[str, float]) -> None:
    """Draw the held-out score, and each baseline as a named line."""
    x, y = held["tokens"].to_list(), held["value"].to_list()
    style = {"color": COLOURS[0], "width": 2.5}
    figure.add_scatter(x=x, y=y, mode="lines+markers", line=style, name="held out", row=1, col=2)
    # a horizontal line alone does not widen an axis
    low, high = min([*y, *baselines.values()]), max([*y, *baselines.values()])
    room = high - low or 1.0
    figure.update_yaxes(range=[low - 0.08 * room, high + 0.08 * room], row=1, col=2)
    if baselines:
        _levels(figure, baselines, APART * room)
        figure.update_xaxes(domain=[0.55, 0.89], row=1, col=2)  # room for their names


def _levels(figure: go.Figure, baselines: dict[str, float], apart: float) -> None:
    """Draw each baseline across, its name beside it; names keep apart where the lines do not."""
    at = float("inf")
    for place, (name, value) in enumerate(sorted(baselines.items(), key=lambda one: -one[1])):
        colour = COLOURS[1 + place % (len(COLOURS) - 1)]
        figure.add_hline(value, line={"color": colour, "dash": "dash", "width": 1.4}, row=1, col=2)
        at = min(value, at - apart)
        beside = {"x": 1.01, "y": at, "xref": "x2 domain", "yref": "y2", "xanchor": "left"}
        text = f"{name.replace('_', ' ')} {value:.3g}"
        figure.add_annotation(text=text, font={"color": colour}, showarrow=False, **beside)


def throughput(training: Given) -> go.Figure:
    """Draw tokens per second, and the MFU beside the peak that it is a share of.

    Raises
    ------
    DataError
        If the frame has no ``tokens_rate``.
    """
    steps = _steps(training, "tokens_rate")
    known = "mfu" in steps.columns and steps["mfu"].is_not_null().any()
    peak = flops(training.facts.get("peak_flops")) if isinstance(training, Training) else ""
    heads = ["tokens per second", f"MFU, % of {peak or 'the peak'}"]
    figure = make_subplots(1, 2 if known else 1, subplot_titles=heads if known else None, horizontal_spacing=0.1)
    for place, name in enumerate(("tokens_rate", "mfu")[: 2 if known else 1]):
        style = {"color": COLOURS[2 + place], "width": 1.8}
        x, y = steps["tokens"].to_list(), steps[name].to_list()
        figure.add_scatter(x=x, y=y, line=style, name=heads[place], showlegend=False, row=1, col=place + 1)
    figure = theme.layout(figure, _title(training, "Speed"), x=TOKENS, y="" if known else heads[0], height=320)
    return figure.update_yaxes(rangemode="tozero").update_layout(margin={"t": 78}).update_annotations(font_size=13)


def learning_rate(training: Given) -> go.Figure:
    """Draw the schedule of the learning rate.

    Raises
    ------
    DataError
        If the frame has no ``learning_rate``.
    """
    steps = _steps(training, "learning_rate")
    figure = go.Figure()
    x, y = steps["tokens"].to_list(), steps["learning_rate"].to_list()
    figure.add_scatter(x=x, y=y, line={"color": COLOURS[5], "width": 2}, name="learning rate")
    figure = theme.layout(figure, _title(training, "Learning rate"), x=TOKENS, y="learning rate", height=280)
    return figure.update_yaxes(rangemode="tozero")


def _steps(training: Given, *more: str) -> pl.DataFrame:
    steps = training.steps if isinstance(training, Training) else training
    if missing := {*NEEDED, *more} - set(steps.columns):
        msg = f"the steps of a training lack {', '.join(sorted(missing))}; there are: {', '.join(steps.columns)}"
        raise DataError(msg, mend="figures.pretraining.loss(telemetry.trainings.read(folder))")
    return steps


def _title(training: Given, of: str) -> str:
    return f"{of}: {training.title}" if isinstance(training, Training) and training.title else of
