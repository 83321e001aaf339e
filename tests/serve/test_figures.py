import numpy as np
import pytest

from aifactory_lab.figures import serving
from aifactory_lab.serve.load import LoadReport


@pytest.fixture
def reports() -> list[LoadReport]:
    random = np.random.default_rng(0)
    lines = [
        (t, latency, 200 if t < 0.95 else 429)
        for t, latency in zip(np.linspace(0, 1, 200), random.exponential(0.01, 200), strict=True)
    ]
    return [LoadReport.of(lines, slo_ms=20, concurrency=n) for n in (1, 8)]


def test_engines_draws_one_line_per_engine_and_threads(predictor):
    figure = serving.engines(predictor.measurements)
    assert {trace.name for trace in figure.data} == {
        f"{engine}, {threads} thread" for engine, threads in predictor.measurements.select("engine", "threads").rows()
    }
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")


def test_latency_of_several_tests_is_a_curve_with_the_objective(reports):
    figure = serving.latency(reports)
    assert [trace.name for trace in figure.data] == ["p50", "p95", "p99"]
    assert list(figure.data[0].y) == [report.p50_ms for report in reports]
    assert figure.layout.shapes[0].y0 == 20
    assert figure.layout.annotations[0].y == np.log10(20), "a note's place on a log axis is its logarithm"


def test_latency_of_one_test_is_its_distribution(reports):
    figure = serving.latency(reports[0])
    shares = np.array(figure.data[0].y)
    assert (np.diff(figure.data[0].x) >= 0).all()
    assert shares.min() == 0
    assert shares.max() < 100
    assert {note.text.split()[0] for note in figure.layout.annotations} >= {"p50", "p95", "p99"}


def test_goodput_stacks_to_what_was_sent(reports):
    figure = serving.goodput(reports)
    total = sum(trace.y[0] for trace in figure.data) * reports[0].seconds
    assert total == pytest.approx(reports[0].sent)


def test_a_test_without_a_single_answer_can_be_drawn():
    silent = LoadReport.of([(0.0, 1.0, 0)], slo_ms=20)
    assert serving.latency(silent).layout.shapes
    assert serving.latency([silent]).data
    assert serving.goodput([silent]).data
