"""llama.cpp as an engine: its server, through `xllamacpp`, in a process of its own behind a Unix socket.

Requests share the processor by continuous batching over slots. Measured (4.2 million parameters, one thread): flash
attention off costs 15 %, a unified key-value cache 10 %; the prompt cache, the polling of threads and the batch sizes
make no difference. Sampling follows OpenAI's defaults (temperature 1, no top-k) and not llama.cpp's. Fields that
llama.cpp would ignore or count wrongly are refused here. This module knows neither the gateway nor its clients.

>>> prepared = prepare("/v1/chat/completions", {"messages": [], "max_completion_tokens": 5}, adapters=())
>>> prepared["max_tokens"]
5
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import orjson

from aifactory_lab.errors import FactoryError, ModelError, require
from aifactory_lab.serve.llm import gguf_header
from aifactory_lab.serve.llm.engines import Plan, Served
from aifactory_lab.serve.llm.refusals import unsupported
from aifactory_lab.serve.llm.upstream import Address, Unreachable, fetch
from aifactory_lab.serve.processes import attached, end, refuse, say, spawn

LONGEST_CONTEXT = 2_048  # tokens, where nobody asked for more: the cache of keys and values is allocated at the start
END_SECONDS = 2.0  # a killed process of a few hundred MB is gone in milliseconds
DEFAULT_TOKENS = 16  # of a completion that does not say, as OpenAI has it
IGNORED = {
    "echo": "llama.cpp does not return the prompt",
    "suffix": "llama.cpp goes on with text, it does not fill in",
    "best_of": "ask for n single completions and choose",
}


@dataclass
class LlamaCpp:
    """A running llama.cpp."""

    reason: str
    address: Address
    models: tuple[Served, ...]
    slots: int
    process: "Popen[bytes]" = field(repr=False)
    folder: Path = field(repr=False)
    name: str = "llama.cpp"
    metrics_path: str = ""
    hears_hangups: bool = False

    def prepare(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the request as llama.cpp wants it."""
        return prepare(path, request, adapters=[model.id for model in self.models[1:]])

    async def trouble(self) -> str:
        """Return how its process ended, that it does not answer, or nothing."""
        if self.process.poll() is None:
            try:
                await fetch(self.address, "/health")
            except Unreachable as error:
                await self._ending()
                if self.process.poll() is None:
                    return f"it does not answer: {error}"
        code = self.process.poll()
        if code is None:
            return ""
        return f"its process ended ({signal.Signals(-code).name if code < 0 else f'exit {code}'})"

    async def _ending(self) -> None:
        """Wait a moment for its process to end: the sockets of a killed one close before the kernel says so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self.process.poll() is None:
                    await asyncio.sleep(0.01)

    def stop(self) -> None:
        """End its process."""
        end(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)


def start(plan: Plan, reason: str) -> LlamaCpp:
    """Start llama.cpp on a .gguf file.

    Raises
    ------
    ModelError
        If llama.cpp cannot read the file.
    MissingPackageError
        If xllamacpp is not installed.
    """
    require("xllamacpp", extra="lm")
    folder = Path(tempfile.mkdtemp(prefix="aifactory-llm-"))  # private to this user; a socket's path must be short
    settings = {**asdict(plan), "socket": str(folder / "engine.sock")}
    command = [sys.executable, "-m", "aifactory_lab.serve.llm.llama_cpp", orjson.dumps(settings).decode()]
    try:
        process, answer = spawn(command)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    address = Address(unix=settings["socket"])
    return LlamaCpp(reason, address, plan.served(answer["context"]), plan.slots, process, folder)


def prepare(path: str, request: dict[str, Any], *, adapters: Sequence[str]) -> dict[str, Any]:
    """Return a request as llama.cpp wants it.

    Raises
    ------
    Refusal
        For fields that llama.cpp would ignore in silence, or whose tokens it counts wrongly.
    """
    for name, why in IGNORED.items():
        if request.get(name):
            raise unsupported(name, why)
    if (request.get("n") or 1) > 1:
        raise unsupported("n", "send n requests; they are computed together")
    request = dict(request)
    if path == "/v1/completions":
        _check_completion(request)
        request.setdefault("max_tokens", DEFAULT_TOKENS)
    elif "max_completion_tokens" in request:
        request["max_tokens"] = request.pop("max_completion_tokens")
    if adapters:
        request["lora"] = [{"id": n, "scale": float(name == request["model"])} for n, name in enumerate(adapters)]
    return request


def _check_completion(request: dict[str, Any]) -> None:
    prompt = request["prompt"]
    if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
        if len(prompt) != 1:
            raise unsupported("prompt", f"{len(prompt)} prompts at once; send one request for each")
        request["prompt"] = prompt[0]
    if request.get("logprobs"):
        raise unsupported("logprobs", "llama.cpp tells them in chat completions only")


def parameters(plan: dict[str, Any], trained: int) -> Any:
    """Return what xllamacpp starts from.

    Parameters
    ----------
    trained
        Tokens of context that the model was trained for.
    """
    import xllamacpp

    made = xllamacpp.CommonParams()
    made.model.path, made.model_alias = plan["model"], {plan["name"]}
    made.n_parallel = plan["slots"]
    made.n_ctx = plan["slots"] * (plan["context"] or min(trained, LONGEST_CONTEXT))  # the total over all slots
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = plan["threads"]
    made.n_threads_http = plan["slots"] + 2  # one for each stream, and for who asks besides
    made.hostnames, made.port = [plan["socket"]], 0
    made.verbosity, made.ui, made.endpoint_slots = 0, False, True
    made.cache_ram_mib = 0  # by default up to 8 GiB of old prompts; each slot keeps its last one
    made.sampling.temp, made.sampling.top_p, made.sampling.top_k, made.sampling.min_p = 1.0, 1.0, 0, 0.0
    made.lora_init_without_apply = True  # each request says which adapter it wants
    made.lora_adapters = [_adapter(path) for path in (plan["adapters"] or {}).values()]
    return made


def _adapter(path: str) -> Any:
    import xllamacpp

    made = xllamacpp.CommonAdapterLoraInfo()
    made.path, made.scale = path, 0.0
    return made


def main(settings: str) -> int:
    """Run the engine until the parent closes our standard input; return 2 if the model is refused."""
    plan = orjson.loads(settings)
    try:
        server = _serve(plan)
    except FactoryError as error:
        refuse(error)
        return 2
    attached(lambda: _end(Path(plan["socket"]).parent))  # what was asked is answered by then: the gateway ends first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the gateway decides
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say({"url": server.listening_address, "context": plan["context"]})
    while True:
        time.sleep(3600)


def _end(folder: Path) -> None:
    """End at once, and leave no folder behind: a killed gateway cannot take it away."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _serve(plan: dict[str, Any]) -> Any:
    import xllamacpp

    made = parameters(plan, gguf_header.read(plan["model"], ".context_length"))
    plan["context"] = made.n_ctx // plan["slots"]
    try:
        return xllamacpp.Server(made)
    except RuntimeError as error:
        msg = f"llama.cpp cannot load {plan['model']}: {error}"
        raise ModelError(msg, mend="lm.gguf_file.write(checkpoint_folder, path)") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
