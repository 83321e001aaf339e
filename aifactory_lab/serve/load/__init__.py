"""Load tests: what a service gives under load, and what it cannot hide.

`test` asks a service of predictions; it gives a `LoadReport`.

>>> from aifactory_lab.serve import load
>>> load.LoadReport.of([[0.0, 0.010, 200], [0.5, 0.030, 200]], slo_ms=20).throughput > 0
True
"""

from aifactory_lab.serve.load.predictions import Body, LoadReport, frame, make_bodies, sweep, test

__all__ = ["Body", "LoadReport", "frame", "make_bodies", "sweep", "test"]
