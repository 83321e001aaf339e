"""Calibration: which engine is fastest for how many rows, measured on this machine with this model.

No engine wins everywhere: at one row ONNX Runtime can be 10 to 30 times faster than XGBoost, at ten thousand rows the
order is reversed, and a large batch is sometimes fastest in small chunks that stay in the cache. So every engine
is timed at a ladder of batch sizes, a second or two once, and the answers are kept in a file whose name
depends on the model, the machine and the versions. An engine whose answers differ from the reference is left
out, with the reason.

The rows change from call to call: on the same rows again and again the processor learns the branches of the
trees by heart, and small batches look twice as fast as they are.

>>> cells = [Cell("onnx", 1, 1, 60_000.0), Cell("xgboost", 1, 1, 5_000.0), Cell("xgboost", 1, 1024, 250_000.0)]
>>> [(choice.batch, choice.engine, choice.chunk) for choice in choose(cells)]
[(1, 'onnx', 1), (1024, 'xgboost', 1024)]
"""

import hashlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from aifactory_lab import decoding
from aifactory_lab.aside import write_text
from aifactory_lab.errors import FactoryError, ModelError
from aifactory_lab.serve.engines import Engine, candidates, cores, open_engine
from aifactory_lab.serve.rows import Rows
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.workspace import cache_folder, file_hash

SIZES = (1, 4, 16, 64, 256, 1_024, 8_192, 65_536)
SECONDS_PER_CELL = 0.02
LONGEST_CALL = 0.4  # seconds; a size that would take longer is served in chunks of the size below
PRUNE_FROM = 1_024  # above this size only engines within PRUNE_RATIO of the fastest are timed
PRUNE_RATIO = 0.5
MOST_LARGE = 3  # and of those only so many
QUIET = 0.2  # the quantile of the call times that counts: a neighbour's interruptions only ever add to them
LEVEL = 1.05  # the fewer threads win when they are within 5 % of the fastest
CUT = 1.3  # cutting a batch into chunks must promise 30 %: the two rates were measured at different moments
AGREEMENT = 1e-5
VERSIONS = ("xgboost", "scikit-learn", "onnxruntime", "nvforest-cu12")


@dataclass(frozen=True)
class Cell:
    """One measurement: rows per second of an engine at a batch size."""

    engine: str
    threads: int
    batch: int
    rows_per_second: float

    @property
    def label(self) -> str:
        """Engine and threads in words."""
        return f"{self.engine} ({self.threads} thread{'s' if self.threads > 1 else ''})"


@dataclass(frozen=True)
class Choice:
    """What to do with a batch of about `batch` rows: this engine, in chunks of `chunk`, and why."""

    batch: int
    engine: str
    threads: int
    chunk: int
    rows_per_second: float
    reason: str


