"""Engines by name: what computes the tokens, and why that one.

``"llama.cpp"`` runs anywhere and starts in a moment, ``"vllm"`` wants a GPU, ``"external"`` is a server that somebody
else runs. An engine is started once and asked through its address; what differs between them (names of fields, what is
refused) stays in the engine's own module. This module does not know HTTP.

>>> choose("http://127.0.0.1:8000/v1")
Choice(engine='external', reason='the source is a URL')
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from aifactory_lab import device
from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.llm.upstream import Address

HOMES = {"llama.cpp": "llama_cpp", "vllm": "vllm", "external": "external"}


@dataclass(frozen=True)
class Served:
    """One name under which tokens can be asked for.

    Attributes
    ----------
    id
        The name.
    parent
        For an adapter the model that it lies over.
    context
        Most tokens of prompt and answer together, if known.
    """

    id: str
    parent: str | None = None
    context: int | None = None


@dataclass(frozen=True)
class Choice:
    """An engine, and the reason in words."""

    engine: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What an engine is asked to serve; plain values, so that another process can be told.

    Attributes
    ----------
    model
        A .gguf file, a checkpoint folder, or a URL, as the engine wants it.
    name
        Under which it is served.
    adapters
        Name → file or folder, as the engine wants them.
    default
        The adapter that a request stands for which names no model; empty for the base.
    slots
        Requests worked on at once.
    context
        Tokens that one request may span; 0 takes what the model was trained for, at most 2,048.
    threads
        Of the CPU.
    key_variable
        The environment variable that holds the key of an external server.
    """

    model: str
    name: str = ""
    adapters: Mapping[str, str] | None = None
    default: str = ""
    slots: int = 8
    context: int = 0
    threads: int = 1
    key_variable: str = ""

    def served(self, context: int | None) -> tuple[Served, ...]:
        """Return the names that are served once the engine knows how much it can hold, the base first."""
        over = (Served(name, self.name, context) for name in self.adapters or {})
        return (Served(self.name, context=context), *over)


class Engine(Protocol):
    """What the gateway needs of an engine.

    Attributes
    ----------
    name, reason
        Which one it is, and why that one.
    address
        Where it listens.
    models
        The names that it serves, the base model first.
    slots
        Requests that it works on at once.
    metrics_path
        Where it tells metrics of its own under vLLM's names; empty where the gateway's are all there is.
    hears_hangups
        Whether it stops at once when the client of an answer that is sent whole has gone.
    """

    name: str
    reason: str
    address: Address
    models: tuple[Served, ...]
    slots: int
    metrics_path: str
    hears_hangups: bool

    def prepare(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the request as this engine wants it; raise `Refusal` for what it would ignore in silence."""

    async def trouble(self) -> str:
        """Return why it cannot answer, or nothing."""

    def stop(self) -> None:
        """End it."""


def choose(model: str, engine: str = "auto") -> Choice:
    """Return the engine for a model, and why.

    Parameters
    ----------
    model
        A .gguf file, a checkpoint folder, or a URL.
    engine
        A name, or ``"auto"``: vLLM where there is a GPU and vLLM is installed, else llama.cpp.

    Raises
    ------
    FactoryError
        If there is no engine of that name.
    """
    if engine != "auto":
        if engine not in HOMES:
            msg = f"no engine {engine!r}; there are: {', '.join(HOMES)}"
            raise FactoryError(msg, mend='serve.llm.start(source, engine="auto")')
        return Choice(engine, "asked for by name")
    if model.startswith(("http://", "https://")):
        return Choice("external", "the source is a URL")
    if model.endswith(".gguf"):
        return Choice("llama.cpp", "the source is a GGUF file")
    found = device.current(needs=("vllm",))
    if found.kind == "cpu":
        return Choice("llama.cpp", f"no GPU is used: {found.reason}")
    return Choice("vllm", found.reason)


def start(choice: Choice, plan: Plan) -> Engine:
    """Start an engine and return when it answers.

    Raises
    ------
    FactoryError
        If it cannot start, with the reason.
    """
    made: Engine = import_module(f"aifactory_lab.serve.llm.{HOMES[choice.engine]}").start(plan, choice.reason)
    return made
