"""A Dask cluster as a source: every worker, and every GPU of its nodes once.

>>> from aifactory_lab.telemetry.dask.workers import DaskSource
>>> DaskSource.__name__
'DaskSource'
"""
