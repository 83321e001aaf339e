"""`make chaos MINUTES=10`: strike the whole plant for a while, print what happened, exit with 1 if a promise broke."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.harness import Table, machine
from tests.chaos import boards, serving, storm, watching, working
from tests.chaos.parts import Part

PAUSE = 1.0  # seconds between two strikes


def models(folder: Path) -> tuple[Path, np.ndarray, Path]:
    """Make a small model of flights and a small Llama; return the first, rows for it, and the second."""
    made = folder / "models"
    made.mkdir()
    subprocess.run([sys.executable, "-m", "tests.benchmarks.soak.plant", str(made)], check=True)
    return made / "first", np.load(made / "rows.npy"), made / "llama" / "model.gguf"


def parts(folder: Path, names: list[str]) -> list[Part]:
    """Return the parts of a plant; all of them if none is named."""
    model, rows, gguf = models(folder)
    every = [
        serving.Predictions(folder, model, rows), serving.TokenServer(folder, gguf), watching.Watchers(folder),
        watching.Scraper(folder), working.Line(folder), working.Jobs(folder), working.Workers(folder),
        boards.Board(folder),
    ]  # fmt: skip
    return [part for part in every if not names or part.name in names]


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("parts", nargs="*", help="which parts; by default all")
    asked = parser.parse_args()
    print(f"Chaos for {asked.minutes:g} minutes, seed {asked.seed}, on {machine()}\n", flush=True)
    with storm.place() as folder:
        whole = parts(folder, asked.parts)
        with storm.blowing(whole, asked.seed) as blown:
            while time.monotonic() - blown.started < 60 * asked.minutes:
                print(blown.strike(), flush=True)
                time.sleep(PAUSE)
        left = storm.orphans(folder)
    seen = "; ".join(f"{part.name}: " + ", ".join(f"{n:,} {what}" for what, n in part.seen.items()) for part in whole)
    held = sum(row["held"] == "yes" for row in blown.rows)
    notes = [
        f"{held} of {len(blown.rows)} strikes held. Seen: {seen}.",
        f"Left behind: {', '.join(left) or 'nothing'}.",
    ]
    table = Table("Chaos: strikes on the whole plant", blown.rows, notes)
    print(table.markdown())
    table.save("chaos-0")
    return int(bool(left or blown.broken))


if __name__ == "__main__":
    sys.exit(main())
