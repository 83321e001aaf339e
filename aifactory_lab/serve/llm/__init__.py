"""Serving language models: one call makes a checkpoint an OpenAI-compatible server.

`start(source)` chooses the engine (llama.cpp on a CPU, vLLM on a GPU, any other server by its URL) and puts one gateway
before it: the same protocol, errors, limits and metrics whatever computes the tokens.

>>> from aifactory_lab.serve import llm
>>> llm.start("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is no model that can be served: there is nothing
  mend: ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.serve.llm.engines import choose
    from aifactory_lab.serve.llm.server import Server, start

__all__ = ["Server", "choose", "start"]
_HOMES = {"Server": "server", "start": "server", "choose": "engines"}


def __getattr__(name: str) -> Any:
    """Import a part of the room on first use (PEP 562): the engine's own process needs little of it."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"serve.llm has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
