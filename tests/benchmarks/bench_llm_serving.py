"""Serving language models beside peers: tokens per second and CPU-second, latencies; our load test beside AIPerf.

One untrained Llama of 4.2 million parameters (4 layers, width 256, 8 heads, hidden 704, vocabulary 4,096) is served by
every engine, from the same checkpoint, with 8 slots; 63 tokens in, 64 out, by streams, on one thread. No prompt comes
twice, so no cache of prompts helps. Tokens per CPU-second (the server's whole process tree) is the figure to trust on a
shared machine: the clients run on the same cores.
"""

import sysconfig
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from aifactory_lab import serve
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.serve.load import Slo, TokenReport, prompts
from tests.benchmarks.harness import Table
from tests.benchmarks.llm import aiperf, environment
from tests.benchmarks.llm.contestants import Contestant, contestants, raw, say
from tests.serve import raw_llama
from tests.serve.scripted import Scripted, Writer, serving

SHAPE = {"vocabulary": 4_096, "layers": 4, "width": 256, "heads": 8, "kv_heads": 8, "hidden": 704, "context": 256}
READ, WRITTEN = 63, 64
SLO = Slo(ttft_ms=500, itl_ms=50)
FILES, PROMPTS, WARMUP = 80, 3_000, 4
CONCURRENCIES = (1, 8, 32)
CHUNKS, PAUSE = 24, 0.02  # of the server that keeps time; its usage says two tokens a chunk
FRESH = {"cache_prompt": False}  # llama.cpp's own field: AIPerf sends each prompt that we have sent before
SHARED = "The clients run on the server's two cores, beside other work: read the CPU-seconds, not the wall clock."


def main(*, quick: bool) -> Iterator[Table]:
    """Make the model once; measure the engines, then the load generators."""
    with tempfile.TemporaryDirectory() as name:
        folder, asked = prepare(Path(name))
        yield engines(folder, asked, quick=quick)
        yield generators(folder, asked, Path(name), quick=quick)
        yield clocks(folder, asked, Path(name), quick=quick)


def prepare(folder: Path) -> tuple[Path, Iterator[str]]:
    """Write the model as a checkpoint and as GGUF; return its folder and prompts of exactly `READ` tokens."""
    library = Path(sysconfig.get_paths()["stdlib"])
    texts = [path.read_text(encoding="utf-8") for path in sorted(library.glob("*.py"))[:FILES]]
    made = raw_llama.make_model(folder / "model", texts, **SHAPE)
    return made, iter(prompts.of_lengths(texts, Tokenizer.load(made), [READ] * PROMPTS))


def engines(folder: Path, asked: Iterator[str], *, quick: bool) -> Table:
    """Ask every engine at several concurrencies, the engines in turn, each started fresh."""
    rounds, there = 1 if quick else 3, contestants()
    reports: dict[tuple[str, int], list[TokenReport]] = {}
    for _ in range(rounds):
        for one in there:
            for report in _measured(one, folder, asked, quick=quick):
                reports.setdefault((one.name, report.concurrency), []).append(report)
    rows = [_row(name, concurrency, found) for (name, concurrency), found in reports.items()]
    notes = [SHARED, say(), f"Medians of {rounds} runs; goodput: {SLO}.", "vLLM: see tests.benchmarks.llm.environment."]
    return Table("Serving a Llama of 4.2 M parameters: 63 tokens in, 64 out, streams, 8 slots", rows, notes)


def generators(folder: Path, asked: Iterator[str], place: Path, *, quick: bool) -> Table:
    """Ask one server with the same prompts by our load test and by AIPerf, in turn; then read AIPerf's raw export."""
    title = "Two load generators on llama.cpp's server, 8 at once, the same requests"
    if not environment.versions():
        return Table(
            title, [{"load generator": "AIPerf: not installed"}], ["python -m tests.benchmarks.llm.environment"]
        )
    rounds, number = (1, 16) if quick else (3, 64)
    ours: list[TokenReport] = []
    theirs: list[TokenReport] = []
    apart: dict[str, float] = {}
    with raw(folder) as server:
        for turn in range(rounds):
            some = list(islice(asked, number))
            exports = place / f"aiperf-{turn}"
            exports.mkdir()
            options = {"model": server.model, "tokenizer": folder, "concurrency": 8, "slo": SLO}
            ours.append(serve.load.tokens(server, some, concurrency=8, requests=number, extra=FRESH, slo=SLO))
            aiperf.profile(environment.AIPERF, server.url, some, exports, max_tokens=WRITTEN, **options)
            theirs.append(TokenReport(server.model, tuple(aiperf.records(exports)), slo=SLO, concurrency=8))
            apart = aiperf.agreement(exports)
    read = aiperf.accepts(environment.PYTHON, ours[0].write(place / "ours"))
    rates = {tag: value for tag, value in apart.items() if tag.endswith("_throughput")}
    rest = max(value for tag, value in apart.items() if tag not in rates)
    notes = [
        f"AIPerf's raw export read by our arithmetic: {len(apart) - len(rates)} metrics differ by at most {rest:.1g} of"
        f" their value, rates by {max(rates.values()):.2%} (AIPerf divides by its phase's window, a little longer).",
        f"AIPerf {environment.versions()['aiperf']} reads our export: {read} records. {SHARED}",
    ]
    return Table(title, [_generator("serve.load.tokens", ours), _generator("AIPerf", theirs)], notes)


