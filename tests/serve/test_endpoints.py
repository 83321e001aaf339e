"""The service over real sockets: formats, validation row by row, limits, metrics."""

import http.client
import json
import socket
import time
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON
from aifactory_lab.serve.server import start
from aifactory_lab.serve.service import Limits
from tests.serve.conftest import FEATURES
from tests.serve.test_schemas import json_values, stream


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def post(client, body, media_type=JSON) -> httpx.Response:
    return client.post("/predict", content=body, headers={"content-type": media_type})


def metric(client, name) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name + " ")).split()[-1])


def test_one_row_gets_one_answer(client, row, rows, predictor):
    answer = post(client, json.dumps(row))
    assert answer.status_code == 200
    expected = float(predictor(rows[:1])[0])
    assert answer.json() == {"probability": pytest.approx(expected, abs=1e-6), "decision": expected >= 0.3}


def test_a_bad_row_gets_its_error_and_the_others_their_answers(client, row, rows, predictor):
    body = [row, {**row, "hour": "seven"}, list(row.values()), {**row, "colour": 1}, row]
    results = post(client, json.dumps({"rows": body})).json()["results"]
    assert [("error" in result) for result in results] == [False, True, False, True, False]
    assert results[1] == {"error": {"field": "hour", "message": "Input should be a valid number"}}
    assert results[3]["error"]["field"] == "colour"
    assert results[0] == results[2] == results[4]
    assert results[0]["probability"] == pytest.approx(float(predictor(rows[:1])[0]), abs=1e-6)


def test_one_bad_row_alone_is_a_422(client, row):
    answer = post(client, json.dumps({**row, "hour": None, "distance": "far"}))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "distance")


def test_null_is_a_missing_value(client, row, predictor, rows):
    gap = rows[:1].copy()
    gap[0, FEATURES.index("temp")] = np.nan
    answer = post(client, json.dumps({**row, "temp": None})).json()
    assert answer["probability"] == pytest.approx(float(predictor(gap)[0]), abs=1e-6)


def test_the_three_formats_give_the_same_answers(client, flights, rows, predictor):
    count = 500
    as_json = post(client, json.dumps([list(map(_none, row)) for row in rows[:count].tolist()])).json()["results"]
    as_float32 = np.frombuffer(post(client, rows[:count].tobytes(), FLOAT32).content, "<f4")
    answer = post(client, stream(flights[:count].select(FEATURES).to_arrow()), ARROW)
    table = pa.ipc.open_stream(answer.content).read_all()
    expected = predictor(rows[:count])
    np.testing.assert_allclose([result["probability"] for result in as_json], expected, atol=1e-6)
    np.testing.assert_allclose(as_float32, expected, atol=1e-6)
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, atol=1e-6)
    assert table["decision"].to_pylist() == (table["probability"].to_numpy() >= np.float32(0.3)).tolist()
    assert table["error"].null_count == count
    assert answer.headers["content-type"] == ARROW


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value


def test_an_infinite_row_in_a_binary_body_is_told_apart(client, rows, predictor):
    matrix = rows[:3].copy()
    matrix[1, 2] = np.inf
    answers = np.frombuffer(post(client, matrix.tobytes(), FLOAT32).content, "<f4")
    assert np.isnan(answers).tolist() == [False, True, False]
    table = pa.table({name: matrix[:, place] for place, name in enumerate(FEATURES)})
    found = pa.ipc.open_stream(post(client, stream(table), ARROW).content).read_all()
    assert found["error"].to_pylist() == [None, "sched_dep_time is infinite", None]
    assert found["probability"].null_count == 1
    np.testing.assert_allclose(answers[[0, 2]], predictor(rows[[0, 2]]), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b"3", JSON, 400),
        (b"{}", JSON, 422),
        (b"[]", JSON, 200),
        (b"abc", FLOAT32, 422),
        (b"", FLOAT32, 200),
        (b"abc", ARROW, 422),
        (b"<row/>", "application/xml", 415),
        (b"[" * 5_000, JSON, 400),
    ],
)
def test_every_body_gets_a_fitting_status(client, body, media_type, status):
    answer = post(client, body, media_type)
    assert answer.status_code == status
    if status >= 400:
        assert answer.json()["error"]["message"]


@given(json_values)
@settings(max_examples=150, deadline=None)
def test_no_json_breaks_the_service(client, value):
    answer = post(client, json.dumps(value))
    assert answer.status_code in (200, 400, 422)
    if answer.status_code == 200:
        assert all("error" in result for result in answer.json()["results"])


