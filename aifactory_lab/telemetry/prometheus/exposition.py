r"""Metrics as text: Prometheus' exposition format and OpenMetrics, parsed by prometheus_client.

Its parsers do the reading; this module keeps only the metrics somebody asked for (an endpoint tells hundreds),
loses one malformed line rather than all, and says in words what is wrong with a text that is cut off or is no
metrics at all. It does not know where the text came from, nor what any metric means.

>>> [(s.labels["gpu"], s.value) for s in parse('power{gpu="0"} 351\nnoise 1\n', known={"power": "power"})["power"]]
[('0', 351.0)]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from aifactory_lab.errors import TelemetryError

PATHS = "vLLM, Triton and aifactory serve /metrics, NIM /v1/metrics, dcgm-exporter :9400/metrics"
_families: Any = text_string_to_metric_families  # neither has annotations
_openmetrics_families: Any = openmetrics.text_string_to_metric_families
# Labels by their text: they are the same for all metrics of a GPU and in every scrape, and reading them is nearly all
# of the work. Measured with dcgm-exporter's text of 1,024 GPUs, 14,000 lines: 0.67 s a scrape without, 0.09 s with.
_LABELS: dict[str, Mapping[str, str]] = {"": {}}
MOST_LABELS = 100_000


@dataclass(frozen=True)
class Sample:
    """One line: labels and a value."""

    labels: Mapping[str, str]
    value: float


class Samples(dict[str, list[Sample]]):
    """Samples by name; `left_out` are the lines that could not be read."""

    left_out: tuple[str, ...] = ()


Known: TypeAlias = Mapping[str, str]


def parse(text: str, *, known: Known, openmetrics_text: bool = False) -> Samples:
    """Return the samples of the names in `known`, under the names it gives them.

    Raises
    ------
    TelemetryError
        If the text is cut off or is not of the format.
    """
    _whole(text, openmetrics_text)
    found = _strictly(text, known) if openmetrics_text else None
    left_out: list[str] = []
    if found is None:
        lines = [line for line in text.split("\n") if line and _name(line) in known]
        found, left_out = _leniently(lines)
        if not found:
            _recognised(text)
    samples = Samples()
    samples.left_out = tuple(left_out)
    for name, sample in found:
        if name in known:
            samples.setdefault(known[name], []).append(sample)
    return samples


Found: TypeAlias = list[tuple[str, Sample]]


def _strictly(text: str, known: Known) -> Found | None:
    """Read OpenMetrics by its own parser, which takes all or nothing; `None` for nothing."""
    try:
        families = list(_openmetrics_families(text))
    except (ValueError, IndexError, KeyError, TypeError):  # whatever a malformed text makes it stumble over
        return None
    rows = chain.from_iterable(family.samples for family in families)
    return [(row.name, Sample(row.labels, float(row.value))) for row in rows if row.name in known]


def _leniently(lines: Sequence[str]) -> tuple[Found, list[str]]:
    """Read lines one by one, and return those that cannot be read apart."""
    found: Found = []
    left_out: list[str] = []
    if len(_LABELS) > MOST_LABELS:
        _LABELS.clear()
    for line in lines:
        try:
            found.append(_sample(line))
        except (ValueError, IndexError, KeyError):
            left_out.append(line)
    return found, left_out


def _sample(line: str) -> tuple[str, Sample]:
    """Read one line; the library reads its labels, if they are new."""
    start, end = line.find("{"), line.rfind("}")
    block = line[start : end + 1]
    name, rest = (line[:start].strip(), line[end + 1 :]) if start >= 0 else line.split(maxsplit=1)
    if "}" in block[:-1]:  # inside a value, or of an exemplar
        row = _only(line)
        return row.name, Sample(row.labels, float(row.value))
    labels = _LABELS.get(block)
    if labels is None:
        labels = _LABELS[block] = _only(f"labels{block} 0").labels
    value = rest.split(maxsplit=1)[0]
    if "_" in value:  # Python's own way to write a number
        raise ValueError(value)
    return name, Sample(labels, float(value))


def _only(line: str) -> Any:
    return next(iter(next(iter(_families(line))).samples))


def _name(line: str) -> str:
    return next(iter(line.partition("{")[0].split(maxsplit=1)), "")


def _whole(text: str, openmetrics_text: bool) -> None:
    """Both formats mark their end: the last line of text ends with a line feed, OpenMetrics with ``# EOF``."""
    if openmetrics_text and text and not text.rstrip().endswith("# EOF"):
        raise TelemetryError("sent only a part of its metrics: the end mark '# EOF' is missing", mend="look at its log")
    if text and not text.endswith("\n"):
        _recognised(text)
        raise TelemetryError("sent only a part of its metrics: the last line is cut off", mend="look at its log")


def _recognised(text: str) -> None:
    """Tell metrics that nobody asked for from something that is no metrics at all."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")][:20]
    if lines and len(_leniently(lines)[1]) == len(lines):
        msg = f"answered with something that is not metrics: {lines[0].strip()[:40]!r}…"
        raise TelemetryError(msg, mend=f"another path? {PATHS}")
