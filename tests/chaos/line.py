"""A production line in small: it makes artefacts in a workspace, one after the other, and says when each is safe.

Started again it goes through them from the first: what is whole is reused, and it goes on where the killed one was.
"""

import sys
import time
from pathlib import Path

from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.workspace import Workspace

PIECES = 8
SECONDS = 0.15  # that an artefact takes


def build(folder: Path, number: int) -> StationReport:
    """Make an artefact slowly, in pieces."""
    with Meter("chaos", unit="pieces") as meter:
        for piece in range(PIECES):
            (folder / f"{piece}.txt").write_text(f"{number} {piece}\n" * 1_000)
            time.sleep(SECONDS / PIECES)
            meter.count(1)
    return meter.report


def main(root: Path) -> None:
    """Make artefacts until somebody ends us."""
    workspace = Workspace(root)
    number = 0
    while True:
        made = workspace.station(
            "chaos", lambda folder, number=number: build(folder, number), params={"number": number}
        )
        print(number, made.folder.name, int(made.reused), flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