@dataclass(frozen=True)
class Calibration:
    """Every measurement of one model on one machine.

    Attributes
    ----------
    left_out
        Engines that cannot serve the model or that answer differently, with the reason.
    takes_missing
        Whether the model answers for rows with missing values.
    seconds
        What measuring took.
    """

    cells: tuple[Cell, ...]
    left_out: dict[str, str]
    takes_missing: bool
    seconds: float

    def save(self, path: Path) -> None:
        """Write the calibration as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "Calibration | None":
        """Read a calibration, or `None` if there is none that can be believed."""
        try:
            found = decoding.decode(cls, path.read_bytes())
        except (OSError, ValueError):
            return None
        sound = all(min(cell.threads, cell.batch) >= 1 and cell.rows_per_second > 0 for cell in found.cells)
        return found if found.cells and sound else None


def calibration_file(bundle: Bundle, threads: int, names: Sequence[str]) -> Path:
    """Return where the calibration of this model on this machine is kept."""
    machine = [platform.node(), platform.machine(), _processor(), cores()]
    parts = [file_hash(bundle.file), machine, threads, list(names), [_version(name) for name in VERSIONS], SIZES]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return cache_folder() / "calibrations" / f"{key}.json"


def calibrate(bundle: Bundle, *, threads: int, names: Sequence[str] = ()) -> Calibration:
    """Open every engine that can serve the bundle, compare the answers, and time them.

    Parameters
    ----------
    threads
        The most threads that an engine may use; every engine is also timed on one.
    names
        Engines to try; by default all `candidates`.

    Raises
    ------
    FactoryError
        If the reference engine, the library that trained the model, cannot open it.
    """
    start = time.perf_counter()
    reference = open_engine(candidates(bundle.kind)[0], bundle)
    takes_missing = _takes_missing(reference, probe_rows(bundle, 64, missing=0.1))
    probe = probe_rows(bundle, 2_000, missing=0.1 if takes_missing else 0.0)
    engines, left_out = _agreeing(bundle, reference, probe, names, sorted({1, threads}))
    cells = time_engines(engines, probe_rows(bundle, SIZES[-1], missing=0.03 if takes_missing else 0.0))
    return Calibration(tuple(cells), left_out, takes_missing, time.perf_counter() - start)


def probe_rows(bundle: Bundle, count: int, *, missing: float = 0.0, seed: int = 0) -> Rows:
    """Draw rows from the ranges seen in training, with some share of the values missing."""
    random = np.random.default_rng(seed)
    low = np.array([feature.minimum for feature in bundle.features], dtype=np.float32)
    high = np.array([feature.maximum for feature in bundle.features], dtype=np.float32)
    rows = random.random((count, len(low)), dtype=np.float32) * (high - low) + low
    if missing:
        rows[random.random(rows.shape, dtype=np.float32) < missing] = np.nan
    return rows


def time_engines(engines: Sequence[Engine], rows: Rows, sizes: Sequence[int] = SIZES) -> list[Cell]:
    """Time engines side by side at each batch size; the slow ones drop out of the large sizes."""
    cells: list[Cell] = []
    contenders = list(engines)
    for size in sizes:
        rates = {(cell.engine, cell.threads): cell.rows_per_second for cell in cells}
        if size > PRUNE_FROM:
            best = max(rates[engine.name, engine.threads] for engine in contenders)
            able = [e for e in contenders if rates[e.name, e.threads] >= PRUNE_RATIO * best]
            contenders = sorted(able, key=lambda e: -rates[e.name, e.threads])[:MOST_LARGE]
            if size / best > LONGEST_CALL:
                break
        cells += _time_size(contenders, rows, size)
    return cells


def choose(cells: Sequence[Cell], sizes: Sequence[int] = ()) -> list[Choice]:
    """Return the best choice for each batch size (by default the measured ones), with the reason in words."""
    return [_choose(cells, size) for size in sizes or sorted({cell.batch for cell in cells})]


def _choose(cells: Sequence[Cell], size: int) -> Choice:
    able = [cell for cell in cells if cell.batch <= size]
    worth = {cell: cell.rows_per_second / (1 if cell.batch == size else CUT) for cell in able}
    level = [cell for cell in able if worth[cell] * LEVEL >= max(worth.values())]
    best = min(level, key=lambda cell: (cell.threads, -worth[cell]))
    return Choice(size, best.engine, best.threads, best.batch, best.rows_per_second, _reason(best, able, size))


def _reason(best: Cell, able: Sequence[Cell], size: int) -> str:
    chunked = f" in chunks of {best.batch:,}" if best.batch < size else ""
    words = f"{best.label}{chunked} does {best.rows_per_second:,.0f} rows/s"
    others = [c for c in able if c.batch == size and c.label != best.label]
    ranked = sorted(others, key=lambda cell: -cell.rows_per_second)[:3]
    if not ranked:
        return words
    return f"{words}; beside it " + ", ".join(f"{cell.label} {cell.rows_per_second:,.0f}" for cell in ranked)


def _takes_missing(reference: Engine, rows: Rows) -> bool:
    try:
        return bool(np.isfinite(reference.predict(rows)).all())
    except ValueError:  # how scikit-learn's estimators refuse NaN
        return False


def _agreeing(
    bundle: Bundle, reference: Engine, rows: Rows, names: Sequence[str], threads: Sequence[int]
) -> tuple[list[Engine], dict[str, str]]:
    """Open the engines; leave out, with the reason, those that cannot or that answer differently."""
    expected = reference.predict(rows)
    engines, left_out = [], {}
    for name in names or candidates(bundle.kind):
        try:
            opened = [open_engine(name, bundle, threads=count) for count in threads]
        except FactoryError as error:
            left_out[name] = error.what
            continue
        difference = float(np.abs(opened[0].predict(rows) - expected).max())
        if difference > AGREEMENT:
            left_out[name] = f"answers differ from {reference.name} by up to {difference:.1g}"
        else:
            engines += opened
    if not engines:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        msg = f"no engine can serve {bundle.folder}: {reasons}"
        raise ModelError(msg, mend="Predictor.load(folder)  # without engines=")
    return engines, left_out


def _time_size(engines: Sequence[Engine], rows: Rows, size: int) -> list[Cell]:
    """Time one size in rounds, the engines taking turns, each call on other rows."""
    batches = [rows[start : start + size] for start in range(0, min(len(rows), 1_024 * size) - size + 1, size)]
    for engine in engines:
        engine.predict(batches[-1][:1_024])
    seconds: list[list[float]] = [[] for _ in engines]
    turn, end = 0, time.perf_counter() + SECONDS_PER_CELL * len(engines)
    while turn < (8 if size <= PRUNE_FROM else 2) or time.perf_counter() < end:
        for engine, spent in zip(engines, seconds, strict=True):
            for batch in (batches[(turn + step) % len(batches)] for step in range(_calls(size))):
                begin = time.perf_counter()
                engine.predict(batch)
                spent.append(time.perf_counter() - begin)
        turn += _calls(size)
    return [
        Cell(engine.name, engine.threads, size, size / float(np.quantile(spent, QUIET)))
        for engine, spent in zip(engines, seconds, strict=True)
    ]


def _calls(size: int) -> int:
    """Return the calls of one engine before the next takes its turn: enough to warm the caches up again."""
    return max(1, min(16, 1_024 // size))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
