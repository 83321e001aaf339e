"""Starting, reloading, stopping and killing real servers under real load."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import httpx
import psutil
import pytest

from aifactory_lab.errors import FactoryError, ModelError
from aifactory_lab.serve import load
from aifactory_lab.serve.champions import find
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.server import start
from aifactory_lab.telemetry.sharing.announced import announced
from aifactory_lab.train.bundle import MANIFEST
from tests.serve.conftest import FEATURES


@pytest.fixture
def pointer(tmp_path, bundle, predictor):
    path = tmp_path / "champion"
    path.write_text(str(bundle.folder))
    return path


@pytest.fixture(scope="module", autouse=True)
def measured(successor):
    """The successor's engines are measured before a test loads it."""
    return Predictor.load(successor, threads=1)


def version(server) -> str:
    return httpx.get(server.url + "/health").json()["model"]


def wait_until(true, seconds=20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


class Load(threading.Thread):
    """Closed-loop load of real clients beside the test."""

    def __init__(self, server, rows, **options) -> None:
        super().__init__()
        self.work = lambda: load.test(server.url, rows, **options)
        self.start()

    def run(self) -> None:
        self.found = self.work()

    @property
    def report(self) -> load.LoadReport:
        self.join()
        return self.found


def test_it_listens_on_loopback_and_ends_with_its_block(bundle, predictor):
    with start(bundle.folder, threads=1) as server:
        process = psutil.Process(server.pid)
        addresses = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert addresses == {"127.0.0.1"}
    assert not process.is_running()
    server.stop()  # again: nothing


@pytest.mark.parametrize("where", ["process", "thread"])
def test_a_damaged_model_is_refused_at_the_start_with_the_reason(where, bundle, tmp_path):
    shutil.copytree(bundle.folder, tmp_path / "model")
    (tmp_path / "model" / "model.ubj").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is damaged or was changed"):
        start(tmp_path / "model", where=where)
    with pytest.raises(ModelError, match="not a model of ours"):
        start(tmp_path / "nothing", where=where)


def test_a_port_that_is_taken_is_said(server, bundle):
    with pytest.raises(FactoryError, match="cannot be bound: Address already in use"):
        start(bundle.folder, threads=1, port=int(server.url.rsplit(":", 1)[1]))


def test_a_function_as_source_needs_a_thread(bundle, successor, predictor):
    with pytest.raises(FactoryError, match="works in a thread only"):
        start(lambda: bundle.folder)
    folders = [bundle.folder]
    with start(lambda: folders[0], threads=1, where="thread") as server:
        before = version(server)
        folders[0] = successor.folder
        assert httpx.post(server.url + "/reload").json()["changed"]
        assert version(server) != before


def test_no_request_fails_while_champions_change_under_load(pointer, flights, bundle, successor):
    with start(pointer, threads=1) as server:
        versions = {version(server)}
        running = Load(server, flights.select(FEATURES), concurrency=16, seconds=4.0)
        for folder in (successor.folder, bundle.folder, successor.folder):
            time.sleep(0.5)
            pointer.write_text(str(folder))
            assert httpx.post(server.url + "/reload", timeout=60).json()["changed"]
            versions.add(version(server))
        report = running.report
        assert report.errors == 0, report
        assert report.sent > 100
        assert len(versions) == 2


def test_a_reload_to_a_damaged_model_keeps_the_old_one_serving(pointer, row, bundle, successor, tmp_path):
    with start(pointer, threads=1, where="thread") as server:
        before = version(server)
        shutil.copytree(successor.folder, tmp_path / "damaged")
        (tmp_path / "damaged" / "model.ubj").write_bytes(b"damaged")
        pointer.write_text("damaged")  # relative to the pointer
        answer = httpx.post(server.url + "/reload")
        assert answer.status_code == 409
        assert "is damaged or was changed" in answer.json()["error"]["message"]
        assert version(server) == before
        assert httpx.post(server.url + "/predict", json=row).status_code == 200
        pointer.write_text(str(successor.folder))
        assert httpx.post(server.url + "/reload").json()["changed"]
        assert 'aifactory_reloads_total{outcome="refused"} 1.0' in httpx.get(server.url + "/metrics").text


def test_a_watched_source_reloads_by_itself_and_survives_nonsense(pointer, bundle, successor):
    with start(pointer, threads=1, watch=0.05, where="thread") as server:
        before = version(server)
        pointer.write_text("two\nlines")
        time.sleep(0.2)
        assert version(server) == before
        pointer.write_text(str(successor.folder))
        wait_until(lambda: version(server) != before)


def test_a_model_replaced_in_its_place_is_noticed(tmp_path, bundle, successor):
    shutil.copytree(bundle.folder, tmp_path / "model")
    with start(tmp_path / "model", threads=1, watch=0.05, where="thread") as server:
        before = version(server)
        successor.save(tmp_path / "model", successor.model())
        wait_until(lambda: version(server) != before)
    assert (tmp_path / "model" / MANIFEST).exists()


def test_a_pointer_to_nothing_is_refused(tmp_path):
    (tmp_path / "champion").write_text("\n")
    with pytest.raises(ModelError, match="should hold the path of a model folder"):
        find(tmp_path / "champion")


def test_what_was_accepted_is_answered_before_the_end(bundle, predictor, rows):
    """A request that is being read when the service is asked to stop gets its answer."""
    server = start(bundle.folder, threads=1, where="thread")
    answers = []

    def slow_body():
        matrix = rows[:2_000].tobytes()
        yield matrix[:20_000]
        stopping.set()
        time.sleep(0.5)
        yield matrix[20_000:]

    def ask():
        headers = {"content-type": "application/octet-stream"}
        answers.append(httpx.post(server.url + "/predict", content=slow_body(), headers=headers, timeout=30))

    stopping, client = threading.Event(), threading.Thread(target=ask)
    client.start()
    stopping.wait(10)
    time.sleep(0.1)
    server.stop()
    client.join()
    assert answers[0].status_code == 200
    assert len(answers[0].content) == 4 * 2_000


def test_a_killed_server_fails_its_clients_and_can_be_started_again(bundle, predictor, flights, row):
    server = start(bundle.folder, threads=1)
    running = Load(server, flights.select(FEATURES), concurrency=8, seconds=2.0)
    time.sleep(1.0)
    os.kill(server.pid, signal.SIGKILL)
    report = running.report
    assert report.statuses.get("lost", 0) > 0
    assert report.statuses.get("200", 0) > 0
    server.stop()
    port = int(server.url.rsplit(":", 1)[1])
    with start(bundle.folder, threads=1, port=port) as again:
        assert httpx.post(again.url + "/predict", json=row).status_code == 200


def test_the_server_ends_with_the_process_that_started_it(bundle, predictor):
    code = """
        import os, signal, sys
        from aifactory_lab import serve
        server = serve.start(sys.argv[1], threads=1)
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(bundle.folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_the_command_line_serves_until_it_is_told_to_stop(bundle, predictor, row):
    command = [sys.executable, "-m", "aifactory_lab.serve", str(bundle.folder), "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("serving on http://127.0.0.1:")
    url = line.split()[2]
    assert httpx.post(url + "/predict", json=row).status_code == 200
    process.terminate()
    process.wait(30)
    process.stdout.close()


def test_the_command_line_says_what_is_wrong():
    command = [sys.executable, "-m", "aifactory_lab.serve", "no/such/model"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "no/such/model is not a model of ours: no bundle.json in it"


@pytest.mark.parametrize("where", ["process", "thread"])
def test_dashboards_are_told_of_an_endpoint_while_it_answers(bundle, where, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with start(bundle.folder, threads=1, where=where) as server:
        assert announced() == [f"{server.url}/metrics"]
        assert "aifactory_requests_in_flight" in httpx.get(announced()[0]).text
    assert announced() == []


def test_a_service_that_cannot_be_announced_serves_all_the_same(bundle, tmp_path, monkeypatch):
    (tmp_path / "aifactory_lab").write_text("a file where the private folder should be")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with start(bundle.folder, threads=1, where="thread") as server:
        assert httpx.get(f"{server.url}/health").json()["status"] == "ok"