def clocks(folder: Path, asked: Iterator[str], place: Path, *, quick: bool) -> Table:
    """Ask a server that keeps time and costs nearly nothing, by both: what is not its pauses is the client's own."""
    title = f"Two load generators on a server that sends a chunk every {1e3 * PAUSE:g} ms, 4 at once"
    if not environment.versions():
        return Table(title, [{"load generator": "AIPerf: not installed"}], ["make bench-peers installs it."])
    some = list(islice(asked, 8 if quick else 32))
    exports = place / "aiperf-clock"
    exports.mkdir()
    with serving(_paced) as (url, _):
        ours = serve.load.tokens(url, some, model="m", concurrency=4, requests=len(some))
        aiperf.profile(environment.AIPERF, url, some, exports, model="m", tokenizer=folder, concurrency=4)
    theirs = TokenReport("m", tuple(aiperf.records(exports)), concurrency=4)
    true = {"load generator": "the script", "TTFT p50 ms": 1e3 * PAUSE, "ICL p50 ms": 1e3 * PAUSE}
    true["ITL p50 ms"] = round(1e3 * PAUSE * (CHUNKS - 1) / (2 * CHUNKS - 1), 2)
    true["latency p50 ms"] = 1e3 * PAUSE * CHUNKS
    return Table(title, [_generator("serve.load.tokens", [ours]), _generator("AIPerf", [theirs]), true], [SHARED])


async def _paced(server: Scripted, writer: Writer, number: int) -> None:
    await server.stream(writer, number, ["word "] * CHUNKS, pause=PAUSE)


def _measured(one: Contestant, folder: Path, asked: Iterator[str], *, quick: bool) -> list[TokenReport]:
    found = []
    options: dict[str, Any] = {"max_tokens": WRITTEN, "slo": SLO, "patience": 300.0, **one.options}
    with one.start(folder) as server:
        # A model that is loaded on the first request would be measured with it.
        serve.load.tokens(server, list(islice(asked, WARMUP)), requests=WARMUP, concurrency=2, **options)
        for concurrency in CONCURRENCIES:
            number = max(concurrency, 8) if quick else max(4 * concurrency, 24)
            some = list(islice(asked, number))
            report = serve.load.tokens(server, some, concurrency=concurrency, requests=number, **options)
            assert report.errors == 0, (one.name, report.statuses, report.records[0].error)
            assert report.totals["total_isl"] == READ * number, (one.name, report.totals)
            found.append(report)
    return found


def _row(name: str, concurrency: int, found: list[TokenReport]) -> dict[str, Any]:
    return {
        "engine": name,
        "at once": concurrency,
        "tokens per server CPU-s": round(median(one.cost.per_cpu_second(one.tokens) or 0.0 for one in found)),
        "tokens/s": round(median(one.tokens_per_second for one in found)),
        "TTFT p50 ms": round(median(one.ttft.p50 for one in found), 1),
        "TTFT p99 ms": round(median(one.ttft.p99 for one in found), 1),
        "ITL p50 ms": round(median(one.itl.p50 for one in found), 2),
        "ITL p99 ms": round(median(one.itl.p99 for one in found), 2),
        "goodput/s": round(median(one.goodput or 0.0 for one in found), 1),
        "$ per million": round(median(one.dollars_per_million or 0.0 for one in found), 4),
        "short answers": sum(one.short for one in found),
        "client CPU µs per token": round(median(one.cost.client_microseconds(one.tokens) or 0.0 for one in found), 1),
    }


def _generator(name: str, found: list[TokenReport]) -> dict[str, Any]:
    return {
        "load generator": name,
        "requests": sum(len(one.records) for one in found),
        "failed": sum(one.errors for one in found),
        "tokens/s": round(median(one.tokens_per_second for one in found)),
        "TTFT p50 ms": round(median(one.ttft.p50 for one in found), 1),
        "TTFT p90 ms": round(median(one.ttft.p90 for one in found), 1),
        "ITL p50 ms": round(median(one.itl.p50 for one in found), 2),
        "ITL p90 ms": round(median(one.itl.p90 for one in found), 2),
        "ICL p50 ms": round(median(one.icl.p50 for one in found), 2),
        "latency p50 ms": round(median(one.latency.p50 for one in found), 1),
    }
