"""Pictures of the twin of a machine: forecast with its band and measurement together, with the error.

They take what `twin.mirror` returns: `compare`, `replay`, `follow`, `Watts.predict`. Nothing here fits or measures.

>>> import polars as pl
>>> load = {"figure": "tpot", "concurrency": 2.0, "isl": 64.0, "osl": 24.0, "unit": "s", "fitted": False}
>>> values = {"predicted": 0.011, "low": 0.009, "high": 0.012, "measured": 0.010, "error": 0.1, "within": True}
>>> forecast(pl.DataFrame([load | values])).layout.title.text
'Time from token to token: 10 % off on loads never seen'
"""

import numpy as np
import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, PLAIN
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin.mirror.replays import Replay

WORDS = {
    "ttft": ("time to first token", "milliseconds", 1e3),
    "tpot": ("time from token to token", "milliseconds", 1e3),
    "tokens_per_second": ("tokens per second", "tokens per second, all users", 1.0),
}
FAINT = "rgba(128,134,145,0.28)"
BAR = 22  # pixels
ROOM = 104  # pixels above: on a narrow page the legend takes two lines
RATIOS = (0.1, 0.2, 0.3, 0.5, 0.65, 0.8, 1, 1.25, 1.6, 2, 3, 5, 10)


def forecast(compared: pl.DataFrame, *, of: str = "tpot", height: int = 400) -> go.Figure:
    """Draw a figure of steady loads against their concurrency: forecast with its band as lines, measurements as points.

    A line is of one length of prompts and answers, in tokens.

    Parameters
    ----------
    compared
        From `twin.mirror.compare` of steady loads.
    of
        ``"ttft"``, ``"tpot"`` or ``"tokens_per_second"``.
    height
        In pixels.
    """
    what, unit, factor = WORDS[of]
    table = compared.filter(pl.col("figure") == of).sort("isl", "osl", "concurrency")
    figure = go.Figure()
    groups = table.group_by("isl", "osl", maintain_order=True)
    for number, ((isl, osl), part) in enumerate(groups):
        colour, name = COLOURS[number % len(COLOURS)], f"{isl:.0f} → {osl:.0f}"
        _lines(figure, part, colour, name, factor)
        _points(figure, part, colour, factor)
    new = table.filter(~pl.col("fitted"))
    told = new if len(new) else table
    seen = "on loads never seen" if len(new) else "on the loads that were fitted on"
    title = f"{what.capitalize()}: {_mean(told['error'])} off {seen}"
    levels = sorted(set(table["concurrency"].to_list()))
    figure.update_xaxes(type="log", tickvals=levels, ticktext=[f"{one:g}" for one in levels])
    figure.update_yaxes(type="log")
    figure = theme.layout(
        figure, title, x="requests at once (full: fitted on, open: never seen)", y=unit, height=height
    )
    return figure.update_layout(margin_t=ROOM)


def ratios(compared: pl.DataFrame, *, title: str = "", height: int | None = None) -> go.Figure:
    """Draw measured ÷ predicted for every row, over the band in which eight of ten should lie.

    Parameters
    ----------
    compared
        From `twin.mirror.compare`, of steady loads or of a replay.
    """
    known = compared.filter(pl.col("predicted") > 0)
    names = [_name(row) for row in known.iter_rows(named=True)]
    ratio, low, high = (known[name] / known["predicted"] for name in ("measured", "low", "high"))
    figure = go.Figure()
    bars = {"orientation": "h", "marker": {"color": FAINT, "line": {"width": 0}}, "hoverinfo": "skip"}
    figure.add_bar(y=names, x=(high - low).to_list(), base=low.to_list(), name="band of the forecast", **bars)
    for name, colour, chosen in (("in the band", GOOD, True), ("outside", BAD, False)):
        inside = [place for place, one in enumerate(known["within"]) if (one is not False) == chosen]
        figure.add_scatter(
            x=ratio.gather(inside).to_list(),
            y=[names[place] for place in inside],
            mode="markers",
            name=name,
            marker={"color": colour, "size": 9},
            hovertemplate="%{y}: %{x:.2f} times the forecast<extra></extra>",
        )
    figure.add_vline(x=1, line={"color": PLAIN, "dash": "dash"})
    kept = sum(one is not False for one in known["within"])
    words = title or f"Measured beside forecast: {kept} of {len(known)} in the band"
    figure = theme.layout(figure, words, x="measured ÷ forecast", height=height or 170 + BAR * len(names))
    figure.update_xaxes(type="log", tickvals=RATIOS, ticktext=[f"{one:g}" for one in RATIOS])
    return figure.update_yaxes(autorange="reversed", dtick=1).update_layout(margin_t=ROOM)


