"""A plant's hall as OpenUSD: machines with SimReady figures and connection points, pipes, trays, and what racks do.

`export` writes a folder that any OpenUSD tool opens, `read` takes it back. Needs usd-core (`pip install
'aifactory-lab[twin]'`). It draws nothing, and knows no physics.

>>> import tempfile
>>> from aifactory_lab.twin import hall, plant
>>> path = export(hall.layout(plant.Plant(gpus=256)), tempfile.mkdtemp() + "/hall")
>>> path.name, read(path).racks.height
('hall.usdc', 9)
"""

from aifactory_lab.twin.usd.reading import read, read_values
from aifactory_lab.twin.usd.stage import export

__all__ = ["export", "read", "read_values"]
