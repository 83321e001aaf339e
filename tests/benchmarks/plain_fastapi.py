"""The peer: what most people would write, one FastAPI endpoint that predicts one validated row.

`python -m tests.benchmarks.plain_fastapi BUNDLE KIND`, with KIND `sync` (a plain `def`, which FastAPI runs
in its thread pool), `async` (on the event loop) or `onnx` (on the event loop, ONNX Runtime in place of XGBoost).
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

from aifactory_lab.serve.engines import open_engine
from aifactory_lab.train.bundle import Bundle


def create_app(bundle: Bundle, kind: str) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    model: Any = create_model("Row", **dict.fromkeys(bundle.names, (float | None, ...)))
    answer = _answer(bundle, open_engine("onnx" if kind == "onnx" else "xgboost", bundle, threads=1).predict)

    if kind == "sync":

        @app.post("/predict")
        def predict(row: model) -> dict[str, Any]:
            return answer(row)

    else:

        @app.post("/predict")
        async def predict(row: model) -> dict[str, Any]:
            return answer(row)

    return app


def _answer(bundle: Bundle, predict: Callable[..., Any]) -> Callable[[Any], dict[str, Any]]:
    names = bundle.names

    def answer(row: Any) -> dict[str, Any]:
        matrix = np.array([[getattr(row, name) for name in names]], dtype=np.float32)
        probability = float(predict(matrix)[0])
        return {"probability": probability, "decision": probability >= bundle.threshold}

    return answer


def main(folder: str, kind: str) -> None:
    """Serve on a free port of the loopback address and say which."""
    app = create_app(Bundle.load(folder), kind)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
