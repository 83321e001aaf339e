"""The GPUs of this machine, from NVIDIA's management library: `NvmlSource`, and the parts it is made of.

>>> from aifactory_lab.telemetry.nvml.source import NvmlSource
>>> NvmlSource().key
'nvml'
"""

from aifactory_lab.telemetry.nvml.source import NvmlSource

__all__ = ["NvmlSource"]
