"""The servers that are soaked: two champions that take turns behind one endpoint, a small Llama behind the other.

The limits are narrow, so that a handful of clients reaches them. Each champion is loaded here, too: every answer is
compared with what the model that signed it says.
"""

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
import xgboost

from aifactory_lab import aside, serve
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.serve.champions import Champion
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.schemas import RowSchema
from aifactory_lab.serve.service import Limits
from aifactory_lab.train.bundle import MANIFEST, Bundle, Feature
from tests.benchmarks.bench_serving import _features
from tests.serve import raw_llama

SHAPE = {"vocabulary": 1_024, "layers": 2, "width": 128, "heads": 4, "kv_heads": 4, "hidden": 352, "context": 256}
SLOTS, WAITING = 4, 8
BODY, REQUESTS = 1 << 20, 48  # the predictions' limits: bytes of a body, requests inside
TREES = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.1, "nthread": 1}
COLUMNS, ROWS, ROUNDS, FILES = 12, 4_096, (30, 60), 12


@dataclass
class Plant:
    """Both endpoints, what is known about their models, and what may be asked.

    Attributes
    ----------
    champions
        Version → the model that signs so.
    folders
        The two models that take turns, and one that is damaged.
    pointer
        The file that names the champion.
    """

    predictions: serve.Server
    tokens: serve.llm.Server
    champions: dict[str, Predictor]
    schema: RowSchema
    rows: np.ndarray
    folders: tuple[Path, Path, Path]
    pointer: Path
    tokenizer: Tokenizer
    texts: list[str] = field(repr=False)

    def processes(self) -> dict[str, psutil.Process]:
        """Return every process of both servers by what it does."""
        gateway = psutil.Process(self.tokens.pid)
        (engine,) = gateway.children()
        return {"predictions": psutil.Process(self.predictions.pid), "gateway": gateway, "engine": engine}

    def point_at(self, number: int) -> None:
        """Name another champion; the server does not know before it is told to look."""
        aside.write_text(self.pointer, str(self.folders[number]))


@contextmanager
def started(folder: Path) -> Iterator[Plant]:
    """Make the models in a process of its own (its memory is not ours), start both servers, end both."""
    subprocess.run([sys.executable, "-m", "tests.benchmarks.soak.plant", str(folder)], check=True)
    folders = (folder / "first", folder / "second", folder / "damaged")
    pointer = folder / "champion"
    aside.write_text(pointer, str(folders[0]))
    loaded = [Champion.load(one, threads=1) for one in folders[:2]]
    limits = serve_limits()
    with ExitStack() as open_:
        predictions = open_.enter_context(serve.start(pointer, threads=1, limits=limits))
        tokens = open_.enter_context(
            serve.llm.start(folder / "llama" / "model.gguf", name="tiny", slots=SLOTS, waiting=WAITING, context=256)
        )
        yield Plant(
            predictions, tokens, {one.version: one.predictor for one in loaded}, loaded[0].schema,
            np.load(folder / "rows.npy"), folders, pointer, Tokenizer.load(folder / "llama"), texts(),
        )  # fmt: skip


def serve_limits() -> Limits:
    """Return the narrow limits of the predictions."""
    return Limits(max_body_bytes=BODY, max_requests=REQUESTS)


def texts() -> list[str]:
    """Return real text to ask with: modules of the standard library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return [path.read_text(encoding="utf-8") for path in sorted(library.glob("*.py"))[:FILES]]


def make(folder: Path) -> None:
    """Train two boosters on real flights, damage a copy of one, and write a Llama."""
    frame = (
        _features()
        .collect()
        .select("late", *[name for name in _features().collect_schema().names() if name != "late"][:COLUMNS])
    )
    names = frame.columns[1:]
    matrix = frame.select(names).to_numpy().astype(np.float32)
    data = xgboost.DMatrix(matrix, frame["late"].to_numpy(), nthread=1)
    features = tuple(
        Feature(name, float(np.nanmin(column)), float(np.nanmax(column)), float(np.isnan(column).mean()))
        for name, column in zip(names, matrix.T, strict=True)
    )
    for name, rounds in zip(("first", "second"), ROUNDS, strict=True):
        Bundle("xgboost", "xgboost", features, "late", 0.3).save(folder / name, xgboost.train(TREES, data, rounds))
    damaged = folder / "damaged"
    damaged.mkdir()
    (damaged / MANIFEST).write_bytes((folder / "first" / MANIFEST).read_bytes())
    (damaged / "model.ubj").write_bytes(b"damaged")
    np.save(folder / "rows.npy", np.ascontiguousarray(matrix[:: len(matrix) // ROWS][:ROWS]))
    raw_llama.make_model(folder / "llama", texts(), **SHAPE)


def state(url: str) -> dict:
    """Return what a server says of itself."""
    return httpx.get(f"{url}/health", timeout=30).json()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
