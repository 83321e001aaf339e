"""llama.cpp's own server in a process of its own, without our gateway, and a small random Llama for it.

`python -m tests.serve.raw_llama model.gguf 8` serves a model with eight slots and says its address on the first line.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Raw:
    """A running llama-server."""

    url: str
    pid: int
    model: str = "tiny"


@contextmanager
def serve(gguf: Path, *, slots: int = 8, context: int = 256) -> Iterator[Raw]:
    """Serve a GGUF file until the block ends."""
    command = [sys.executable, "-m", "tests.serve.raw_llama", str(gguf), str(slots), str(context)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    try:
        yield Raw(process.stdout.readline().strip(), process.pid)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def make_model(folder: Path, texts: list[str], **shape: Any) -> Path:
    """Write an untrained Llama of a shape with a tokenizer of the texts, as a checkpoint and as ``model.gguf``."""
    from aifactory_lab.lm import checkpoint, gguf_file, tokenizer
    from aifactory_lab.lm.model import Llama, Shape

    words = tokenizer.train(texts, vocabulary=shape["vocabulary"])
    model = Llama(Shape(**{**shape, "vocabulary": words.vocabulary}), seed=0)
    checkpoint.save(folder, model, words, {})
    gguf_file.write(folder, folder / "model.gguf", kind="f16")
    return folder


def run(gguf: str, slots: int, context: int) -> None:
    """Serve until standard input closes."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias, params.verbosity = gguf, {"tiny"}, 0
    params.n_parallel, params.n_ctx = slots, slots * context
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames, params.port, params.endpoint_metrics, params.ui = ["127.0.0.1"], 0, True, False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
