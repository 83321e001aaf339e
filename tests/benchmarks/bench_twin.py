"""The digital twin's speed, beside its peers: loads predicted, designs swept, requests and days simulated, Frontier.

Predictions: AIConfigurator is asked the same questions as we are, about servings that somebody measured, so that each
row shows its error beside its speed; it composes measured kernels, we a formula, and both are timed warm. Requests: one
replica with the same rules is simulated by the house, by simpy and by a plain loop, and every last token must be due at
the same moment in all three. Times are CPU-seconds, each contestant in a fresh process, in turn, medians over runs.
RAPS, whose Frontier we reproduce to five digits, is on no package index (PyPI's `raps` is another project), so that row
stands alone.
"""

import resource
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.harness import Case, Table, run
from tests.benchmarks.twin import environment

HERE, REPLICAS = "tests.benchmarks.bench_twin", "tests.benchmarks.twin.replicas"
MODEL = "meta-llama/Meta-Llama-3.1-70B"


def predict(count: int) -> dict[str, Any]:
    """Predict so many steady loads at once: sizes drawn at random, those that do not fit among them."""
    from aifactory_lab.twin import inference

    seed = np.random.default_rng(3)
    sizes = {"tp": 2 ** seed.integers(1, 4, count), "concurrency": seed.integers(1, 300, count)}
    sizes |= {"isl": seed.integers(64, 16_000, count), "osl": seed.integers(16, 4_000, count)}
    inference.predict("llama-3-70b", "b200-sxm", tp=4, precision="fp8")
    before = time.process_time()
    found = inference.predict("llama-3-70b", "b200-sxm", **sizes, precision="fp8")
    seconds = time.process_time() - before
    return {"per second": count / seconds, "CPU-s": seconds, "counted": int(np.isfinite(found.tpot).sum())}


