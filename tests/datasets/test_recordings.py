"""The recordings that travel with the package: each is told in the card, opens whole, and says what it is."""

import re

import pytest

from aifactory_lab import datasets
from aifactory_lab.datasets import places
from aifactory_lab.errors import DataError
from aifactory_lab.telemetry import Recording, State, energy_between

FOLDER = places.vendored("recordings")
CARD = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (FOLDER / "README.md").read_text(), re.MULTILINE))


def test_the_card_tells_of_every_file_and_no_other():
    assert sorted(CARD) == sorted(path.stem for path in FOLDER.glob("*.parquet"))


@pytest.mark.parametrize("name", CARD)
def test_it_opens_whole_and_its_origin_is_the_cards(name):
    recording = Recording.open(datasets.recording(name))
    assert recording.damage == ""
    assert recording.layout.origin == ("simulated" if "simulated" in CARD[name] else "measured")
    assert {"etl", "train", "serve"} <= {event.station for event in recording.events}
    assert datasets.recording(name).stat().st_size < 300_000


def test_the_simulated_plant_loses_a_gpu_and_finds_it_and_joules_are_known_throughout():
    recording = Recording.open(datasets.recording("eight_gpus"))
    history = recording.history()
    states = history.states[:, history.layout.row("lab/rack 1/node 1/gpu 3"), history.layout.column("busy")]
    assert states[0] == states[-1] == State.VALUE
    assert 10 <= (states == State.LOST).sum() <= 25
    joules, note = energy_between(history, history.times[0], history.times[-1])
    assert note == ""
    assert joules > 500e3


def test_an_unknown_recording_is_named_with_those_there_are():
    with pytest.raises(DataError, match=r"no recording 'nine_gpus'; there are: .*eight_gpus"):
        datasets.recording("nine_gpus")