def arrivals(replay: Replay, report: TokenReport, *, height: int = 360) -> go.Figure:
    """Draw how many requests had their first token within a time: as simulated, and as measured."""
    simulated = replay.served.ttft[np.isfinite(replay.served.last)] * 1e3
    measured = [one.ttft_ms + one.wait_ms for one in report.records if one.ok and one.ttft_ms is not None]
    figure = go.Figure()
    for name, values, colour in (("simulated", simulated, COLOURS[0]), ("measured", measured, COLOURS[1])):
        figure.add_scatter(
            x=np.sort(values).tolist(),
            y=(100 * np.arange(1, len(values) + 1) / max(1, len(values))).tolist(),
            name=name,
            mode="lines",
            line={"color": colour, "shape": "hv", "dash": "dash" if name == "simulated" else "solid"},
            hovertemplate="%{y:.0f} % within %{x:.4g} ms<extra>" + name + "</extra>",
        )
    median = replay.figures.filter(pl.col("figure") == "ttft_p50").row(0, named=True)
    figure.add_vrect(x0=1e3 * median["low"], x1=1e3 * median["high"], fillcolor=FAINT, line_width=0)
    figure.update_xaxes(type="log")
    title = f"First tokens: {replay.served.trace.note or 'arrivals'}"
    x = "milliseconds to the first token (grey: band of the median)"
    return theme.layout(figure, title, x=x, y="% of requests within", height=height)


def watts(predicted: pl.DataFrame, *, entity: str | None = None, since: float | None = None) -> go.Figure:
    """Draw the power of one device over time, measured and predicted.

    Parameters
    ----------
    predicted
        From `twin.mirror.watts.Watts.predict`.
    entity
        Which device; by default the first.
    since
        The moment at which what was fitted on ends, in the samples' time.
    """
    chosen = entity or str(predicted["entity"][0])
    table = predicted.filter(pl.col("entity") == chosen).sort("time")
    seconds = (table["time"] - table["time"][0]).to_list()
    figure = go.Figure()
    _band(figure, seconds, table["low"].to_list(), table["high"].to_list(), COLOURS[0])
    for name, colour, dash in (("predicted", COLOURS[0], "dash"), ("watts", COLOURS[1], "solid")):
        shown = "measured" if name == "watts" else name
        figure.add_scatter(x=seconds, y=table[name].to_list(), name=shown, line={"color": colour, "dash": dash})
    error = table["error"] if since is None else table.filter(pl.col("time") >= since)["error"]
    if since is not None:
        figure.add_vline(x=since - table["time"][0], line={"color": PLAIN, "dash": "dot"})
    where = "" if since is None else " after what was fitted on"
    title = f"Power of {chosen.rpartition('/')[2]}: {_mean(error)} off{where}"
    return theme.layout(figure, title, x="seconds", y="watts").update_yaxes(rangemode="tozero")


def follow(followed: pl.DataFrame, *, height: int = 320) -> go.Figure:
    """Draw the error of each window's forecast: by the first fit, and by one that was renewed.

    Parameters
    ----------
    followed
        From `twin.mirror.follow`.
    """
    seconds = (followed["at"] - followed["at"][0]).to_list()
    figure = go.Figure()
    for column, name, colour in (("error_kept", "first fit kept", BAD), ("error_renewed", "fit renewed", GOOD)):
        figure.add_scatter(
            x=seconds,
            y=(100 * followed[column]).to_list(),
            name=f"{name}: {_mean(followed[column])} on average",
            mode="lines+markers",
            line={"color": colour},
            hovertemplate="%{x:.0f} s: %{y:.1f} %<extra>" + name + "</extra>",
        )
    figure = theme.layout(
        figure, "Forecast of each window before it was seen", x="seconds", y="error, %", height=height
    )
    return figure.update_yaxes(rangemode="tozero")


def _lines(figure: go.Figure, part: pl.DataFrame, colour: str, name: str, factor: float) -> None:
    once = part.unique("concurrency", maintain_order=True)
    x = once["concurrency"].to_list()
    value, low, high = ((once[column] * factor).to_list() for column in ("predicted", "low", "high"))
    banded, alone = bool(once["low"].is_finite().all()), len(x) == 1
    if banded and not alone:
        _band(figure, x, low, high, colour)
    ends = {"array": [high[0] - value[0]], "arrayminus": [value[0] - low[0]], "thickness": 3} if alone else None
    figure.add_scatter(
        x=x,
        y=value,
        name=name,
        legendgroup=name,
        mode="lines+markers" if alone else "lines",  # a line of one point is none
        marker={"symbol": "line-ew-open", "size": 16, "color": colour, "line": {"width": 2}},
        error_y=ends if banded else None,
        line={"color": colour, "dash": "dash"},
        hovertemplate="%{x:g} at once, forecast: %{y:.4g}<extra>" + name + "</extra>",
    )


def _points(figure: go.Figure, part: pl.DataFrame, colour: str, factor: float) -> None:
    shapes = ["circle" if seen else "circle-open" for seen in part["fitted"]]
    figure.add_scatter(
        x=part["concurrency"].to_list(),
        y=(part["measured"] * factor).to_list(),
        showlegend=False,
        mode="markers",
        marker={"color": colour, "size": 9, "symbol": shapes, "line": {"width": 2}},
        customdata=(100 * part["error"]).to_list(),
        hovertemplate="%{x:g} at once, measured: %{y:.4g}; forecast %{customdata:+.0f} % off<extra></extra>",
    )


def _band(figure: go.Figure, x: list[float], low: list[float], high: list[float], colour: str) -> None:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},0.14)",
        line={"width": 0},
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
    )


def _mean(errors: pl.Series) -> str:
    """Return the mean absolute error in words."""
    return f"{100 * float(np.mean(np.abs(errors.to_numpy()))):.0f} %"


def _name(row: dict[str, object]) -> str:
    if "concurrency" not in row:
        return str(row["figure"])
    return f"{row['figure']}, {row['concurrency']:g} × {row['isl']:.0f} → {row['osl']:.0f}"
