"""Serving language models: one call makes a checkpoint an OpenAI-compatible server.

`start(source)` chooses the engine (llama.cpp on a CPU, vLLM on a GPU, any other server by its URL) and puts one gateway
before it: the same protocol, errors, limits and metrics whatever computes the tokens.

>>> from aifactory_lab.serve import llm
>>> llm.start("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is no model that can be served: there is nothing
  mend: ...
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.serve.llm.engines import choose
    from aifactory_lab.serve.llm.server import Server, start

__all__ = ["Server", "choose", "start"]
_HOMES = {"Server": "server", "start": "server", "choose": "engines"}

# The engine's own process needs little of it.
__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
