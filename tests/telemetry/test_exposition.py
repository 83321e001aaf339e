"""Text, counters and buckets by their properties: whatever comes, what is sound is read and nothing else breaks."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.prometheus import exposition
from aifactory_lab.telemetry.prometheus import source as prometheus
from aifactory_lab.telemetry.prometheus.growth import Growth
from aifactory_lab.telemetry.prometheus.histograms import Buckets
from tests.telemetry.pages import Families, LanguageModel, dcgm, dcgm_labels, family, nvitop

unhurried = settings(deadline=None)  # other tests may have the machine

TEXT_OF_ALL = (
    LanguageModel("llama").text() + nvitop() + dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), 55.0)]})
).decode()
LINES_OF_ALL = sum(map(len, exposition.parse(TEXT_OF_ALL, known=prometheus.KNOWN).values()))


@unhurried
@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.floats(allow_nan=False)), min_size=1, max_size=20, unique_by=lambda p: p[0]
    )
)
def test_labels_of_any_text_come_back(pairs):
    body = Families(family("power", "gauge", [({"gpu": label}, value) for label, value in pairs])).text().decode()
    samples = exposition.parse(body, known={"power": "power"})
    assert [(sample.labels["gpu"], sample.value) for sample in samples["power"]] == pairs


@unhurried
@given(st.text(), st.booleans())
def test_any_text_is_read_or_refused_in_words(text, openmetrics):
    with suppress(TelemetryError):
        samples = exposition.parse(text, known=prometheus.KNOWN, openmetrics_text=openmetrics)
        assert all(isinstance(sample.value, float) for rows in samples.values() for sample in rows)


@unhurried
@given(st.data())
def test_damaged_metrics_are_read_or_refused_in_words(data):
    text = TEXT_OF_ALL
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(text) - 1))
        text = (
            text[:place]
            + data.draw(st.sampled_from(["", "{", "}", '"', "\\", "\n", "#", " ", "_", "9" * 400]))
            + text[place + 1 :]
        )
    try:
        samples = exposition.parse(text, known=prometheus.KNOWN)
    except TelemetryError:
        return
    read = sum(len(rows) for rows in samples.values())
    assert read >= LINES_OF_ALL - 12  # each damage can cost two lines


# arithmetic

bounds = st.lists(st.floats(0.001, 100.0), min_size=1, max_size=12, unique=True).map(sorted)
observations = st.lists(st.floats(0.0, 120.0), min_size=1, max_size=60)


@unhurried
@given(bounds, observations, st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(bounds, observed, share):
    edges = [*bounds, float("inf")]
    buckets = Buckets.of({edge: sum(value <= edge for value in observed) for edge in edges})
    around = np.clip([share - 1e-9, share + 1e-9], 0.0, 1.0)  # a rank that is whole but for rounding may go either way
    first, last = np.searchsorted(edges, np.quantile(observed, around, method="inverted_cdf"), side="left")
    lower, upper = [0.0, *bounds, bounds[-1]][first], [*bounds, bounds[-1]][last]
    assert lower - 1e-9 <= buckets.quantile(share) <= upper + 1e-9


@unhurried
@given(bounds, observations, st.floats(0.0, 150.0))
def test_a_share_lies_between_those_of_the_bounds_around(bounds, observed, limit):
    edges = [*bounds, float("inf")]
    buckets = Buckets.of({edge: sum(value <= edge for value in observed) for edge in edges})
    least = max((buckets.counts[i] for i, bound in enumerate(bounds) if bound <= limit), default=0.0)
    most = min((buckets.counts[i] for i, bound in enumerate(bounds) if bound >= limit), default=least)
    assert least - 1e-9 <= buckets.within(limit) <= most + 1e-9


@unhurried
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=2, max_size=40))
def test_growth_is_what_was_counted_across_restarts(steps):
    growth, shown, counted = Growth(window=1e9), 100.0, 0.0
    growth.add(0.0, {("n", ()): shown})
    for second, (step, restarted) in enumerate(steps, 1):
        shown = step if restarted and step < shown else shown + step
        counted += step
        growth.add(float(second), {("n", ()): shown})
    assert growth.span().total("n") == pytest.approx(counted)


def test_a_series_that_appears_later_began_at_zero():
    growth = Growth(window=60.0)
    growth.add(0.0, {("requests", (("status", "200"),)): 1_000.0})
    growth.add(1.0, {("requests", (("status", "200"),)): 1_010.0, ("requests", (("status", "429"),)): 3.0})
    span = growth.span(at_least=0.5)
    assert span.total("requests") == 13.0
    assert span.total("requests", lambda labels: labels["status"] == "500") is None
