"""The pictures of data quality, as the dicts that Plotly draws."""

import json

import polars as pl
import pytest

from aifactory_lab.figures import quality, theme


def bars(figure):
    (data,) = json.loads(figure.to_json())["data"]
    assert data["orientation"] == "h"
    return dict(zip(data["y"], zip(data["x"], data["marker"]["color"], strict=True), strict=True))


def test_columns_without_holes_are_left_out_and_the_worst_stands_on_top():
    frame = pl.DataFrame({"table": ["p", "p", "w"], "column": ["speed", "seats", "gust"], "missing": [0.99, 0.0, 0.8]})
    figure = quality.missing(frame)
    assert list(bars(figure)) == ["w.gust", "p.speed"]
    assert figure.layout.title.text == "Missing values"


def test_coverage_is_coloured_by_how_much_is_lost():
    frame = pl.DataFrame({"join": ["a", "b", "c"], "coverage": [1.0, 0.95, 0.5], "without": ["", "x (3)", "y (9)"]})
    drawn = bars(quality.coverage(frame))
    assert drawn == {"c": (0.5, theme.BAD), "b": (0.95, theme.WARN), "a": (1.0, theme.GOOD)}
    assert "without a partner" in quality.coverage(frame).data[0].hovertemplate


def test_drift_shows_both_thresholds():
    frame = pl.DataFrame(
        {"feature": ["far", "near", "here"], "psi": [0.4, 0.2, 0.01], "verdict": ["shifted", "moved", "stable"]}
    )
    figure = quality.drift(frame)
    assert bars(figure) == {"here": (0.01, theme.GOOD), "near": (0.2, theme.WARN), "far": (0.4, theme.BAD)}
    assert sorted(shape.x0 for shape in figure.layout.shapes) == [0.1, 0.25]
    assert "0.1 = moved, 0.25 = shifted" in figure.layout.xaxis.title.text


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (quality.missing, {"table": pl.String, "column": pl.String, "missing": pl.Float64}),
        (quality.coverage, {"join": pl.String, "coverage": pl.Float64, "without": pl.String}),
        (quality.drift, {"feature": pl.String, "psi": pl.Float64, "verdict": pl.String}),
    ],
)
def test_nothing_to_draw_is_still_a_figure(draw, columns):
    figure = draw(pl.DataFrame(schema=columns))
    assert figure.layout.title.text


def test_a_figure_grows_with_its_rows():
    few, many = (
        quality.drift(pl.DataFrame({"feature": list(map(str, range(n))), "psi": [0.0] * n, "verdict": ["stable"] * n}))
        for n in (3, 30)
    )
    assert many.layout.height > few.layout.height
