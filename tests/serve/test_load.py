import asyncio
import socket
import threading

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.serve import load
from aifactory_lab.serve.clients import Clients, Plan, _arrivals
from aifactory_lab.serve.load import LoadReport, make_bodies, predictions
from tests.serve.conftest import FEATURES

LINES = st.lists(
    st.tuples(st.floats(0, 5), st.floats(1e-4, 3), st.sampled_from([200, 429, 0])), min_size=1, max_size=50
)


@pytest.fixture
def frame(flights) -> pl.DataFrame:
    return flights.select(FEATURES)[:600]


def test_a_closed_loop_sends_exactly_what_it_was_told(server, frame):
    report = load.test(server.url, frame, concurrency=4, requests=200)
    assert (report.sent, report.statuses, report.errors) == (200, {"200": 200}, 0)
    assert 0 < report.p50_ms <= report.p95_ms <= report.p99_ms
    assert report.throughput == pytest.approx(200 / report.seconds)
    assert report.offered is None
    assert "4 connections" in str(report)


def test_the_clients_need_no_unbuffered_python(server, frame, monkeypatch):
    """Their results come through a pipe; most machines do not set what many containers do."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    assert load.test(server.url, frame, concurrency=2, requests=20, seconds=60).sent == 20


def test_the_service_counted_the_same(server, frame):
    def counted() -> float:
        lines = httpx.get(server.url + "/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("aifactory_rows_total ")).split()[1])

    before = counted()
    load.test(server.url, frame, concurrency=3, requests=30, rows_per_request=7)
    assert counted() - before == 210


@pytest.mark.parametrize("body", ["json", "arrow", "float32"])
def test_every_format_is_answered(server, frame, body):
    report = load.test(server.url, frame, concurrency=2, requests=20, rows_per_request=100, body=body)
    assert report.statuses == {"200": 20}
    assert report.rows_per_second == pytest.approx(100 * report.throughput)


def test_an_open_loop_offers_its_rate(server, frame):
    report = load.test(server.url, frame, rate=200.0, seconds=1.5)
    assert report.errors == 0
    assert report.sent == pytest.approx(300, abs=90)  # Poisson: 300 ± 5 standard deviations
    assert "200/s offered" in str(report)


def test_wrong_rows_are_counted_by_status(server):
    report = load.test(server.url, [{"hour": 1}], concurrency=2, requests=10)
    assert (report.statuses, report.throughput, report.goodput) == ({"422": 10}, 0.0, 0.0)
    assert np.isnan(report.p50_ms)
    assert "10 of 10 not answered" in str(report)


def test_nobody_there_is_lost_not_an_exception(frame):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    report = load.test(f"http://127.0.0.1:{port}", frame, concurrency=2, requests=6)
    assert report.statuses == {"lost": 6}


def test_a_sweep_is_one_report_per_concurrency_and_one_frame(server, frame):
    reports = load.sweep(server.url, frame, (1, 4), requests=40, slo_ms=1_000)
    table = load.frame(reports)
    assert table["concurrency"].to_list() == [1, 4]
    assert table["goodput"].to_list() == pytest.approx(table["throughput"].to_list())
    assert "<table" in reports[0]._repr_html_()


def test_too_few_rows_for_one_request_is_an_error(server, frame):
    with pytest.raises(DataError, match="1000 rows needs at least so many"):
        load.test(server.url, frame, rows_per_request=1_000)


@given(LINES, st.floats(1, 3_000))
def test_a_report_adds_up(lines, slo_ms):
    report = LoadReport.of(lines, slo_ms=slo_ms, rows=3)
    answered = sum(status == 200 for _, _, status in lines)
    in_time = sum(status == 200 and 1e3 * latency <= slo_ms for _, latency, status in lines)
    assert sum(report.statuses.values()) == report.sent == len(lines)
    assert report.errors == len(lines) - answered
    assert report.throughput * report.seconds == pytest.approx(answered)
    assert report.goodput * report.seconds == pytest.approx(in_time)
    assert report.goodput <= report.throughput
    assert load.frame([report])["errors"].item() == report.errors


def test_the_percentiles_are_numpys():
    lines = [(i * 0.01, i / 1e3, 200) for i in range(1, 101)]
    report = LoadReport.of(lines, slo_ms=50)
    assert (report.p50_ms, report.p99_ms) == pytest.approx((50.5, 99.01))
    assert report.goodput * report.seconds == pytest.approx(50)


def test_arrivals_are_a_poisson_process_that_repeats():
    plan = Plan("127.0.0.1", 1, rate=100.0)
    times = [time for time, _ in zip(_arrivals(plan), range(5_000), strict=False)]
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(0.01, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # exponential gaps
    assert times[:10] == [time for time, _ in zip(_arrivals(plan), range(10), strict=False)]


def test_a_slow_server_shows_in_the_open_loop_s_latency():
    """One answer at a time, 20 ms each, 100 arrivals per second: the last wait far longer than 20 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer_slowly, args=(listening, 0.02), daemon=True).start()
        plan = Plan("127.0.0.1", listening.getsockname()[1], rate=100.0, requests=30, concurrency=1)
        clients = Clients(plan, [b"{}"])
        asyncio.run(clients.run())
    report = LoadReport.of(clients.lines, slo_ms=100)
    assert report.statuses == {"200": 30}
    assert report.latencies_ms.min() >= 20
    assert report.latencies_ms.max() > 100


def _answer_slowly(listening: socket.socket, seconds: float) -> None:
    connection, _ = listening.accept()
    with connection:
        while connection.recv(65_536):
            threading.Event().wait(seconds)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def test_the_bodies_of_a_test_are_bounded():
    made = []

    def bodies():
        while True:
            made.append(b"x" * (1 << 20))
            yield made[-1]

    assert len(predictions._some(bodies())) == len(made) == 65
    assert len(predictions._some(iter([b"x"] * 5_000))) == predictions.MOST_BODIES


def test_bodies_keep_gaps_as_null(flights):
    gap = flights.select(FEATURES).filter(pl.col("temp").is_null())[:1]
    assert b'"temp":null' in next(make_bodies(gap, 1))
    assert pa.ipc.open_stream(next(make_bodies(gap, 1, "arrow"))).read_all()["temp"].null_count == 1
    assert np.isnan(np.frombuffer(next(make_bodies(gap, 1, "float32")), "<f4")).any()
