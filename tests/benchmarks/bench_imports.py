"""What opening the house costs: `import aifactory_lab` must stay under 0.2 s above a bare interpreter."""

import subprocess
import sys

from tests.benchmarks.harness import Case, Table, compare

MODULES = ("sys", "aifactory_lab", "polars", "aifactory_lab.datasets", "aifactory_lab.etl", "aifactory_lab.train")


def open_module(module: str) -> dict[str, str]:
    """Start an interpreter that imports one module and ends."""
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return {}


def main(*, quick: bool) -> list[Table]:
    """Start each in turn; the first row is the bare interpreter."""
    target = "tests.benchmarks.bench_imports:open_module"
    cases = [Case(f"python -c 'import {name}'", target, {"module": name}) for name in MODULES]
    return [compare("Start an interpreter and import", cases, repeats=2 if quick else 7, equal=())]
