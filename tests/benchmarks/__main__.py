"""`make bench`: every comparison in one run, printed as tables and kept as JSON under results/.

`python -m tests.benchmarks etl serving` runs some; `--quick` takes fewer rows and runs (to see that they work).
"""

import importlib
import sys
from pathlib import Path

from tests.benchmarks.harness import machine

ORDER = (
    *("imports", "etl", "training", "scaling", "serving"),
    *("curation", "lm_training", "lm_sampling", "llm_serving"),
    *("plant", "fleet", "twin", "laws", "links", "soak"),
)


def main(words: list[str]) -> None:
    """Run the named benchmarks, or all of them."""
    quick = "--quick" in words
    names = [word for word in words if not word.startswith("-")] or list(ORDER)
    print(f"Measured on: {machine()}\n")
    for name in names:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        for number, table in enumerate(module.main(quick=quick)):
            print(table.markdown(), flush=True)
            print(f"kept in {table.save(f'{name}-{number}').relative_to(Path.cwd())}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