def sweep(count: int) -> dict[str, Any]:
    """Reckon a million designs, or a part of them, through to watts, water and dollars."""
    from aifactory_lab.twin import sweep as room

    loads = np.geomspace(1, 512, max(1, 28 * count // 1_000_000))
    room.sweep({"concurrency": [1.0]})
    before = time.process_time()
    found = room.sweep({**room.GRID, "concurrency": loads.round(2).tolist()})
    seconds = time.process_time() - before
    return {"per second": len(found) / seconds, "CPU-s": seconds, "counted": len(found)}


def day(hours: float, gpus: int) -> dict[str, Any]:
    """Operate a plant of about so many GPUs, a request for every replica every second, with a node lost at noon."""
    from aifactory_lab.twin.operations import Incident, operate, traffic
    from aifactory_lab.twin.plant import Plant
    from aifactory_lab.twin.service import Service

    plant, service = Plant.about(gpus, "dgx-h100"), Service(tp=8, ttft_ms=2000, tpot_ms=50)
    operate(plant, service, traffic.steady(10.0), hours=0.1)
    lost = Incident("node", at_hours=hours / 2, for_hours=hours / 8)
    before, start = time.process_time(), time.perf_counter()
    found = operate(plant, service, traffic.day(4.0 * plant.gpus / 8), hours=hours, incidents=[lost])
    cpu, seconds = time.process_time() - before, time.perf_counter() - start
    told = {"GPUs": plant.gpus, "hours": hours, "requests": int(found.timeline["served"].sum()), "CPU-s": cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return told | {"s": seconds, "simulated s per s": hours * 3600 / seconds, "peak MiB": round(peak)}


def frontier(seconds: int) -> dict[str, Any]:
    """Reckon Frontier's power for 24 hours, every so many seconds, from its GPUs' activity."""
    from aifactory_lab.twin import supply

    busy = np.random.default_rng(7).random(24 * 3600 // seconds)
    chain = supply.frontier()
    chain.draw(gpu=0.5, cpu=0.5)
    before = time.process_time()
    watts = chain.draw(gpu=busy, cpu=busy / 2).total
    spent = time.process_time() - before
    return {"steps": len(busy), "CPU-s": spent, "steps/s": len(busy) / spent, "mean MW": float(watts.mean()) / 1e6}


def main(*, quick: bool) -> list[Table]:
    """Run all, each contestant in turn."""
    repeats = 1 if quick else 3
    return [_predictions(repeats, quick), _replicas(repeats, quick), _days(quick), _frontier(repeats)]


def _medians(cases: Sequence[Case], repeats: int) -> dict[str, dict[str, Any]]:
    runs: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            runs[case.name].append(run(case)["result"])
    return {name: {key: median(one[key] for one in told) for key in told[0]} for name, told in runs.items()}


def _predictions(repeats: int, quick: bool) -> Table:
    count = 100_000 if quick else 1_000_000
    cases = [
        Case("the house: steady loads", f"{HERE}:predict", {"count": count}),
        Case("the house: whole designs", f"{HERE}:sweep", {"count": count}),
    ]
    rows = [
        {"case": name, "configurations/s": round(told["per second"]), "CPU-s": told["CPU-s"], "of": told["counted"]}
        for name, told in _medians(cases, repeats).items()
    ]
    notes = ["A design is a load with its plant's watts, temperatures, water and dollars."]
    told, words = _asked(1 if quick else 3)
    if told is not None:
        rows[0] |= {"mean error of TPOT": round(told["ours_error"].abs().mean(), 3), "on measured": len(told)}
        rows.append(_peer(told))
    return Table("Configurations predicted a second, and how far off they are", rows, [*notes, *words])


def _asked(each: int) -> tuple[pl.DataFrame | None, list[str]]:
    """Return measured rows that both answered, and what is to be said of it."""
    from aifactory_lab.errors import TwinError
    from aifactory_lab.twin import peers

    if not environment.versions():
        return None, ["AIConfigurator is not measured: its environment could not be made."]
    try:
        found = peers.compare(each=each, python=environment.PYTHON)
    except TwinError as error:
        return None, [f"AIConfigurator is not measured: {error.what}"]
    both = found.filter(pl.col("theirs_tpot").is_not_null())
    words = f"Llama-3-70B on H100 (which our fit saw), H200 and B200; it could not answer {len(found) - len(both)}."
    return both, [words, "Its version and options are its defaults, not those of the measured engines."]


def _peer(told: pl.DataFrame) -> dict[str, Any]:
    # The first question to a system and an engine reads their tables: the others are what a warm one takes.
    warm = told.filter(pl.int_range(pl.len()).over("system", "backend") > 0)["theirs_seconds"]
    seconds = float((warm if len(warm) else told["theirs_seconds"]).median() or 0.0)
    error = round(told["theirs_error"].abs().mean() or 0.0, 3)
    name = f"AIConfigurator {environment.versions().get('aiconfigurator', '')}"
    row = {"case": name, "configurations/s": round(1 / seconds, 3), "CPU-s": seconds, "of": 1}
    return row | {"mean error of TPOT": error, "on measured": len(told)}


def _replicas(repeats: int, quick: bool) -> Table:
    few, many = (300, 100_000) if quick else (2_000, 1_000_000)
    same = [
        Case("the house", f"{REPLICAS}:house", {"count": few}),
        Case("simpy 4, an event a step", f"{REPLICAS}:by_simpy", {"count": few}),
        Case("a plain loop", f"{REPLICAS}:by_loop", {"count": few}),
    ]
    told = _medians([*same, Case(f"the house, {many:,} requests", f"{REPLICAS}:house", {"count": many})], repeats)
    moments = {name: one["sum of moments, s"] for name, one in told.items() if one["requests"] == few}
    first = next(iter(moments.values()))
    assert all(abs(value / first - 1) < 1e-9 for value in moments.values()), f"the replicas disagree: {moments}"
    rows = [
        {"case": name, "requests": one["requests"], "requests/s": round(one["requests/s"])}
        | {"simulated s per CPU-s": round(one["simulated s per s"]), "last token, s": round(one["last token, s"], 6)}
        for name, one in told.items()
    ]
    notes = ["Llama-3-70B on four H100s, a chat's lengths, three requests a second; all last tokens agree to 1e-9."]
    return Table("One replica simulated, token for token the same", rows, notes)


def _days(quick: bool) -> Table:
    hours = (1.0, 2.0) if quick else (6.0, 24.0)
    gpus = 200 if quick else 1000
    rows = [run(Case("day", f"{HERE}:day", {"hours": each, "gpus": gpus}))["result"] for each in hours]
    notes = ["Llama-3-70B, every request simulated, on a daily curve; a node is lost for an eighth of the time."]
    return Table("A plant operated for a day", [{"case": f"{row['hours']:g} h"} | row for row in rows], notes)


def _frontier(repeats: int) -> Table:
    told = _medians([Case("every 15 s", f"{HERE}:frontier", {"seconds": 15})], repeats)
    notes = [
        "37,888 GPUs through switches, rectifiers, converters and pumps; one activity for all GPUs.",
        "RAPS is not on PyPI and not measured here.",
    ]
    return Table("Frontier's power for 24 hours", [{"case": name} | one for name, one in told.items()], notes)
