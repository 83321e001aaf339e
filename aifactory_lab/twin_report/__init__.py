"""What the twin's report shows: a design, the day that it went through, and how far to believe either.

It takes what `twin.design` and `twin.operations` found and lays out one `report.Page`; it reckons nothing.

>>> from aifactory_lab import twin_report
>>> twin_report.number(1234567.0), twin_report.span(0.5, 0.75)
('1.23 M', '0.5 – 0.75')
"""

from aifactory_lab.twin_report.days import COMPARED, incidents, sampled, totals
from aifactory_lab.twin_report.kpis import Kpi, kpis, number, span
from aifactory_lab.twin_report.pages import UNVALIDATED, page, write
from aifactory_lab.twin_report.tables import assumptions, design, figures

__all__ = [
    "COMPARED",
    "UNVALIDATED",
    "Kpi",
    "assumptions",
    "design",
    "figures",
    "incidents",
    "kpis",
    "number",
    "page",
    "sampled",
    "span",
    "totals",
    "write",
]
