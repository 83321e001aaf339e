"""Serving beside its peers: predictions per second by batch size, requests and rows per second over HTTP.

One model (XGBoost, 200 trees of depth 6, 29 features of real flights) serves in every row of the tables, and
its answers are compared before anything is timed. Batches change from call to call: on the same rows again
and again the processor learns the branches of the trees and small batches look twice as fast.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import polars as pl
import psutil

from aifactory_lab import roofline, serve
from aifactory_lab.train.bundle import Bundle, Feature
from tests.benchmarks.harness import Case, Table, interleave, run

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "datasets" / "flights"
GPU_PYTHON = ROOT / ".venv-gpu" / "bin" / "python"  # the RAPIDS wheels: the only place with nvforest
BATCHES = (1, 64, 1_024, 65_536)
TREES = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.05, "subsample": 0.8, "colsample_bytree": 0.7}
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
NUMBERS = ["month", "day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour", "minute"]
CODES = ["carrier", "origin", "dest", "tailnum"]


def main(*, quick: bool) -> list[Table]:
    """Train once, then measure engines, HTTP and scoring."""
    with tempfile.TemporaryDirectory() as name:
        folder, table = prepare(Path(name))
        return [
            engines(folder, table, quick=quick),
            http(folder, table, quick=quick),
            volume(folder, table, quick=quick),
        ]


def prepare(folder: Path) -> tuple[Path, Path]:
    """Train the model on two fifths of the flights; return its folder and the feature table."""
    import xgboost

    frame = _features().collect()
    frame.write_parquet(folder / "features.parquet")
    names = [name for name in frame.columns if name != "late"]
    matrix = frame.select(pl.col(names).fill_null(np.nan)).to_numpy().astype(np.float32)
    params = TREES | {"min_child_weight": 50, "nthread": 2}
    booster = xgboost.train(params, xgboost.DMatrix(matrix, frame["late"].to_numpy()), 200)
    features = tuple(
        Feature(name, float(np.nanmin(column)), float(np.nanmax(column)), float(np.isnan(column).mean()))
        for name, column in zip(names, matrix.T, strict=True)
    )
    Bundle("xgboost", "xgboost", features, "late", 0.3).save(folder / "model", booster)
    return folder / "model", folder / "features.parquet"


def _features() -> pl.LazyFrame:
    weather = pl.scan_parquet(FLIGHTS / "weather.parquet").select("origin", "time_hour", *WEATHER)
    flights = pl.scan_parquet(FLIGHTS / "flights.parquet").filter(pl.col("arr_delay").is_not_null())
    table = flights.gather_every(2).join(weather, on=["origin", "time_hour"], how="left")
    codes = [pl.col(name).rank("dense").alias(f"{name}_code") for name in CODES]
    mixed = [(pl.col("hour") * (k + 2) % 11 + pl.col("distance") / (k + 1)).alias(f"mix_{k}") for k in range(8)]
    return table.select(
        pl.col(NUMBERS + WEATHER).cast(pl.Float32),
        *[code.cast(pl.Float32) for code in codes],
        *[mix.cast(pl.Float32) for mix in mixed],
        late=(pl.col("arr_delay") > 15).cast(pl.Int8),
    )


def engines(folder: Path, table: Path, *, quick: bool) -> Table:
    """Predictions per second of each engine at each batch size, in one process, in turn."""
    python = str(GPU_PYTHON) if GPU_PYTHON.exists() else sys.executable
    target = "tests.benchmarks.bench_serving:time_engines"
    options = {"folder": str(folder), "table": str(table), "seconds": 0.3 if quick else 2.0}
    rates = run(Case("engines", target, options, python))["result"]["rates"]
    best = {batch: max(rates[name][batch] for name in rates if name != "Predictor") for batch in map(str, BATCHES)}
    rows = [
        {"engine": name, **{f"batch {int(b):,}": round(rate) for b, rate in by.items()}} for name, by in rates.items()
    ]
    share = {f"batch {int(b):,}": f"{rate / best[b]:.0%}" for b, rate in rates["Predictor"].items()}
    rows.insert(1, {"engine": "Predictor ÷ best of the others", **share})
    return Table("Predictions per second by batch size (200 trees, 29 features)", rows, _notes(rates, python))


def _notes(rates: dict[str, Any], python: str) -> list[str]:
    memory = roofline.measured(tempfile.gettempdir()).memory
    floor = memory / (4 * 30)
    share = rates["Predictor"]["65536"] / floor
    notes = [
        f"Floor: {memory / 1e9:.1f} GB/s of memory bandwidth ÷ 120 bytes per row = {floor / 1e6:,.0f} M rows/s;"
        f" the Predictor at 65,536 is at {share:.2%} of it: walking trees is bound by branches and latency."
    ]
    if "nvforest" not in rates:
        notes.append(f"nvforest is not installed for {python}: `make gpu-check` sets it up.")
    return notes


def time_engines(folder: str, table: str, seconds: float) -> dict[str, Any]:
    """Time every engine that this interpreter has, after comparing their answers."""
    matrix = _matrix(Path(table), Bundle.load(folder).names)
    contestants = _contestants(Path(folder))
    expected = contestants["Predictor"](matrix[:5_000])
    for name, predict in contestants.items():
        np.testing.assert_allclose(predict(matrix[:5_000]), expected, atol=2e-6, err_msg=name)
    rates: dict[str, dict[str, float]] = {name: {} for name in contestants}
    for batch in BATCHES:
        calls = {name: _turning(predict, matrix, batch) for name, predict in contestants.items()}
        for name, rate in interleave(calls, seconds=seconds, rounds=8, made=batch).items():
            rates[name][str(batch)] = rate
    return {"rates": rates}


def _contestants(folder: Path) -> dict[str, Callable[[Any], Any]]:
    import onnxruntime
    import xgboost

    from aifactory_lab.errors import MissingPackageError
    from aifactory_lab.serve.engines import open_engine, to_onnx

    bundle = Bundle.load(folder)
    booster, wrapper = bundle.model(), xgboost.XGBClassifier()
    wrapper.load_model(bundle.file)
    session = onnxruntime.InferenceSession(to_onnx(bundle))
    found: dict[str, Callable[[Any], Any]] = {
        "Predictor": serve.Predictor.load(bundle, fresh=True),
        "scikit-learn interface (XGBClassifier)": lambda rows: wrapper.predict_proba(rows)[:, 1],
        "XGBoost, DMatrix": lambda rows: booster.predict(xgboost.DMatrix(rows, feature_names=bundle.names)),
        "XGBoost, inplace_predict": lambda rows: booster.inplace_predict(rows, validate_features=False),
        "XGBoost, 1 thread": open_engine("xgboost", bundle, threads=1).predict,
        "ONNX Runtime": lambda rows: session.run(["probabilities"], {"rows": rows})[0][:, 1],
        "ONNX Runtime, 1 thread": open_engine("onnx", bundle, threads=1).predict,
    }
    try:
        found["nvforest, 1 thread"] = open_engine("nvforest", bundle, threads=1).predict
        found["nvforest"] = open_engine("nvforest", bundle, threads=2).predict
    except MissingPackageError:
        pass
    return found


def _turning(predict: Callable[[Any], Any], matrix: np.ndarray, batch: int) -> Callable[[], Any]:
    """Return a call that takes other rows each time."""
    starts = cycle(range(0, min(len(matrix), 2_000 * batch) - batch + 1, batch))
    return lambda: predict(matrix[(start := next(starts)) : start + batch])


def http(folder: Path, table: Path, *, quick: bool) -> Table:
    """Requests per second at concurrency 32, one JSON row each, beside plain FastAPI endpoints."""
    frame = pl.read_parquet(table, columns=Bundle.load(folder).names)[:2_000]
    seconds, rounds = (1.0, 1) if quick else (3.0, 5)
    plain = {kind: f"plain FastAPI, {words}" for kind, words in PLAIN.items()}
    with (
        serve.start(folder) as ours,
        _plain(folder, "sync") as a,
        _plain(folder, "async") as b,
        _plain(folder, "onnx") as c,
    ):
        servers = {"aifactory_lab.serve": (ours.url, ours.pid), plain["sync"]: a, plain["async"]: b, plain["onnx"]: c}
        _same_answers([url for url, _ in servers.values()], frame)
        reports: dict[str, list[Any]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (url, pid) in servers.items():
                reports[name].append(_measured(url, pid, frame, concurrency=32, seconds=seconds))
    rows = [_http_row(name, found) for name, found in reports.items()]
    for row in rows:
        row["ours ÷ this, requests/s"] = round(rows[0]["requests/s"] / row["requests/s"], 1)
        row["ours ÷ this, per CPU-s"] = round(
            rows[0]["requests per server CPU-s"] / row["requests per server CPU-s"], 1
        )
    return Table("HTTP: one JSON row per request, 32 connections", rows, [CLIENTS])


PLAIN = {"sync": "def, XGBoost", "async": "async def, XGBoost", "onnx": "async def, ONNX Runtime"}
CLIENTS = "The clients run on the same cores as the server; all servers are uvicorn with uvloop and httptools."


def volume(folder: Path, table: Path, *, quick: bool) -> Table:
    """Rows per second: Arrow and float32 bodies over HTTP, and batch scoring from Parquet to Parquet."""
    frame = pl.read_parquet(table, columns=Bundle.load(folder).names)
    seconds, rounds = (1.0, 1) if quick else (3.0, 3)
    memory = roofline.measured(table.parent).memory
    rows = []
    with serve.start(folder) as server:
        for body, size in (("json", 64), ("arrow", 256), ("arrow", 2_048), ("float32", 256), ("float32", 2_048)):
            options = {"rows_per_request": size, "body": body, "concurrency": 8, "seconds": seconds}
            found = [_measured(server.url, server.pid, frame, **options) for _ in range(rounds)]
            rate = median(report.rows_per_second for report, _ in found)
            cpu = median(report.rows_per_second * report.seconds / cpu for report, cpu in found)
            p99 = median(report.p99_ms for report, _ in found)
            share = rate * 120 / memory
            row = {
                "rows per request": size,
                "rows/s": round(rate),
                "rows per server CPU-s": round(cpu),
                "p99 ms": round(p99, 1),
            }
            rows.append({"how": f"HTTP, {body}", **row, "share of floor": f"{share:.2%}"})
    rows.append(_scoring_row(folder, table, rounds))
    return Table("High volume: rows per second", rows, ["Floor: the bytes of the rows ÷ measured bandwidth."])


def _scoring_row(folder: Path, table: Path, rounds: int) -> dict[str, Any]:
    line = roofline.measured(table.parent)
    predictor = serve.Predictor.load(folder)
    reports = [serve.score(predictor, table, table.with_name("out.parquet")).against(line) for _ in range(rounds)]
    report = sorted(reports, key=lambda report: report.rate)[len(reports) // 2]
    return {
        "how": "serve.score, Parquet to Parquet",
        "rows per request": None,
        "rows/s": round(report.rate),
        "rows per server CPU-s": round(report.made / report.cpu_seconds),
        "p99 ms": None,
        "share of floor": f"{report.share_of_floor or 0:.2%}",
    }


def _matrix(table: Path, names: list[str]) -> np.ndarray:
    frame = pl.read_parquet(table, columns=names).sample(fraction=1.0, shuffle=True, seed=0)
    return np.ascontiguousarray(frame.select(pl.col(names).fill_null(np.nan)).to_numpy(), dtype=np.float32)


@contextmanager
def _plain(folder: Path, kind: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "tests.benchmarks.plain_fastapi", str(folder), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _same_answers(urls: list[str], frame: pl.DataFrame) -> None:
    for row in frame[:20].iter_rows(named=True):
        found = [httpx.post(url + "/predict", json=row, timeout=30).json() for url in urls]
        assert all(abs(answer["probability"] - found[0]["probability"]) < 2e-6 for answer in found), found
        assert len({answer["decision"] for answer in found}) == 1, found


def _measured(url: str, pid: int, frame: pl.DataFrame, **options: Any) -> tuple[Any, float]:
    """Return the report of a load test and the CPU-seconds that the server spent on it."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    report = serve.load.test(url, frame, **options)
    after = process.cpu_times()
    assert report.errors == 0, report
    return report, after.user + after.system - before.user - before.system


def _http_row(name: str, found: list[tuple[Any, float]]) -> dict[str, Any]:
    return {
        "service": name,
        "requests/s": round(median(report.throughput for report, _ in found)),
        "requests per server CPU-s": round(median(report.sent / cpu for report, cpu in found)),
        "p50 ms": round(median(report.p50_ms for report, _ in found), 1),
        "p99 ms": round(median(report.p99_ms for report, _ in found), 1),
    }
