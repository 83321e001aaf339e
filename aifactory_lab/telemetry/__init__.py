"""The plant's instruments: sources of readings, one sampler thread each, history, recordings, energy, an endpoint.

`watch(source)` starts sampling; `sampler.latest` is a snapshot in which every metric is a value, unsupported, lost or
stale; `record` keeps it in Parquet and `replay` plays it back. Telemetry watches; it does not know what is done
with what it sees.

>>> from aifactory_lab import telemetry
>>> telemetry.METRICS["busy"].unit
'%'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aifactory_lab.telemetry.alerts import Alerts
    from aifactory_lab.telemetry.commons import Shared
    from aifactory_lab.telemetry.comparison import compare
    from aifactory_lab.telemetry.dask_workers import DaskSource
    from aifactory_lab.telemetry.energy import energy_between
    from aifactory_lab.telemetry.exporter import export
    from aifactory_lab.telemetry.history import History
    from aifactory_lab.telemetry.hooks import FunctionSource
    from aifactory_lab.telemetry.host import HostSource
    from aifactory_lab.telemetry.metrics import METRICS
    from aifactory_lab.telemetry.nvml import NvmlSource
    from aifactory_lab.telemetry.playback import RecordingSource, replay
    from aifactory_lab.telemetry.prometheus import PrometheusSource
    from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Reading, Snapshot, State
    from aifactory_lab.telemetry.recorder import Recorder, record
    from aifactory_lab.telemetry.recording import Recording
    from aifactory_lab.telemetry.sampler import Sampler, samplers, watch
    from aifactory_lab.telemetry.sources import Source

_HOMES = {
    "Alerts": "alerts",
    "DaskSource": "dask_workers",
    "Entity": "readings",
    "Facts": "readings",
    "FunctionSource": "hooks",
    "History": "history",
    "HostSource": "host",
    "Layout": "readings",
    "METRICS": "metrics",
    "NvmlSource": "nvml",
    "PrometheusSource": "prometheus",
    "Reading": "readings",
    "Recorder": "recorder",
    "Recording": "recording",
    "RecordingSource": "playback",
    "Sampler": "sampler",
    "Shared": "commons",
    "Snapshot": "readings",
    "Source": "sources",
    "State": "readings",
    "compare": "comparison",
    "energy_between": "energy",
    "export": "exporter",
    "record": "recorder",
    "replay": "playback",
    "samplers": "sampler",
    "watch": "sampler",
}
__all__ = [
    "METRICS",
    "Alerts",
    "DaskSource",
    "Entity",
    "Facts",
    "FunctionSource",
    "History",
    "HostSource",
    "Layout",
    "NvmlSource",
    "PrometheusSource",
    "Reading",
    "Recorder",
    "Recording",
    "RecordingSource",
    "Sampler",
    "Shared",
    "Snapshot",
    "Source",
    "State",
    "compare",
    "energy_between",
    "export",
    "record",
    "replay",
    "samplers",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Open a part of the room on first use (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"aifactory_lab.telemetry.{_HOMES[name]}"), name)
    msg = f"aifactory_lab.telemetry has no {name!r}; there are: {', '.join(__all__)}"
    raise AttributeError(msg)
