"""A function as a source: its values, what it leaves out, and that nobody takes them for measured."""

import numpy as np
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.hooks import FunctionSource
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot, State
from aifactory_lab.telemetry.sampler import Sampler

LAYOUT = Layout((Entity(("twin", "gpu 0")), Entity(("twin", "gpu 1"))), ("busy", "power"))


def test_values_and_states_by_name():
    source = FunctionSource(LAYOUT, lambda _: {"twin/gpu 0": {"busy": 7.0, "power": State.LOST}})
    snapshot = source.sample()
    assert snapshot.reading("twin/gpu 0", "busy").value == 7.0
    assert snapshot.reading("twin/gpu 0", "power").state == State.LOST
    assert snapshot.reading("twin/gpu 1", "busy").state == State.UNSUPPORTED


def test_an_array_is_all_values_and_its_gaps_are_unsupported():
    source = FunctionSource(LAYOUT, lambda now: np.array([[now, 1.0], [np.nan, 2.0]]))
    snapshot = source.sample()
    assert snapshot.reading("twin/gpu 0", "busy").value == snapshot.time
    assert snapshot.reading("twin/gpu 1", "busy").state == State.UNSUPPORTED
    with pytest.raises(TelemetryError, match=r"returned shape \(3,\), the layout is \(2, 2\)"):
        FunctionSource(LAYOUT, lambda _: np.zeros(3)).sample()


def test_always_labelled():
    assert (LAYOUT.origin, LAYOUT.label) == ("measured", "")
    source = FunctionSource(LAYOUT, lambda _: {}, key="twin")
    assert (source.layout.origin, source.layout.label) == ("simulated", "simulated")
    assert source.sample().layout is source.layout
    whole = FunctionSource(LAYOUT, lambda now: Snapshot.blank(LAYOUT, time=now))
    assert whole.sample().layout is whole.layout
    with pytest.raises(TelemetryError, match="not measured"):
        FunctionSource(LAYOUT, lambda _: {}, origin="measured")


def test_a_plant_that_is_rebuilt_has_another_layout():
    bigger = Layout((*LAYOUT.entities, Entity(("twin", "gpu 2"))), LAYOUT.metrics)
    plants = [LAYOUT, bigger, bigger]
    source = FunctionSource(LAYOUT, lambda now: Snapshot.blank(plants.pop(0), time=now))
    opened = source.layout
    first, second, third = (source.sample().layout for _ in range(3))
    assert first is opened
    assert len(second.entities) == 3
    assert second.origin == "simulated"
    assert third is second


def test_facts_and_faults_reach_the_sampler():
    def broken(now):
        msg = "the model diverged"
        raise ValueError(msg)

    facts = {"twin/gpu 0": Facts(details={"cooling": "air"})}
    source = FunctionSource(LAYOUT, lambda _: np.zeros((2, 2)), key="good", facts=lambda _: facts)
    with Sampler(source, period=0.01) as sampler:
        sampler.first()
        assert sampler.facts == facts
    with Sampler(FunctionSource(LAYOUT, broken, key="bad"), period=0.01) as sampler:
        assert sampler.first().notes == ("the model diverged",)
        assert sampler.first().reading("twin/gpu 1", "power").state == State.LOST
