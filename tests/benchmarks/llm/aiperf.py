"""NVIDIA's AIPerf beside our load test: the same server, the same requests, and its raw export read by our arithmetic.

AIPerf lives in an environment of its own (`tests.benchmarks.llm.environment`), for it pins psutil, pandas and others.
"""

import gzip
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aifactory_lab.serve.clients import LOST
from aifactory_lab.serve.load import Slo, summary
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.streams import Answer
from aifactory_lab.serve.load.token_clients import outcome_of
from aifactory_lab.serve.load.token_report import SUMMARY

RAW = "profile_export_raw.jsonl"
# What AIPerf reads of its own exports: its models refuse what does not fit.
ACCEPT = """
import sys
from pathlib import Path
from aiperf.common.models.export_models import JsonExportData
from aiperf.common.models.record_models import MetricRecordInfo
folder = Path(sys.argv[1])
lines = (folder / "profile_export.jsonl").read_text().splitlines()
for line in lines:
    MetricRecordInfo.model_validate_json(line)
JsonExportData.model_validate_json((folder / "profile_export_aiperf.json").read_text())
print(len(lines))
"""


def profile(
    program: Path,
    url: str,
    prompts: Sequence[str],
    folder: Path,
    *,
    model: str,
    tokenizer: Path,
    concurrency: int,
    max_tokens: int = 64,
    slo: Slo | None = None,
) -> Path:
    """Send each prompt once by AIPerf and return the folder of its exports."""
    inputs = folder / "prompts.jsonl"
    inputs.write_text("".join(json.dumps({"text": prompt}) + "\n" for prompt in prompts))
    options = {
        "--model": model,
        "--url": url,
        "--endpoint-type": "completions",
        "--concurrency": concurrency,
        "--request-count": len(prompts),
        "--input-file": inputs,
        "--custom-dataset-type": "single_turn",
        "--dataset-sampling-strategy": "sequential",
        "--tokenizer": tokenizer,
        "--workers-max": 1,
        "--export-level": "raw",
        "--output-artifact-dir": folder,
        "--ui": "none",
    }
    fields = {"max_tokens": max_tokens, "ignore_eos": "true", "temperature": 0, "cache_prompt": "false"}
    extra = [word for name, value in fields.items() for word in ("--extra-inputs", f"{name}:{value}")]
    goal = ["--goodput", f"time_to_first_token:{slo.ttft_ms:g}"] if slo else []
    words = [str(word) for pair in options.items() for word in pair]
    command = [str(program), "profile", "--streaming", "--use-server-token-count", *words, *extra, *goal]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"aiperf failed (exit {done.returncode}): {done.stdout[-1500:]}{done.stderr[-500:]}"
        raise RuntimeError(msg)
    return folder


def records(folder: Path) -> list[Record]:
    """Read AIPerf's raw export, what came and when, as our records; times since the epoch."""
    return [_record(json.loads(line)) for line in _text(folder / RAW).splitlines()]


def agreement(folder: Path, slo: Slo | None = None) -> dict[str, float]:
    """Return, by metric, the largest relative difference of our arithmetic and AIPerf's over all of its statistics."""
    theirs, ours = json.loads((folder / SUMMARY).read_text()), summary.exported(records(folder), slo)
    return {tag: _apart(ours[tag], theirs[tag]) for tag in ours if tag in theirs}


def accepts(python: Path, folder: Path) -> int:
    """Have AIPerf's own models read a folder that `TokenReport.write` wrote; return the number of requests."""
    done = subprocess.run([python, "-c", ACCEPT, str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def keep(folder: Path, target: Path) -> None:
    """Keep of the exports what `records` and `agreement` need, small enough for a repository."""
    target.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in _text(folder / RAW).splitlines()]
    kept = [{key: line[key] for key in ("metadata", "start_perf_ns", "status", "responses")} for line in lines]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in kept)
    (target / f"{RAW}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    whole = json.loads((folder / SUMMARY).read_text())
    known = {*summary.UNITS, *summary.TOTAL_UNITS}
    said = {key: value for key, value in whole.items() if key in known or key.endswith("_version")}
    (target / SUMMARY).write_text(json.dumps(said, indent=1))


def _record(line: dict[str, Any]) -> Record:
    wall, perf = line["metadata"]["request_start_ns"], line["start_perf_ns"]
    pieces = [
        (response["perf_ns"] - perf + wall, f"{packet['name']}: {packet['value']}\n\n".encode())
        for response in line.get("responses") or ()
        for packet in response.get("packets") or ()
    ]
    answer = Answer.read(pieces)
    return Record(
        line["metadata"]["session_num"],
        start=wall,
        end=line["metadata"]["request_end_ns"],
        # A request that AIPerf's client could not finish (a connection that the server had closed) has no status.
        outcome=outcome_of(line.get("status") or LOST, answer, whole=not line.get("error")),
        finish=answer.finish,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        chunks=tuple(answer.chunks),
    )


def _apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert ours["unit"] == theirs["unit"], f"{ours['unit']} is not {theirs['unit']}"
    both = [(ours[key], theirs[key]) for key in ours if key != "unit" and theirs.get(key) is not None]
    return max(abs(one - other) / max(abs(other), 1e-9) for one, other in both)


def _text(path: Path) -> str:
    packed = path.with_name(path.name + ".gz")
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else path.read_text()
