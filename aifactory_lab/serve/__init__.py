"""Serving: a model becomes predictions per second, in batches and over HTTP.

>>> from aifactory_lab import serve
>>> predictor = serve.Predictor.load("workspace/champion")  # doctest: +SKIP
>>> serve.score(predictor, "features.parquet", "predictions.parquet")  # doctest: +SKIP
>>> with serve.start("workspace/champion") as server:  # doctest: +SKIP
...     print(serve.load.test(server.url, rows, concurrency=32, seconds=5))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.serve import load
    from aifactory_lab.serve.predictor import Predictor
    from aifactory_lab.serve.scoring import score
    from aifactory_lab.serve.server import Server, start

__all__ = ["Predictor", "Server", "load", "score", "start"]
_HOMES = {"Predictor": "predictor", "score": "scoring", "Server": "server", "start": "server"}


def __getattr__(name: str) -> Any:
    """Import a part of the room on first use (PEP 562): XGBoost, pyarrow and FastAPI are heavy."""
    if name == "load":
        return import_module("aifactory_lab.serve.load")
    if name in _HOMES:
        return getattr(import_module(f"aifactory_lab.serve.{_HOMES[name]}"), name)
    msg = f"aifactory_lab.serve has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
