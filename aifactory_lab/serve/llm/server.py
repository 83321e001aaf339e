"""Start and stop an OpenAI-compatible server: the gateway in a process of its own, its engine in another.

It binds the loopback address unless it is told otherwise, and then it asks for a key: that of `AIFACTORY_LLM_KEY`,
which is asked for on the loopback address, too, else a new one. A server that `start` made ends with its `with` block,
with `stop()`, or with the process that started it; before it ends it answers what it has accepted, and its engine ends
after it.

>>> start("notes.txt")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: notes.txt is no model that can be served: there is nothing
  mend: ...
"""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from aifactory_lab.access import tokens
from aifactory_lab.access.gate import Gate
from aifactory_lab.access.tokens import Token
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve import processes
from aifactory_lab.serve.llm import engines, sources
from aifactory_lab.serve.llm.engines import Choice, Plan
from aifactory_lab.serve.llm.gateway import Gateway, Limits
from aifactory_lab.serve.processes import HOST

KEY_VARIABLE = "AIFACTORY_LLM_KEY"
VARIABLES = (KEY_VARIABLE, tokens.VARIABLE)
START_SECONDS = 1_800.0  # vLLM reads, compiles and warms up a large model


class Server(processes.Server):
    """A running OpenAI-compatible server.

    Attributes
    ----------
    base_url
        What OpenAI's clients want: ``http://127.0.0.1:<port>/v1``.
    model, models
        The name that a request stands for which names none, and all names that can be asked for.
    engine, reason
        What computes the tokens, and why that.
    """

    def __init__(
        self, url: str, pid: int, stop: Callable[[], None], *, told: Mapping[str, Any], token: Token | None = None
    ) -> None:
        super().__init__(url, pid, stop, token=token)
        self.base_url = f"{url}/v1"
        self.models: tuple[str, ...] = tuple(told["models"])
        self.model = str(told["model"])
        self.engine, self.reason = str(told["engine"]), str(told["reason"])

    def __repr__(self) -> str:
        return f"Server({self.url!r}, model={self.model!r}, engine={self.engine!r}, pid={self.pid})"


def start(
    source: Any,
    *,
    version: int | None = None,
    engine: str = "auto",
    name: str = "",
    adapters: Mapping[str, Any] | None = None,
    host: str = HOST,
    port: int = 0,
    slots: int = 8,
    context: int = 0,
    threads: int = 1,
    waiting: int = Limits.waiting,
    precision: str = sources.PRECISION,
    key_variable: str = "",
) -> Server:
    """Start the server and return when it answers.

    Parameters
    ----------
    source
        A checkpoint folder, a .gguf file, whatever has a `folder`, a registry (its champion; an adapter comes with its
        base), or the URL of a server.
    version
        Of a registry, another version than the champion.
    engine
        ``"llama.cpp"``, ``"vllm"``, ``"external"``, or ``"auto"``; see `engines.choose`.
    name
        Under which it is served; by default that of the folder, file or registry.
    adapters
        Name → LoRA folder; each is asked for by its name as ``model``.
    host, port
        Where to listen; port 0 takes a free one. On any address but this machine's own it asks for a key: that of
        ``$AIFACTORY_LLM_KEY`` or ``$AIFACTORY_TOKEN`` or their files (``…_FILE``), else a new one, in ``server.token``.
    slots, waiting
        Requests computed together, and requests that may wait behind them; what comes on top gets 429.
    context
        Tokens that one request may span; 0 takes what the model was trained for, at most 2,048.
    threads
        Of the CPU; more than one only helps on idle cores.
    precision
        Of the .gguf that is made of a folder: ``"f16"`` (as trained), ``"q8_0"`` (faster, a little less exact).
    key_variable
        The environment variable that holds the key of an external server.

    Raises
    ------
    ModelError
        If the model is refused, with the reason.
    FactoryError
        If the engine is missing, the address cannot be bound, or the key that was given is not sound.
    """
    token = tokens.wanted(host, VARIABLES)
    found = sources.find(source, version)
    choice = engines.choose(found.model, engine)
    plan = make_plan(
        found, choice, name=name, adapters=adapters or {}, precision=precision,
        slots=slots, context=context, threads=threads, key_variable=key_variable,
    )  # fmt: skip
    settings = {"choice": asdict(choice), "plan": asdict(plan), "host": host, "port": port, "waiting": waiting}
    command = [sys.executable, "-m", "aifactory_lab.serve.llm", "--attached", orjson.dumps(settings).decode()]
    environment = processes.told_token(token, KEY_VARIABLE)
    process, told = processes.spawn(command, environment=environment, seconds=START_SECONDS)
    return Server(told["url"], process.pid, lambda: processes.end(process), told=told, token=token)


def make_plan(
    found: sources.Source, choice: Choice, *, name: str, adapters: Mapping[str, Any], precision: str, **options: Any
) -> Plan:
    """Return what the engine is to serve, in the form that it wants.

    Raises
    ------
    FactoryError
        If adapters are given for a server that is not ours, or slots, context or threads are out of range.
    """
    wrong = {key: options[key] for key in ("slots", "threads") if options[key] < 1}
    if wrong or options["context"] < 0:
        msg = f"slots and threads must be at least 1 and context at least 0: {options}"
        raise FactoryError(msg, mend="serve.llm.start(source, slots=8, threads=1)")
    named = name or found.name or Path(found.model).name.removesuffix(".gguf")
    default, adapters = next(iter(found.adapters), ""), {**found.adapters, **adapters}
    if named in adapters:
        msg = f"the base and an adapter are both called {named!r}"
        raise FactoryError(msg, mend='serve.llm.start(source, name="base", adapters={name: folder})')
    if choice.engine == "external":
        if adapters:
            msg = "an external server has its own adapters: they are among its models"
            raise FactoryError(msg, mend="serve.llm.start(url)")
        return Plan(found.model, name, **options)
    if choice.engine == "llama.cpp":
        over = sources.adapters_as_gguf(adapters, found.model)
        return Plan(sources.as_gguf(found.model, precision=precision), named, over, default, **options)
    folders = {word: str(Path(getattr(adapter, "folder", adapter)).resolve()) for word, adapter in adapters.items()}
    return Plan(found.model, named, folders, default, **options)


def run(
    choice: Choice,
    plan: Plan,
    *,
    host: str = HOST,
    port: int = 0,
    waiting: int = Limits.waiting,
    token: Token | None = None,
    ready: Callable[[Any, dict[str, Any]], None] = lambda _server, _told: None,
) -> None:
    """Serve until interrupted (SIGINT or SIGTERM), then end the engine.

    Parameters
    ----------
    token
        What to ask for; by default the environment's, or a new one, which the terminal shows once.
    ready
        Called with the uvicorn server and what there is to tell once requests are answered.
    """
    import uvicorn

    gate = Gate.of(host, tokens.wanted(host, VARIABLES) if token is None else token)
    if token is None:
        tokens.show(gate.token)
    listening = processes.bind(host, port)  # before the model is read: a port that is taken is known at once
    url = processes.address(listening, host)
    with listening, ExitStack() as told:
        engine = engines.start(choice, plan)
        told.callback(engine.stop)
        gateway = Gateway(engine, Limits(waiting), gate=gate, default=plan.default)
        said = {"url": url, "model": gateway.default, "models": [model.id for model in engine.models]}
        said |= {"engine": engine.name, "reason": engine.reason}

        class Announcing(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                processes.tell(told, f"{url}/metrics", gate.token)
                ready(self, said)

        settings = processes.config(gateway)
        settings.lifespan = "off"
        Announcing(settings).run(sockets=[listening])
