"""`make soak HOURS=1`: soak both endpoints, print what it has shown, exit with 1 if it did not hold."""

import argparse
import sys
from pathlib import Path

from tests.benchmarks.harness import RESULTS, machine
from tests.benchmarks.soak.hours import RATES, soak


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=RESULTS / "soak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faster", type=float, default=1.0, help="times the modest rate")
    found = parser.parse_args()
    print(f"Soaking for {found.hours:g} h on {machine()}\n", flush=True)
    rates = {name: found.faster * rate for name, rate in RATES.items()}
    tables = soak(3600 * found.hours, found.folder, seed=found.seed, rates=rates)
    for number, table in enumerate(tables):
        print(table.markdown(), flush=True)
        table.save(f"soak-{number}")
    return 0 if "Verdict: held" in tables[-1].notes[-1] else 1


if __name__ == "__main__":
    sys.exit(main())
