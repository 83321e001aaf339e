"""What a fine-tuning gained and forgot, as figures, from `lm.tuned.Result`: its scores, its history.

>>> from aifactory_lab.lm.comparison import compare
>>> before_after({"loss": compare([4.0, 5.0], [3.0, 3.5])}).layout.title.text
'Before and after, on what was held out'
"""

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, INK, PLAIN
from aifactory_lab.lm.comparison import Comparison
from aifactory_lab.train.evaluation import Interval

ROW_PIXELS, FRAME_PIXELS = 110, 70
SMOOTH = 20  # steps whose mean is drawn over the single ones
# Whether more is better, and the words for it.
SCORES = {
    "loss": (False, "nats per answer token (less is better)"),
    "overlap": (True, "overlap with the true answer, ROUGE-L (more is better)"),
    "stopped": (True, "share of answers that end by themselves (more is better)"),
    "bits_per_byte": (False, "bits per byte of old text (more is forgetting)"),
}


def before_after(scores: Mapping[str, Comparison], *, by_chance: float | None = None) -> go.Figure:
    """Draw each score before and after with its 95 % interval, one row each, for their units differ.

    Parameters
    ----------
    scores
        From `Result.scores`.
    by_chance
        `Result.overlap_by_chance`: what style alone is worth; a dotted line in the row of the overlap.
    """
    words = [f"{SCORES[name][1] if name in SCORES else name}: {_change(score)}" for name, score in scores.items()]
    figure = make_subplots(rows=max(1, len(scores)), cols=1, subplot_titles=words, vertical_spacing=0.45 / len(scores))
    for row, (name, score) in enumerate(scores.items(), 1):
        for label, colour, found in (("before", PLAIN, score.before), ("after", _colour(name, score), score.after)):
            figure.add_trace(_point(label, found, colour), row=row, col=1)
        if name == "overlap" and by_chance is not None:
            line = {"color": INK, "dash": "dot", "width": 1}
            figure.add_vline(by_chance, line=line, annotation_text="with other questions' answers", row=row, col=1)
    figure.update_yaxes(autorange="reversed")
    figure.update_annotations(font_size=13)
    figure.update_layout(showlegend=False)
    height = FRAME_PIXELS + ROW_PIXELS * len(scores)
    drawn = theme.layout(figure, "Before and after, on what was held out", height=height)
    return drawn.update_layout(margin_t=78)


def loss_curve(history: pl.DataFrame, held_out: Comparison | None = None) -> go.Figure:
    """Draw the loss of each step over the tokens learned from, its running mean, and the held-out loss at both ends.

    Parameters
    ----------
    history
        `tokens`, `loss`, from `Result.history`.
    held_out
        The ``"loss"`` of `Result.scores`.
    """
    tokens, smooth = history["tokens"].to_list(), history["loss"].rolling_mean(SMOOTH, min_samples=1)
    figure = go.Figure()
    figure.add_scatter(
        x=tokens,
        y=history["loss"].to_list(),
        name="each step",
        mode="lines",
        line={"color": PLAIN, "width": 1},
        opacity=0.5,
    )
    figure.add_scatter(x=tokens, y=smooth.to_list(), name=f"mean of {SMOOTH}", line={"color": COLOURS[0], "width": 2})
    if held_out is not None:
        ends = (held_out.before, held_out.after)
        figure.add_scatter(
            x=[0, tokens[-1] if tokens else 0],
            y=[end.value for end in ends],
            error_y=_bars(ends),
            name="held-out files",
            mode="markers",
            marker={"color": COLOURS[5], "size": 9},
        )
    return theme.layout(figure, "What was learned from, step by step", x="tokens", y="nats per answer token")


def gain_and_forgetting(tunings: Mapping[str, Mapping[str, Comparison]]) -> go.Figure:
    """Draw for each fine-tuning what it gained (nats per answer token) beside what it forgot (bits per byte).

    Parameters
    ----------
    tunings
        `Result.scores` by name; one that read no old text has a gain only.
    """
    names = list(tunings)[::-1]
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=("gained: nats per answer token", "forgotten: bits per byte of old text")
    )
    for column, (score, sign, colour) in enumerate((("loss", -1, GOOD), ("bits_per_byte", 1, BAD)), 1):
        kept = [name for name in names if score in tunings[name]]
        changes = [_times(tunings[name][score].change, sign) for name in kept]
        bars = go.Bar(
            x=[change.value for change in changes],
            y=kept,
            orientation="h",
            marker={"color": colour},
            error_x=_bars(changes),
            text=[f"{change.value:+.2f}" for change in changes],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
        figure.add_trace(bars, row=1, col=column)
    figure.update_annotations(font_size=13)
    figure.update_layout(showlegend=False)
    figure.update_yaxes(showticklabels=False, row=1, col=2)
    drawn = theme.layout(figure, "What was gained, and what it cost", height=150 + 50 * len(names))
    return drawn.update_layout(margin_t=78)


def _point(label: str, found: Interval, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[found.value],
        y=[f"{label}: {found.value:.3g}"],
        error_x=_bars([found]),
        mode="markers",
        marker={"color": colour, "size": 12},
        hovertemplate=f"{label}: {found}<extra></extra>",
    )


def _change(score: Comparison) -> str:
    """Say the paired change, which is known better than either end."""
    change = score.change
    return f"{change.value:+.3g} [{change.low:+.3g}, {change.high:+.3g}]"


def _colour(name: str, score: Comparison) -> str:
    """Green for what is surely better, red for what is surely worse, grey for what may be chance."""
    if not score.clear or name not in SCORES:
        return PLAIN
    return GOOD if (score.change.value > 0) == SCORES[name][0] else BAD


def _times(found: Interval, sign: int) -> Interval:
    low, high = sorted((sign * found.low, sign * found.high))
    return Interval(sign * found.value, low, high)


def _bars(found: list[Interval] | tuple[Interval, ...]) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [one.high - one.value for one in found],
        "arrayminus": [one.value - one.low for one in found],
        "color": INK,
        "thickness": 1.5,
    }
