"""Curation as figures: what each stage let through, what went and why, what near-duplicate search finds.

>>> import polars as pl
>>> frame = pl.DataFrame({"stage": ["exact duplicates"], "documents_in": [10], "documents_out": [8], "bytes_out": [90]})
>>> funnel(frame).data[0].x
(10, 8)
"""

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme

ROW_PIXELS, FRAME_PIXELS = 26, 120
KINDS = ("code", "docstring", "prose", "text")
DOTS = {"color": theme.PLAIN, "dash": "dot", "width": 1}
STEPS = 200  # points of a drawn curve


def funnel(frame: pl.DataFrame) -> go.Figure:
    """Draw how many documents each stage let through, from `Curated.funnel`.

    Parameters
    ----------
    frame
        `stage`, `documents_in`, `documents_out`, `bytes_out`.
    """
    stages = ["raw", *frame["stage"]]
    documents = [*frame["documents_in"].head(1), *frame["documents_out"]]
    sizes = ["", *(f"{size / 1e6:,.2f} MB" for size in frame["bytes_out"])]
    went = (frame["documents_in"] - frame["documents_out"]).to_list()
    lost = ["", *(f"−{count:,}" if count else "" for count in went)]
    bars = go.Bar(
        x=documents,
        y=stages,
        orientation="h",
        marker={"color": [theme.PLAIN] * (len(stages) > 1) + [theme.COLOURS[0]] * frame.height},
        text=[" ".join(filter(None, (f"{count:,}", less))) for count, less in zip(documents, lost, strict=False)],
        textposition="outside",
        cliponaxis=False,
        customdata=sizes,
        hovertemplate="%{y}: %{x:,} documents %{customdata}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1.25 * max(documents, default=1)])
    return theme.layout(figure, "What each stage lets through", x="documents", height=_height(len(stages)))


def reasons(frame: pl.DataFrame) -> go.Figure:
    """Draw what went and why, one colour for each kind of document, from `Curated.reasons`.

    Parameters
    ----------
    frame
        `reason`, `kind`, `documents`, `bytes`.
    """
    order = frame.group_by("reason").agg(pl.col("documents").sum()).sort("documents", "reason")["reason"].to_list()
    figure = go.Figure()
    kinds = [*KINDS, *sorted(set(frame["kind"]) - set(KINDS))]
    for place, kind in enumerate(kinds):
        rows = frame.filter(pl.col("kind") == kind)
        if rows.height:
            figure.add_bar(
                x=rows["documents"].to_list(),
                y=rows["reason"].to_list(),
                name=kind,
                orientation="h",
                marker={"color": theme.COLOURS[place % len(theme.COLOURS)]},
                customdata=(rows["bytes"] / 1e6).to_list(),
                hovertemplate=f"%{{y}}: %{{x:,}} {kind} documents, %{{customdata:.3f}} MB<extra></extra>",
            )
    figure.update_layout(barmode="stack", legend_traceorder="normal")
    figure.update_yaxes(categoryorder="array", categoryarray=order)
    return theme.layout(figure, "What went, and why", x="documents", height=_height(len(order)))


def s_curve(curve: pl.DataFrame, *, bands: int = 20, rows: int = 13) -> go.Figure:
    """Draw how likely near-duplicate search finds a pair, and what it found of planted ones.

    Parameters
    ----------
    curve
        `jaccard`, `pairs`, `found`, from `curation.trial.curve`; may be empty.
    bands, rows
        Of the signatures: 1 − (1 − s^rows)^bands is drawn.
    """
    similarity = [step / STEPS for step in range(STEPS + 1)]
    promised = [1 - (1 - s**rows) ** bands for s in similarity]
    figure = go.Figure()
    figure.add_scatter(x=similarity, y=promised, mode="lines", name=f"promised by {bands} bands of {rows}")
    figure.add_scatter(
        x=curve["jaccard"].to_list(),
        y=curve["found"].to_list(),
        mode="markers",
        name="found of planted pairs",
        marker={"color": theme.WARN, "size": 9},
        customdata=curve["pairs"].to_list(),
        hovertemplate="%{y:.1%} of %{customdata:,} pairs of similarity %{x:.2f}<extra></extra>",
    )
    steepest = (1 / bands) ** (1 / rows)
    figure.add_vline(steepest, line=DOTS, annotation_text=f"{steepest:.2f}", annotation_position="top left")
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[-0.03, 1.05], tickformat=".0%")
    return theme.layout(
        figure,
        "Near duplicates: promised and found",
        x="share of windows in common (Jaccard)",
        y="share of pairs found",
    )


def _height(rows: int) -> int:
    return FRAME_PIXELS + ROW_PIXELS * max(2, rows)