@given(st.binary(max_size=200), st.sampled_from([JSON, ARROW, FLOAT32]))
@settings(max_examples=80, deadline=None)
def test_no_bytes_break_the_service(client, body, media_type):
    assert post(client, body, media_type).status_code in (200, 400, 422)


def test_the_model_describes_itself(client, bundle):
    answer = client.get("/model").json()
    assert answer["name"] == "xgboost"
    assert answer["threshold"] == 0.3
    assert [feature["name"] for feature in answer["features"]] == bundle.names
    assert answer["engines"][0]["batch"] == 1
    assert post(client, "[]").headers["x-model-version"] == answer["version"] == client.get("/health").json()["model"]


def test_metrics_count_requests_rows_and_batches(client, row):
    names = ('aifactory_requests_total{status="200"}', "aifactory_rows_total", "aifactory_rows_refused_total")
    before = [metric(client, name) for name in names]
    post(client, json.dumps([row, row, {}]))
    after = [metric(client, name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 2, 1]
    assert metric(client, "aifactory_request_seconds_count") >= 1
    assert 'aifactory_model_info{estimator="xgboost",version=' in client.get("/metrics").text


def test_a_large_body_is_read_beside_the_event_loop(client, rows, predictor):
    matrix = np.tile(rows, (2, 1))
    assert matrix.nbytes > 2 << 20
    answers = np.frombuffer(post(client, matrix.tobytes(), FLOAT32).content, "<f4")
    np.testing.assert_allclose(answers, predictor(matrix), atol=1e-6)
    assert post(client, b"[" + b"1," * 600_000 + b"1]").json()["results"][0]["error"]["field"] is None


def test_a_page_of_another_site_cannot_reload_the_model(client, server):
    answer = client.post("/reload", headers={"origin": "https://example.org"})
    assert (answer.status_code, client.post("/reload", headers={"origin": server.url}).status_code) == (403, 200)


def test_other_paths_and_methods_are_refused(client):
    assert client.get("/predict").status_code == 405
    assert client.get("/nothing").status_code == 404
    assert "/predict" in client.get("/openapi.json").json()["paths"]


def test_a_client_that_leaves_in_the_middle_does_no_harm(client, server, row):
    place = urlsplit(server.url)
    for _ in range(20):
        with socket.create_connection((place.hostname, place.port)) as half:
            half.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        with socket.create_connection((place.hostname, place.port)) as hasty:
            body = json.dumps(row).encode()
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
            hasty.sendall(head + body)
    assert post(client, json.dumps(row)).status_code == 200
    deadline = time.monotonic() + 10
    while client.get("/health").json()["open_requests"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert client.get("/health").json()["open_requests"] == 0


@pytest.fixture(scope="module")
def narrow(bundle, predictor):
    """A service with tight limits, in a thread of this process."""
    limits = Limits(max_body_bytes=20_000, max_requests=4, max_wait_seconds=0.0)
    with start(bundle.folder, threads=1, limits=limits, where="thread") as running:
        yield running


def test_a_body_above_the_limit_is_refused_without_being_read(narrow, rows):
    answer = httpx.post(narrow.url + "/predict", content=rows.tobytes(), headers={"content-type": FLOAT32})
    assert answer.status_code == 413
    assert "20,000 bytes" in answer.json()["error"]["message"]


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(narrow):
    place = urlsplit(narrow.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    chunks = (b"1" * 4_000 for _ in range(20))
    try:
        connection.request(
            "POST", "/predict", body=chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # the service closed before all was sent, which is its right
    finally:
        connection.close()


def test_too_many_at_once_get_429_and_are_told_when_to_return(narrow, row):
    place, body = urlsplit(narrow.url), json.dumps(row).encode()
    waiting = [socket.create_connection((place.hostname, place.port)) for _ in range(4)]
    for half in waiting:  # four requests are open: they have sent a head, and no body yet
        half.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
    deadline = time.monotonic() + 10
    while httpx.get(narrow.url + "/health").json()["open_requests"] < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    refused = httpx.post(narrow.url + "/predict", json=row)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    for half in waiting:  # those inside are served all the same
        half.sendall(body)
        assert half.recv(100).startswith(b"HTTP/1.1 200")
        half.close()
    assert httpx.post(narrow.url + "/predict", json=row).status_code == 200


def test_a_connection_rests_longer_than_the_pools_of_clients_keep_it(server, row):
    """httpx lets go after 5 s; a server that hung up then would do it in the middle of the next request."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    for pause in (5.5, 0.0):
        connection.request("POST", "/predict", json.dumps(row), {"content-type": JSON})
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        assert not answer.will_close
        first = connection.sock
        time.sleep(pause)
        assert connection.sock is first
    connection.close()
