"""Readings on disk: recorded in Parquet parts that survive a kill, opened, played back, and compared.

>>> from aifactory_lab.telemetry.recordings.recording import Recording
>>> Recording.__name__
'Recording'
"""
