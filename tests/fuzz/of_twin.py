"""Readers of the twin and of the laws: traces, hardware, models' shapes, fitted parameters, tables, halls."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab.laws import runs
from aifactory_lab.twin import hardware, inference, models, traces
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, put

MINE = b"""
[sources]
bench = { status = "measured", where = "our own bench" }
[gpu.mine]
title = "Mine"
aliases = ["my-gpu"]
memory_bytes = { is = "16 GiB", by = "bench" }
memory_bandwidth_bytes_s = { is = "1 TB/s", by = "bench" }
flops_dense.bf16 = { is = "50 TFLOPS", by = "bench" }
tdp_watts = { is = "250 W", by = "bench" }
"""
SHAPE = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 512,
    "max_position_embeddings": 256,
    "model_type": "llama",
}
MIXTURE = SHAPE | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "sliding_window": 32}
CALLS = b"".join(
    json.dumps({"timestamp": 500 * n, "input_length": 600 + n, "output_length": 9, "hash_ids": [0, n]}).encode() + b"\n"
    for n in range(3)
)


def trace(data: bytes) -> Any:
    """Read a trace, and cut it."""
    found = traces.mooncake(put("trace.jsonl", data))
    assert 0 <= found.hit_rate() <= 1
    assert len(found.starts) == len(found) + 1
    return found.until(found.seconds + 1.0)


def parts(data: bytes) -> Any:
    """Read a catalogue, and list it."""
    found = hardware.read(put("mine.toml", data))
    return found.table()


def shape(data: bytes) -> Any:
    """Read a model's shape, and count its weights."""
    found = models.read(put("shape/config.json", data))
    return found.parameters, found.kv_bytes_per_token


def fitted(data: bytes) -> Any:
    """Read fitted parameters."""
    return inference.read(put("inference.json", data))


def table(data: bytes) -> Any:
    """Read a table of runs."""
    return runs.read(put("runs.csv", data))


def hall(data: bytes) -> Any:
    """Open an export."""
    from aifactory_lab.twin.usd import reading

    return reading.read(put("hall/hall.usda", data))


@cache
def _hall() -> bytes:
    from aifactory_lab.twin import hall as halls
    from aifactory_lab.twin.plant import Plant
    from aifactory_lab.twin.usd import stage

    folder = emptied("seed-hall")
    exported = stage.export(halls.layout(Plant.about(72, "gb200-nvl72")), folder / "hall")
    from pxr import Usd

    path = exported if Path(exported).is_file() else next(Path(exported).glob("*.usd*"))
    return Usd.Stage.Open(str(path)).GetRootLayer().ExportToString().encode()


def targets() -> tuple[Target, ...]:
    """Return the readers of the twin."""
    shapes = tuple(json.dumps(one).encode() for one in (SHAPE, MIXTURE))
    return (
        Target("trace of requests", trace, (CALLS,)),
        Target("hardware file", parts, (MINE,), words=(b"[gpu.mine]", b"is = ", b'"1 GB/s"', b"[[")),
        Target("model's config", shape, shapes),
        Target("fitted parameters", fitted, (inference.FITTED.read_bytes(),)),
        Target("table of runs", table, (runs.kept("pretraining").read_bytes()[:3000].rpartition(b"\n")[0] + b"\n",)),
    )
