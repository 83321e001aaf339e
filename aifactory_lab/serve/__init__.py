"""Serving: a model becomes predictions per second, in batches and over HTTP.

`Predictor.load(folder)` answers batches by the engine that is fastest for their size, `score` turns a Parquet table
into predictions, `start(folder)` serves over HTTP, and `load.test(server.url, rows)` says what that gives.
`llm.start(checkpoint)` serves a language model under OpenAI's protocol.

>>> from aifactory_lab import serve
>>> serve.Predictor.load("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.serve.predictor import Predictor
    from aifactory_lab.serve.processes import Server
    from aifactory_lab.serve.scoring import score
    from aifactory_lab.serve.server import start

__all__ = ["Predictor", "Server", "llm", "load", "score", "start"]
_HOMES = {"Predictor": "predictor", "score": "scoring", "Server": "processes", "start": "server"}

# XGBoost, pyarrow and FastAPI are heavy.
__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
