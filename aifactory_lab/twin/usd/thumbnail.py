"""A small picture of a machine, drawn from its blocks: what a library of assets shows.

>>> import tempfile
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.usd import machines
>>> path = Path(tempfile.mkdtemp()) / "rack.png"
>>> write(machines.network_rack(Plant()), path)
>>> path.read_bytes()[1:4]
b'PNG'
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import require
from aifactory_lab.twin.usd.equipment import Box, Equipment

EDGE = 256
PAPER = (244, 245, 247)
# Seen from the front's right and above; its faces to the viewer, each with its share of the light.
RIGHT, UP = np.array([0.90, 0.44, 0.0]), np.array([-0.16, 0.33, 0.93])
VISIBLE = (((0, 1, 5, 4), 1.0), ((1, 3, 7, 5), 0.72), ((4, 5, 7, 6), 1.25))  # front, right side, top
CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])


def write(machine: Equipment, path: Path) -> None:
    """Draw a machine into a PNG of 256 × 256."""
    image, draw = require("PIL.Image", extra="twin"), require("PIL.ImageDraw", extra="twin")
    picture = image.new("RGB", (EDGE, EDGE), PAPER)
    pen = draw.Draw(picture)
    flat = {box.name: (CORNERS * box.size + box.at) @ np.array([RIGHT, -UP]).T for box in machine.boxes}
    every = np.concatenate(list(flat.values()))
    low, scale = every.min(axis=0), 0.88 * EDGE / np.ptp(every, axis=0).max()
    middle = (EDGE - scale * np.ptp(every, axis=0)) / 2
    for box in sorted(machine.boxes, key=lambda box: -box.at[1]):  # far ones first
        _draw(pen, box, (flat[box.name] - low) * scale + middle)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG")


def _draw(pen: object, box: Box, corners: NDArray[np.float64]) -> None:
    for face, light in VISIBLE:
        colour = tuple(int(min(255, 255 * light * (0.08 + 0.92 * part))) for part in box.colour)
        pen.polygon([tuple(corners[corner]) for corner in face], fill=colour, outline=(30, 30, 32))  # type: ignore[attr-defined]
