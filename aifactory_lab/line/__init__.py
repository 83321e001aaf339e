"""The production lines: what `make run` runs. Decisions: flight records to predictions; tokens: text to tokens.

Stations stand in a row, each an artefact of the workspace: a station whose inputs did not change is reused, so a
killed run goes on where it was and a second run starts in seconds. `run` is the decision line, `tokens.run` the
token line.

>>> from aifactory_lab import line
>>> [station.name for station in line.STATIONS]
['ingest', 'etl', 'train', 'ladder', 'score', 'serve']
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy
from aifactory_lab.line import decisions
from aifactory_lab.line.decisions import STATIONS, Run, run
from aifactory_lab.line.stations import LineRun, Station

if TYPE_CHECKING:
    from aifactory_lab.line import tokens

__all__ = ["STATIONS", "LineRun", "Run", "Station", "decisions", "run", "tokens"]

# PyTorch is heavy.
__getattr__, __dir__ = lazy(__name__, __all__)
