"""What opening the house costs: `import aifactory_lab` must stay under 0.2 s."""

from tests.benchmarks.harness import Case, Table, compare

MODULES = ("aifactory_lab", "json", "polars", "aifactory_lab.etl", "aifactory_lab.train", "aifactory_lab.serve")


def open_module(module: str) -> dict[str, str]:
    """Import one module in this fresh process (nothing of it has been imported yet)."""
    import importlib

    importlib.import_module(module)
    return {"module": module}


def main(*, quick: bool) -> list[Table]:
    """Import each in fresh processes."""
    target = "tests.benchmarks.bench_imports:open_module"
    cases = [Case(f"import {name}", target, {"module": name}) for name in MODULES]
    return [compare("Imports", cases, repeats=2 if quick else 7, equal=())]
