"""A tiny model with opinions, and real servers of it."""

import contextlib
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest
import torch

from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm import model, tokenizer
from aifactory_lab.serve import llm

STEPS, SLOTS, WAITING = 60, 4, 6
CONTEXT = 16_384  # an answer that fills it takes longer than a test needs to look, on any machine
PROMPT = "import "


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> checkpoints.Checkpoint:
    """A model that was shown one file, and goes on with it without an end in sight."""
    torch.set_num_threads(1)
    text = (Path(sysconfig.get_path("stdlib")) / "contextlib.py").read_text(encoding="utf-8")
    words = tokenizer.train([text], vocabulary=400)
    ids = torch.tensor(words.encode(text)[: 8 * 65]).view(8, 65)
    llama = model.Llama(model.shape(2, words.vocabulary, context=CONTEXT), seed=1)
    optimiser = torch.optim.AdamW(llama.parameters(), lr=5e-3)
    for _ in range(STEPS):
        optimiser.zero_grad()
        llama.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimiser.step()
    return checkpoints.save(tmp_path_factory.mktemp("models") / "tiny", llama, words, {"title": "tiny"})


@pytest.fixture(scope="session")
def server(checkpoint) -> Iterator[llm.Server]:
    """Four slots, and six requests may wait."""
    with llm.start(checkpoint.folder, slots=SLOTS, waiting=WAITING, context=CONTEXT) as running:
        yield running


@pytest.fixture(scope="session")
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def official(server) -> Iterator[openai.OpenAI]:
    """OpenAI's own client."""
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def long(**fields) -> dict:
    """A request whose answer takes a while: nothing ends it but the context."""
    return {"prompt": PROMPT, "max_tokens": CONTEXT, "ignore_eos": True, "temperature": 0, **fields}


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of the samples of a metric whose labels contain these."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.split()[-1]) for line in lines if all(want in line for want in wanted))


def wait_until(true, seconds=30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def quiet(client: httpx.Client) -> bool:
    """Nothing runs and nothing waits."""
    state = client.get("/health").json()
    return (state["running"], state["waiting"]) == (0, 0)


def engine_of(server: llm.Server) -> psutil.Process:
    """The process that computes."""
    (found,) = psutil.Process(server.pid).children()
    return found


def busy_slots(server: llm.Server) -> int:
    """How many slots llama.cpp itself says are at work."""
    socket = next(word for word in engine_of(server).cmdline() if "engine.sock" in word)
    path = socket.split('"socket":"')[1].split('"')[0]
    with contextlib.closing(httpx.HTTPTransport(uds=path)) as transport:
        slots = httpx.Client(transport=transport, base_url="http://engine").get("/slots").json()
    return sum(slot["is_processing"] for slot in slots)
