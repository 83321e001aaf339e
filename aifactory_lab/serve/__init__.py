"""Serving: a model becomes predictions per second, in batches and over HTTP.

`Predictor.load(folder)` answers batches by the engine that is fastest for their size, `score` turns a Parquet table
into predictions, `start(folder)` serves over HTTP, and `load.test(server.url, rows)` says what that gives.
`llm.start(checkpoint)` serves a language model under OpenAI's protocol.

>>> from aifactory_lab import serve
>>> serve.Predictor.load("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.serve.predictor import Predictor
    from aifactory_lab.serve.processes import Server
    from aifactory_lab.serve.scoring import score
    from aifactory_lab.serve.server import start

__all__ = ["Predictor", "Server", "llm", "load", "score", "start"]
_HOMES = {"Predictor": "predictor", "score": "scoring", "Server": "processes", "start": "server"}


def __getattr__(name: str) -> Any:
    """Import a part of the room on first use (PEP 562): XGBoost, pyarrow and FastAPI are heavy."""
    if name in ("llm", "load"):
        return import_module(f"aifactory_lab.serve.{name}")
    if name in _HOMES:
        return getattr(import_module(f"aifactory_lab.serve.{_HOMES[name]}"), name)
    msg = f"aifactory_lab.serve has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
