"""Honest timing: every case in a fresh process, cases in turn, medians over runs, results checked equal.

CPU-seconds (user + system of the whole process tree) are the figure to trust on a shared machine. Peak memory
is the highest resident set that the operating system saw. This module does not know what is measured.

>>> case = Case("sum", "builtins:sum", {"iterable": [1, 2]})
>>> case.name
'sum'
"""

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """One contestant: a function by its dotted name, called in a process of its own.

    The function returns a dict of plain values; `rows`, `checksum` and the like are compared between cases.
    `python` may name another interpreter (for packages that only a second environment has); `most` is how often
    a slow contestant runs at most.
    """

    name: str
    target: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    most: int = sys.maxsize


@dataclass
class Table:
    """Rows of a finished comparison, ready for Markdown or JSON."""

    title: str
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return a GitHub table under its title."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [f"### {self.title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        lines += ["| " + " | ".join(_cell(row.get(name)) for name in columns) + " |" for row in self.rows]
        return "\n".join([*lines, "", *self.notes, ""])

    def save(self, name: str) -> Path:
        """Keep the table under `results/` as JSON beside the machine it was measured on."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.json"
        values = {"title": self.title, "machine": machine(), "rows": self.rows, "notes": self.notes}
        path.write_text(json.dumps(values, indent=1, default=str))
        return path


def compare(
    title: str,
    cases: Sequence[Case],
    *,
    repeats: int = 3,
    equal: Sequence[str] = ("rows", "checksum"),
    tolerance: float = 1e-6,
) -> Table:
    """Run the cases in turn, A B C A B C …, and return their medians.

    Parameters
    ----------
    equal
        Names in the returned dicts that must agree with the first case (relative `tolerance`).

    Raises
    ------
    AssertionError
        If two cases disagree: a comparison of different results is worth nothing.
    """
    runs: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for turn in range(repeats):
        for case in (case for case in cases if turn < case.most):
            runs[case.name].append(run(case))
    first = runs[cases[0].name][0]["result"]
    for name, results in runs.items():
        for key in equal:
            _agree(f"{name}.{key}", results[0]["result"].get(key), first.get(key), tolerance)
    return Table(title, [_summary(name, results, runs[cases[0].name]) for name, results in runs.items()])


def run(case: Case) -> dict[str, Any]:
    """Run one case once in a fresh process and return its figures and its result."""
    command = [case.python, "-m", "tests.benchmarks.harness", case.target, json.dumps(dict(case.kwargs))]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        msg = f"case {case.name!r} failed (exit {done.returncode}):\n{done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def interleave(
    functions: Mapping[str, Callable[[], Any]], *, seconds: float = 1.0, rounds: int = 5, made: int = 1
) -> dict[str, float]:
    """Time short functions in this process, in turn, and return each one's median rate (`made` per call).

    Each function is called once to warm up, then in `rounds` slices of `seconds / rounds`.
    """
    rates: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            rates[name].append(made * _calls_per_second(function, seconds / rounds))
    return {name: median(values) for name, values in rates.items()}


def machine() -> dict[str, Any]:
    """Return what a reader needs to know about the machine."""
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _calls_per_second(function: Callable[[], Any], seconds: float) -> float:
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or calls == 0:
        function()
        calls += 1
    return calls / elapsed if elapsed else 0.0


def _summary(name: str, results: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> dict[str, Any]:
    cpu = median(r["cpu_seconds"] for r in results)
    row = {"case": name, "CPU-s": round(cpu, 3), "s": round(median(r["seconds"] for r in results), 3)}
    row["peak MiB"] = round(median(r["peak_bytes"] for r in results) / 2**20)
    row["CPU-s ÷ first"] = round(cpu / max(median(r["cpu_seconds"] for r in baseline), 1e-6), 2)
    return row | {key: value for key, value in results[0]["result"].items() if key != "checksum"}


def _agree(what: str, found: Any, expected: Any, tolerance: float) -> None:
    if isinstance(expected, Mapping):
        for key, value in expected.items():
            _agree(f"{what}.{key}", found.get(key), value, tolerance)
    elif isinstance(expected, float):
        assert abs(found - expected) <= tolerance * max(abs(expected), 1.0), f"{what}: {found} is not {expected}"
    else:
        assert found == expected, f"{what}: {found} is not {expected}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str("" if value is None else value)


def _call(target: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Run in the fresh process: import first, then time the call alone; imports are not counted."""
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    before, start = _cpu_seconds(), time.perf_counter()
    result = function(**kwargs) or {}
    seconds, cpu = time.perf_counter() - start, _cpu_seconds() - before
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak * 1024, "result": result}


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    print(json.dumps(_call(sys.argv[1], json.loads(sys.argv[2]))))
