"""What the report of a run shows: its numbers, pictures and their meaning, in reading order.

It takes finished runs of the lines and lays out one `report.Page`; it measures nothing and trains nothing.

>>> from aifactory_lab import line_report
>>> line_report.rate(1234567.0)
'1.23 M'
"""

from aifactory_lab.line_report.pages import page, write
from aifactory_lab.line_report.tables import caption, rate, stations

__all__ = ["caption", "page", "rate", "stations", "write"]
