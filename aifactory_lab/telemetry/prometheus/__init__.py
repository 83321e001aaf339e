"""Prometheus' text format, both ways: any endpoint as a source, and our own endpoint for anyone's Grafana.

>>> from aifactory_lab.telemetry.prometheus.source import PrometheusSource
>>> PrometheusSource("http://127.0.0.1:8000/metrics").key
'prometheus http://127.0.0.1:8000/metrics'
"""

from aifactory_lab.telemetry.prometheus.source import PrometheusSource

__all__ = ["PrometheusSource"]
