"""The plant's instruments: sources of readings, one sampler thread each, history, recordings, energy, an endpoint.

`watch(source)` starts sampling; `sampler.latest` is a snapshot in which every metric is a value, unsupported, lost or
stale; `record` keeps it in Parquet and `replay` plays it back. Telemetry watches; it does not know what is done
with what it sees.

>>> from aifactory_lab import telemetry
>>> telemetry.METRICS["busy"].unit
'%'
"""

from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.telemetry import trainings
    from aifactory_lab.telemetry.alerts import Alerts
    from aifactory_lab.telemetry.dask.workers import DaskSource
    from aifactory_lab.telemetry.energy import energy_between
    from aifactory_lab.telemetry.history import History
    from aifactory_lab.telemetry.hooks import FunctionSource
    from aifactory_lab.telemetry.hosts.source import HostSource
    from aifactory_lab.telemetry.metrics import METRICS
    from aifactory_lab.telemetry.nvml.source import NvmlSource
    from aifactory_lab.telemetry.prometheus.exporter import dashboard, export
    from aifactory_lab.telemetry.prometheus.source import PrometheusSource
    from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Reading, Snapshot, State
    from aifactory_lab.telemetry.recordings.comparison import compare
    from aifactory_lab.telemetry.recordings.playback import RecordingSource, replay
    from aifactory_lab.telemetry.recordings.recorder import Recorder, record
    from aifactory_lab.telemetry.recordings.recording import Recording
    from aifactory_lab.telemetry.sampler import Sampler, samplers, watch
    from aifactory_lab.telemetry.sharing.commons import Shared
    from aifactory_lab.telemetry.sources import Source
    from aifactory_lab.telemetry.trainings.source import TrainingSource

_HOMES = {
    "dashboard": "prometheus.exporter",
    "Alerts": "alerts",
    "DaskSource": "dask.workers",
    "Entity": "readings",
    "Facts": "readings",
    "FunctionSource": "hooks",
    "History": "history",
    "HostSource": "hosts.source",
    "Layout": "readings",
    "METRICS": "metrics",
    "NvmlSource": "nvml.source",
    "PrometheusSource": "prometheus.source",
    "Reading": "readings",
    "Recorder": "recordings.recorder",
    "Recording": "recordings.recording",
    "RecordingSource": "recordings.playback",
    "Sampler": "sampler",
    "Shared": "sharing.commons",
    "Snapshot": "readings",
    "Source": "sources",
    "State": "readings",
    "TrainingSource": "trainings.source",
    "compare": "recordings.comparison",
    "energy_between": "energy",
    "export": "prometheus.exporter",
    "record": "recordings.recorder",
    "replay": "recordings.playback",
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
    "TrainingSource",
    "compare",
    "dashboard",
    "energy_between",
    "export",
    "record",
    "replay",
    "samplers",
    "trainings",
    "watch",
]

__getattr__, __dir__ = lazy(__name__, __all__, _HOMES)
