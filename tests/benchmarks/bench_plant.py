"""The plant's instruments beside their peers: sampling, live boards, a day at one a second, meters and journal.

No GPU is behind any of these figures: NVIDIA's library is a stand-in that answers at once, so that what is counted
is Python's cost alone. `python -m tests.benchmarks.bench_plant sampling` runs one part of four.
"""

import sys
from collections.abc import Callable

from tests.benchmarks.harness import Table, machine
from tests.benchmarks.plant import boards, day, meters, sampling

PARTS: dict[str, Callable[..., Table]] = {
    "sampling": sampling.table,
    "boards": boards.table,
    "day": day.table,
    "meters": meters.table,
}


def main(*, quick: bool) -> list[Table]:
    """Measure every part."""
    return [part(quick=quick) for part in PARTS.values()]


if __name__ == "__main__":
    print(f"Measured on: {machine()}\n")
    for name in [word for word in sys.argv[1:] if word in PARTS] or PARTS:
        print(PARTS[name](quick="--quick" in sys.argv).markdown(), flush=True)
