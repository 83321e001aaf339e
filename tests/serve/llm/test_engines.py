"""Which engine, and why; vLLM's command line; somebody else's server behind the gateway."""

import asyncio
import json

import httpx
import openai
import psutil
import pytest

from aifactory_lab import device
from aifactory_lab.errors import DeviceError, FactoryError, MissingPackageError, ModelError
from aifactory_lab.serve import llm
from aifactory_lab.serve.llm import engines, external, vllm
from aifactory_lab.serve.llm.engines import Plan
from tests.serve.llm.conftest import CONTEXT, PROMPT, engine_of, metric

NONE = device.Probe(obstacle="no CUDA driver")
GPU = device.Probe((device.Gpu("NVIDIA H100", 80 << 30),), driver="13.0")


def test_the_choice_and_its_reason(monkeypatch):
    assert engines.choose("model.gguf") == engines.Choice("llama.cpp", "the source is a GGUF file")
    assert engines.choose("https://host/v1").engine == "external"
    assert engines.choose("folder", "vllm") == engines.Choice("vllm", "asked for by name")
    monkeypatch.setattr(device, "probe", lambda: NONE)
    assert engines.choose("folder") == engines.Choice("llama.cpp", "no GPU is used: no CUDA driver")
    monkeypatch.setattr(device, "probe", lambda: GPU)
    without = engines.choose("folder")
    assert without.engine == "llama.cpp"
    assert without.reason.endswith("but vllm is not installed: pip install vllm")
    monkeypatch.setattr(device, "find_spec", lambda _: object())
    with_it = engines.choose("folder")
    assert with_it == engines.Choice("vllm", "1 × NVIDIA H100, CUDA driver 13.0, vllm installed"), (
        "RAPIDS is not needed"
    )


def test_vllm_says_what_it_misses(monkeypatch, checkpoint):
    monkeypatch.setattr(device, "probe", lambda: NONE)
    with pytest.raises(DeviceError, match="there is none: no CUDA driver"):
        vllm.start(Plan(str(checkpoint.folder), "tiny"), "asked for by name")
    monkeypatch.setattr(device, "probe", lambda: GPU)
    with pytest.raises(MissingPackageError, match="mend: pip install vllm"):
        vllm.start(Plan(str(checkpoint.folder), "tiny"), "asked for by name")


def test_the_command_line_of_vllm(tmp_path):
    plan = Plan("/models/tiny", "tiny", {"docs": str(tmp_path), "tests": str(tmp_path)}, slots=64, context=512)
    words = vllm.command(plan, "/run/engine.sock", ranks=[4, 12])
    assert words[1:5] == ["-m", "vllm.entrypoints.cli.main", "serve", "/models/tiny"]
    line = " ".join(words[5:])
    assert "--served-model-name tiny --uds /run/engine.sock --max-num-seqs 64 " in line
    assert "--generation-config vllm" in line
    assert "--max-model-len 512" in line
    assert line.endswith(f"--max-loras 2 --max-lora-rank 16 --lora-modules docs={tmp_path} tests={tmp_path}")
    assert "lora" not in " ".join(vllm.command(Plan("/models/tiny", "tiny"), "/run/engine.sock", ranks=[]))


@pytest.mark.parametrize("ending", ["", "/v1", "/v1/"])
def test_a_server_of_others_is_served_as_our_own(server, official, ending):
    """The other server is a real one: the gateway's own, one step further."""
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 20, "temperature": 0}
    expected = official.completions.create(**asked).choices[0].text
    with llm.start(server.url + ending) as relay:
        assert (relay.engine, relay.model, relay.reason) == ("external", "tiny", "the source is a URL")
        with openai.OpenAI(base_url=relay.base_url, api_key="none", max_retries=0) as client:
            assert client.completions.create(**asked).choices[0].text == expected
            chunks = list(client.completions.create(**asked, stream=True))
            assert "".join(chunk.choices[0].text for chunk in chunks) == expected
            with pytest.raises(openai.BadRequestError, match=f"the context holds {CONTEXT:,}"):
                client.completions.create(model="tiny", prompt="x" * 20_000)
            assert client.models.list().data[0].max_model_len == CONTEXT
        with httpx.Client(base_url=relay.url) as client:
            assert metric(client, "vllm:generation_tokens_total") == 40
            assert 'aifactory_llm_info{engine="external",model_name="tiny"} 1.0' in client.get("/metrics").text
            assert client.get("/health").json()["status"] == "ok"
        assert psutil.Process(relay.pid).children() == []


def test_the_key_of_an_external_server_is_sent_and_never_told(checkpoint, monkeypatch, capfd):
    key = "nvapi-a-very-private-key"
    monkeypatch.setenv("AIFACTORY_LLM_KEY", key)
    owner = llm.start(checkpoint.folder, slots=1)
    monkeypatch.delenv("AIFACTORY_LLM_KEY")
    with owner:
        with pytest.raises(FactoryError, match="answers 401 when it is asked for its models"):
            llm.start(owner.url)
        with pytest.raises(FactoryError, match="the environment variable THEIR_KEY holds no key"):
            llm.start(owner.url, key_variable="THEIR_KEY")
        monkeypatch.setenv("THEIR_KEY", key)
        with llm.start(owner.url, key_variable="THEIR_KEY") as relay, httpx.Client(base_url=relay.url) as client:
            answer = client.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 2})
            assert answer.json()["usage"]["completion_tokens"] == 2
            told = [client.get(path).text for path in ("/health", "/metrics", "/v1/models")]
            told += [repr(relay), str(psutil.Process(relay.pid).cmdline()), str(vars(relay))]
            owner.stop()  # what is said of its loss does not tell the key either
            told += [client.post("/v1/completions", json={"prompt": PROMPT}).text, client.get("/health").text]
    engine = external.External("why", engines.Address.of("https://host/v1", key=key), (), 1)
    told += [repr(engine), str(engine), *capfd.readouterr()]
    assert key not in "".join(told)


def test_what_an_external_server_lacks_is_said(server):
    with pytest.raises(ModelError, match="has no model 'gpt-9'; it has: tiny"):
        llm.start(server.url, name="gpt-9")
    with pytest.raises(FactoryError, match="does not answer"):
        llm.start("http://127.0.0.1:9")
    with pytest.raises(FactoryError, match="has its own adapters"):
        llm.start(server.url, adapters={"docs": "folder"})


def test_a_server_that_speaks_something_else_is_told_apart():
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome")
        writer.close()

    async def run():
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return await asyncio.to_thread(external.start, Plan(f"http://127.0.0.1:{port}"), "why")

    with pytest.raises(FactoryError, match="not as an OpenAI-compatible server"):
        asyncio.run(run())


def test_the_engine_runs_on_one_thread_unless_told_otherwise(server):
    settings = json.loads(engine_of(server).cmdline()[-1])
    assert (settings["threads"], settings["slots"]) == (1, 4)
