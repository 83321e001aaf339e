"""Many processes, one sampler: an elected leader, a ring file that others map, endpoints that announce themselves.

>>> from aifactory_lab.telemetry.sharing.commons import Shared
>>> Shared.__name__
'Shared'
"""
