"""The machine itself: CPU, memory, disks, network, processes, the limits of its container, package energy.

>>> from aifactory_lab.telemetry.hosts import HostSource
>>> HostSource().key
'host'
"""

from aifactory_lab.telemetry.hosts.source import HostSource

__all__ = ["HostSource"]
