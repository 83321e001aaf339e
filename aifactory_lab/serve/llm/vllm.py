"""vLLM as an engine, on a GPU: `vllm serve` in a process of its own behind a Unix socket.

The flags are those of vLLM 0.33 (vllm/engine/arg_utils.py, vllm/entrypoints/common/cli_args.py). It tells its own
metrics, which the gateway passes on. Not yet measured here, for want of a GPU:
``python -m tests.benchmarks llm_serving`` on a machine that has one. This module knows neither the gateway nor its
clients.

>>> from aifactory_lab.serve.llm.engines import Plan
>>> command(Plan("/models/tiny", "tiny", slots=64), "/tmp/engine.sock", ranks=())[2:6]
['vllm.entrypoints.cli.main', 'serve', '/models/tiny', '--served-model-name']
"""

import asyncio
import ctypes
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aifactory_lab import device
from aifactory_lab.errors import DeviceError, FactoryError, MissingPackageError, ModelError
from aifactory_lab.serve.llm.engines import Plan, Served
from aifactory_lab.serve.llm.upstream import Address, Unreachable, fetch

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what --max-lora-rank takes
START_SECONDS = 1_500.0
STOP_SECONDS = 30.0
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
TOLD = 12  # last lines of the log that an error shows


@dataclass
class Vllm:
    """A running vLLM."""

    reason: str
    address: Address
    models: tuple[Served, ...]
    slots: int
    process: "subprocess.Popen[bytes]" = field(repr=False)
    folder: Path = field(repr=False)
    name: str = "vllm"
    metrics_path: str = "/metrics"
    hears_hangups: bool = True

    def prepare(self, path: str, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - an engine's method
        """Return the request as it is: vLLM's protocol is the one that the gateway speaks."""
        return request

    async def trouble(self) -> str:
        """Return how its process ended, or what it says of its health."""
        if (code := self.process.poll()) is not None:
            return f"its process ended (exit {code})"
        try:
            status, _ = await fetch(self.address, "/health")
        except Unreachable as error:
            return str(error)
        return "" if status == 200 else f"vLLM says of its health: {status}"

    def stop(self) -> None:
        """End its process; it has no requests left."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(plan: Plan, reason: str) -> Vllm:
    """Start vLLM and return when it answers, which takes minutes: it compiles and warms up.

    Raises
    ------
    DeviceError
        If there is no GPU.
    MissingPackageError
        If vLLM is not installed.
    ModelError
        If it ends before it answers; the message holds the end of its log.
    """
    check()
    folder = Path(tempfile.mkdtemp(prefix="aifactory-llm-"))
    address = Address(unix=str(folder / "engine.sock"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            command(plan, address.unix, ranks=map(_rank, (plan.adapters or {}).values())),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent,  # noqa: PLW1509
        )  # fmt: skip
    engine = Vllm(reason, address, plan.served(plan.context or None), plan.slots, process, folder)
    try:
        asyncio.run(_answers(engine))
    except BaseException:
        engine.stop()
        raise
    return engine


def check() -> None:
    """Refuse, with what is missing, where vLLM cannot run."""
    found = device.current(needs=())
    if found.kind != "gpu":
        msg = f"vLLM is used on a GPU here, and there is none: {found.reason}"
        raise DeviceError(msg, mend='serve.llm.start(source, engine="llama.cpp")')
    if find_spec("vllm") is None:
        msg = "vllm is not installed"
        raise MissingPackageError(msg, mend="pip install vllm")


def command(plan: Plan, socket: str, *, ranks: Iterable[int]) -> list[str]:
    """Return the command line.

    Parameters
    ----------
    socket
        Path of the Unix socket to listen on.
    ranks
        Of the adapters.
    """
    words = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", plan.model]
    words += ["--served-model-name", plan.name, "--uds", socket, "--max-num-seqs", str(plan.slots)]
    # The defaults of sampling are OpenAI's, not those of a file beside the model.
    words += ["--generation-config", "vllm", "--disable-uvicorn-access-log"]
    if plan.context:
        words += ["--max-model-len", str(plan.context)]
    if plan.adapters:
        highest = max(ranks, default=RANKS[0])
        words += ["--enable-lora", "--max-loras", str(len(plan.adapters))]
        words += ["--max-lora-rank", str(next((rank for rank in RANKS if rank >= highest), RANKS[-1]))]
        words += ["--lora-modules", *(f"{name}={folder}" for name, folder in plan.adapters.items())]
    return words


def _rank(folder: str) -> int:
    try:
        return int(json.loads((Path(folder) / "adapter_config.json").read_text())["r"])
    except (OSError, ValueError, KeyError) as error:
        msg = f"{folder} is no LoRA adapter: {error}"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, out) makes one") from error


async def _answers(engine: Vllm) -> None:
    deadline = time.monotonic() + START_SECONDS
    while trouble := await engine.trouble():
        if engine.process.poll() is not None or time.monotonic() > deadline:
            said = (engine.folder / "log").read_text(errors="replace").splitlines()[-TOLD:]
            msg = "\n".join([f"vLLM does not answer: {trouble}; the end of its log:", *said])
            kind = ModelError if engine.process.poll() is not None else FactoryError
            raise kind(msg, mend='serve.llm.start(source, engine="llama.cpp")')
        await asyncio.sleep(0.5)


def _die_with_parent() -> None:
    """In the child before it becomes vLLM: end with the gateway, however that ends (Linux)."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)
