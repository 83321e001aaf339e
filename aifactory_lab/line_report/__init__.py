"""What the report of a run shows: its numbers, pictures and their meaning, in reading order.

It takes finished runs of the lines and lays out one `report.Page`, with `report.json` beside it; it measures nothing
and trains nothing.

>>> from aifactory_lab import line_report
>>> line_report.rate(1234567.0)
'1.23 M'
"""

from aifactory_lab.line_report.closing import lines as closing
from aifactory_lab.line_report.numbers import rate
from aifactory_lab.line_report.pages import facts, page, write
from aifactory_lab.line_report.tables import caption, stations

__all__ = ["caption", "closing", "facts", "page", "rate", "stations", "write"]
