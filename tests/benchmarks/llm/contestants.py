"""The engines of the comparison, each started fresh on the same checkpoint: an address, a process, a model's name."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from aifactory_lab import serve
from tests.benchmarks.llm import environment
from tests.serve import raw_llama
from tests.serve.raw_llama import Raw

SLOTS = 8
START_SECONDS = 300.0
# Left to itself it takes a share of all memory for keys and values: 9 GB for a model of 9 MB. 16,384 tokens are enough.
CACHE = ("--cb-block-size", "32", "--cb-num-blocks", "512", "--cb-max-batch-tokens", "1024")


@dataclass(frozen=True)
class Contestant:
    """One engine: how to start it on a checkpoint, and what its requests need to differ in."""

    name: str
    start: Callable[[Path], AbstractContextManager[Any]]
    options: dict[str, Any] = field(default_factory=dict)


def ours(folder: Path) -> AbstractContextManager[Any]:
    """Our server: the gateway before llama.cpp."""
    return serve.llm.start(folder, slots=SLOTS, engine="llama.cpp")


def raw(folder: Path) -> AbstractContextManager[Any]:
    """llama.cpp's own server, without the gateway."""
    return raw_llama.serve(folder / "model.gguf", slots=SLOTS)


@contextmanager
def transformers(folder: Path) -> Iterator[Raw]:
    """Hugging Face's server with continuous batching, in the peers' environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [environment.TRANSFORMERS, "serve", "--host", "127.0.0.1", "--port", str(port), "--continuous-batching"]
    process = subprocess.Popen(
        [*command, *CACHE, "--device", "cpu", "--log-level", "error", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield Raw(f"http://127.0.0.1:{port}", process.pid, str(folder))
    finally:
        process.terminate()
        process.wait(30)


def contestants() -> list[Contestant]:
    """Return the engines that can be started here."""
    found = [Contestant("aifactory_lab.serve.llm (llama.cpp)", ours), Contestant("llama.cpp's own server", raw)]
    if environment.versions():
        # Fields that it does not know are refused (422): the answer's length is the model's word.
        found.append(Contestant("transformers serve, batching", transformers, {"ignore_eos": False}))
    return found


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    msg = f"{url} does not answer (exit {process.poll()})"
    raise RuntimeError(msg)


def say() -> str:
    """Return the versions of what runs, in words."""
    import importlib.metadata

    there = environment.versions()
    peers = f"transformers {there['transformers']}, torch {there['torch']}" if there else "peers not installed"
    return f"xllamacpp {importlib.metadata.version('xllamacpp')}, {peers}, Python {sys.version.split()[0]}"
