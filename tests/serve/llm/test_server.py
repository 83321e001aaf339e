"""Starting, stopping and killing real servers and their engines."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import httpx
import openai
import psutil
import pytest

from aifactory_lab.errors import FactoryError, ModelError
from aifactory_lab.serve import llm
from aifactory_lab.telemetry.sharing.announced import announced
from tests.serve.llm.conftest import CONTEXT, PROMPT, engine_of, long, wait_until


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_listens_on_loopback_and_ends_with_its_block(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with llm.start(checkpoint.folder, slots=1) as server:
        gateway, engine = psutil.Process(server.pid), engine_of(server)
        listening = [c.laddr for p in (gateway, engine) for c in p.net_connections("tcp") if c.status == "LISTEN"]
        assert [address.ip for address in listening] == ["127.0.0.1"]  # the engine has no port at all
        assert announced() == [f"{server.url}/metrics"]
        assert repr(server).startswith(f"Server('{server.url}', model='tiny', engine='llama.cpp'")
    assert announced() == []
    assert ended(gateway.pid)
    assert ended(engine.pid)
    server.stop()  # again: nothing


def test_a_damaged_model_is_refused_at_the_start_with_the_reason(tmp_path):
    (tmp_path / "torn.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(ModelError, match=r"torn\.gguf is not a GGUF file that can be read"):
        llm.start(tmp_path / "torn.gguf")
    with pytest.raises(FactoryError, match=r"no engine 'abacus'; there are: llama\.cpp, vllm, external"):
        llm.start(tmp_path / "torn.gguf", engine="abacus")
    with pytest.raises(FactoryError, match="slots and threads must be at least 1"):
        llm.start(tmp_path / "torn.gguf", slots=0)


def test_half_a_model_is_refused_and_leaves_nothing(checkpoint, tmp_path, monkeypatch):
    """The head can be read, the matrices are cut off: llama.cpp itself refuses."""
    from aifactory_lab.lm import gguf_file

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    whole = gguf_file.write(checkpoint.folder, tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "half.gguf").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load .*half\.gguf"):
        llm.start(tmp_path / "half.gguf")
    assert list(tmp_path.glob("aifactory-llm-*")) == []


def test_a_port_that_is_taken_is_said(server, checkpoint):
    with pytest.raises(FactoryError, match="cannot be bound: Address already in use"):
        llm.start(checkpoint.folder, port=int(server.url.rsplit(":", 1)[1]))


def test_an_engine_that_dies_is_said_and_nothing_hangs(checkpoint):
    with (
        llm.start(checkpoint.folder, slots=2, context=CONTEXT) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        official = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with official, official.completions.create(model="tiny", **streamed()) as stream:
            next(iter(stream))
            os.kill(engine_of(server).pid, signal.SIGKILL)
            with pytest.raises(openai.APIError, match=r"the engine llama\.cpp did not answer"):
                list(stream)
        health = client.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "its process ended (SIGKILL)"
        answer = client.post("/v1/completions", json={"prompt": PROMPT})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_unavailable")
        assert 'finished_reason="error",model_name="tiny"} 2.0' in client.get("/metrics").text
        state = client.get("/health").json()
        assert (state["running"], state["waiting"]) == (0, 0)


def streamed() -> dict:
    """What OpenAI's client is asked for an answer that takes a while."""
    extra = {"ignore_eos": True}
    return {"prompt": PROMPT, "max_tokens": CONTEXT, "temperature": 0, "stream": True, "extra_body": extra}


def test_a_killed_gateway_takes_its_engine_along(checkpoint):
    server = llm.start(checkpoint.folder, slots=1)
    engine = engine_of(server)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: ended(engine.pid))
    server.stop()


def test_everything_ends_with_the_process_that_started_it(checkpoint):
    code = """
        import os, signal, sys, psutil
        from aifactory_lab.serve import llm
        server = llm.start(sys.argv[1], slots=1)
        print(server.pid, psutil.Process(server.pid).children()[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(checkpoint.folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    for pid in map(int, done.stdout.split()):
        wait_until(lambda pid=pid: ended(pid))


def test_an_interrupted_cell_does_not_stop_the_server(checkpoint):
    """Jupyter interrupts a cell by a signal to the kernel's whole process group."""
    code = """
        import os, signal, sys, httpx
        from aifactory_lab.serve import llm
        with llm.start(sys.argv[1], slots=1) as server:
            try:
                os.killpg(0, signal.SIGINT)
                signal.pause()
            except KeyboardInterrupt:
                answer = httpx.post(server.base_url + "/completions", json={"prompt": "a", "max_tokens": 3}, timeout=60)
        print(answer.json()["usage"]["completion_tokens"])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(checkpoint.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, process_group=0)
    assert done.stdout.strip() == "3"


def test_what_was_accepted_is_answered_before_the_end(checkpoint):
    """One request is being computed and one waits when the server is asked to stop: both get their answers."""
    server = llm.start(checkpoint.folder, slots=1, context=CONTEXT)
    answers = []

    def ask():
        answers.append(httpx.post(f"{server.url}/v1/completions", json=long(max_tokens=2_500), timeout=60))

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    wait_until(lambda: httpx.get(f"{server.url}/health").json()["waiting"] == 1)
    server.stop()
    for client in clients:
        client.join()
    assert [answer.json()["usage"]["completion_tokens"] for answer in answers] == [2_500, 2_500]


def test_the_command_line_serves_until_it_is_told_to_stop(checkpoint):
    command = [sys.executable, "-m", "aifactory_lab.serve.llm", str(checkpoint.folder), "--port", "0", "--name", "mine"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("serving mine on http://127.0.0.1:")
        assert "(llama.cpp: no GPU is used: " in line
        base = line.split()[3]
        answer = httpx.post(f"{base}/completions", json={"model": "mine", "prompt": PROMPT, "max_tokens": 3})
        assert answer.json()["usage"]["completion_tokens"] == 3
        (engine,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)  # as Ctrl-C does
        process.wait(60)
        wait_until(lambda: ended(engine.pid))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_command_line_says_what_is_wrong():
    command = [sys.executable, "-m", "aifactory_lab.serve.llm", "no/such/model"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no/such/model is no model that can be served: there is nothing")
