"""Each server of the house, told to listen to all: without the token it says nothing, with it everything."""

import logging
import os
import pty
import re
import subprocess
import sys

import httpx
import openai
import pytest

from aifactory_lab import serve, telemetry
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve import llm, load
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.sharing.announced import announced
from tests.security.conftest import ROW, doors, family, told

ALL = "0.0.0.0"
OF_PREDICTIONS = [
    *(("GET", path) for path in ("/model", "/metrics", "/docs", "/openapi.json", "/redoc", "/", "/nothing")),
    *(("POST", path) for path in ("/predict", "/reload", "/health")),
    ("DELETE", "/model"),
]
OF_LLM = [
    *(("GET", path) for path in ("/metrics", "/v1/models", "/v1", "/slots", "/nothing")),
    *(("POST", path) for path in ("/v1/completions", "/v1/chat/completions", "/health/../v1/completions")),
]


def local(server) -> str:
    return server.url.replace(ALL, "127.0.0.1")


def closed(url: str, requests, headers) -> None:
    for method, path in requests:
        answer = httpx.request(method, url + path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in answer.text, "how to mend it"


@pytest.fixture(scope="module")
def predictions(bundle):
    with serve.start(bundle.folder, host=ALL, threads=1) as server:
        yield server


def test_predictions_want_a_token_that_was_made(predictions):
    url = local(predictions)
    assert len(predictions.token) >= 43
    for headers in ({}, {"authorization": f"Bearer {predictions.token[:-1]}"}, {"cookie": predictions.token}):
        closed(url, OF_PREDICTIONS, headers)
    health = httpx.get(f"{url}/health")
    assert health.json()["status"] == "ok"
    assert httpx.post(f"{url}/predict", json=ROW, headers=predictions.headers).status_code == 200
    assert httpx.get(f"{url}/metrics", headers=predictions.headers).status_code == 200
    assert httpx.post(f"{url}/reload", headers=predictions.headers).json()["changed"] is False


def test_dashboards_of_the_same_user_get_in_and_do_not_tell(predictions, caplog):
    caplog.set_level(logging.DEBUG)
    found = next(url for url in announced() if predictions.token in url)
    assert predictions.token not in repr(predictions)
    with PrometheusSource(found) as source:
        assert source.sample().layout.entities
        assert predictions.token not in f"{source.key} {source.layout} {source.facts()} {source!r}"
    assert "/metrics" in caplog.text, "httpx logs what it asks"
    assert predictions.token not in caplog.text


def test_a_load_test_brings_the_token_of_its_environment(predictions, monkeypatch):
    assert load.test(local(predictions), [ROW], requests=4, concurrency=2).statuses == {"401": 4}
    monkeypatch.setenv("AIFACTORY_TOKEN", predictions.token)
    report = load.test(local(predictions), [ROW], requests=4, concurrency=2)
    assert report.statuses == {"200": 4}
    assert predictions.token not in f"{report!r} {report} {report.to_dict()}"


def test_nobody_sees_the_token_in_the_list_of_processes(predictions):
    assert predictions.token not in told(family(predictions.pid))
    assert "aifactory_lab.serve" in told(family(predictions.pid))


def test_a_language_model_wants_a_key_that_was_made(checkpoint):
    with llm.start(checkpoint.folder, host=ALL, slots=1) as server:
        url = local(server)
        closed(url, OF_LLM, {"authorization": "Bearer wrong"})
        assert httpx.get(f"{url}/health").status_code == 200
        with openai.OpenAI(base_url=f"{url}/v1", api_key=server.token, max_retries=0) as owner:
            assert owner.completions.create(model="tiny", prompt="import", max_tokens=1).usage.completion_tokens == 1
        assert httpx.get(f"{url}/metrics", headers=server.headers).status_code == 200
        assert server.token not in told(family(server.pid)) + repr(server)


def test_a_page_that_rebinds_its_name_reaches_neither(bundle, checkpoint):
    evil = {"host": "rebound.example", "origin": "http://rebound.example"}
    here = serve.start(bundle.folder, threads=1, where="thread")
    with here as predictions, llm.start(checkpoint.folder, slots=1) as model:
        assert doors(family(model.pid)) == {"127.0.0.1"}
        for server in (predictions, model):
            for method, path in [*OF_PREDICTIONS, *OF_LLM, ("GET", "/health")]:
                assert httpx.request(method, server.url + path, headers=evil).status_code == 403, path
            sent = {"content-type": "text/plain", "origin": "http://evil.example"}  # needs no preflight
            for path in ("/v1/completions", "/predict", "/reload"):
                assert httpx.post(server.url + path, headers=sent, content='{"prompt": "x"}').status_code == 403
        assert re.search(
            r"^vllm:generation_tokens_total\S* 0\.0$", httpx.get(f"{model.url}/metrics").text, re.MULTILINE
        )


def test_the_exporter_wants_a_token_that_was_made():
    with telemetry.export(port=0, host=ALL) as exporter:
        url = exporter.url.replace(ALL, "127.0.0.1")
        for path in ("", "x", "?name[]=up"):
            assert httpx.get(url + path).status_code == 401
        assert httpx.get(url, headers=exporter.headers).status_code == 200
        assert httpx.get(url, auth=("prometheus", exporter.token)).status_code == 200
        assert exporter.token not in repr(exporter)
    with telemetry.export(port=0) as exporter:
        assert httpx.get(exporter.url).status_code == 200
        assert httpx.get(exporter.url, headers={"host": "rebound.example"}).status_code == 403


def test_an_unsound_token_starts_nothing(bundle, monkeypatch):
    monkeypatch.setenv("AIFACTORY_TOKEN", "weak")
    for start in (
        lambda: serve.start(bundle.folder, host=ALL),
        lambda: llm.start("no matter what", host=ALL),
        lambda: telemetry.export(port=0, host=ALL),
    ):
        with pytest.raises(FactoryError, match="has 4 characters"):
            start()


COMMANDS = {
    "predictions": lambda bundle: [sys.executable, "-m", "aifactory_lab.serve", str(bundle.folder), "--port=0"],
    "dash": lambda _: [sys.executable, "-m", "aifactory_lab.cli", "dash", "gpus", "--no-browser", "--port=1"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_a_terminal_refuses_rather_than_log_a_token(name, bundle):
    command = [*COMMANDS[name](bundle), f"--host={ALL}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    said = " ".join((done.stdout + done.stderr).split())
    assert "there is no terminal to show a new one on" in said
    assert "AIFACTORY_TOKEN_FILE" in said


def test_a_command_shows_its_terminal_the_token_once(bundle):
    screen, end = pty.openpty()
    command = [*COMMANDS["predictions"](bundle), f"--host={ALL}", "--threads=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True) as process:
        os.close(end)
        try:
            url = process.stdout.readline().split()[2].replace(ALL, "127.0.0.1")
            shown = os.read(screen, 10_000).decode()
            token = re.search(r"token \(shown once\): (\S+)", shown)[1]
            assert httpx.get(f"{url}/model").status_code == 401
            assert httpx.get(f"{url}/model", headers={"authorization": f"Bearer {token}"}).status_code == 200
            assert token not in told(family(process.pid))
        finally:
            process.terminate()
            process.wait(60)
            os.close(screen)
