"""The pictures of a training, as the dicts that Plotly draws."""

import json

import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.figures import pretraining
from aifactory_lab.telemetry.trainings import Step, TrainingLog, read


@pytest.fixture
def training(tmp_path):
    with TrainingLog(tmp_path, title="d4", facts={"peak_flops": 1.9e11}, announced=False) as log:
        log.score("gzip", 1.92)
        log.score("bigram", 1.91)
        log.score("xz", 1.66)
        for number in range(1, 41):
            loss = float("nan") if number == 7 else 8 - number / 10
            log.step(Step(number, 40, 512 * number, loss, 0.01 / number, 8_000.0 + number, 33.0))
            if number % 20 == 0:
                log.score("bits_per_byte", 3 - number / 40, step=number)
    return read(tmp_path)


def test_loss_is_drawn_beside_the_held_out_score_and_every_baseline(training):
    drawn = json.loads(pretraining.loss(training).to_json())
    batch, smooth, held = drawn["data"]
    assert batch["x"][:2] == [512, 1024]
    assert batch["y"][6] is None
    assert all(isinstance(value, float) for value in smooth["y"])
    assert (held["x"], held["y"]) == ([10_240, 20_480], [2.5, 2.0])
    levels = {shape["y0"] for shape in drawn["layout"]["shapes"]}
    assert levels == {1.92, 1.91, 1.66}
    notes = {note["text"]: note["y"] for note in drawn["layout"]["annotations"]}
    assert {"gzip 1.92", "bigram 1.91", "xz 1.66", "held-out bits per byte"} <= set(notes)
    assert notes["gzip 1.92"] - notes["bigram 1.91"] > 0.05, "names that would overlap stand apart"
    low, high = drawn["layout"]["yaxis2"]["range"]
    assert low < 1.66
    assert high > 2.5
    assert drawn["layout"]["title"]["text"] == "Loss: d4"


def test_a_frame_alone_has_only_its_loss(training):
    drawn = json.loads(pretraining.loss(training.steps).to_json())
    assert [line["name"] for line in drawn["data"]] == ["each batch", "smoothed"]
    assert "yaxis2" not in drawn["layout"]


def test_speed_says_which_peak_the_mfu_is_a_share_of(training):
    drawn = json.loads(pretraining.throughput(training).to_json())
    rate, mfu = drawn["data"]
    assert (rate["y"][0], mfu["y"][0]) == (8_001.0, 33.0)
    assert "MFU, % of 190 GFLOP/s" in {note["text"] for note in drawn["layout"]["annotations"]}
    unknown = pretraining.throughput(training.steps.with_columns(mfu=pl.lit(None, dtype=pl.Float64)))
    assert len(unknown.data) == 1


def test_the_schedule_begins_at_nothing(training):
    figure = pretraining.learning_rate(training)
    assert figure.data[0].y[0] == 0.01
    assert figure.layout.yaxis.rangemode == "tozero"


def test_a_frame_of_something_else_is_refused():
    with pytest.raises(DataError, match="lack loss, tokens; there are: round"):
        pretraining.loss(pl.DataFrame({"round": [1]}))
    with pytest.raises(DataError, match="lack tokens_rate"):
        pretraining.throughput(pl.DataFrame({"tokens": [1], "loss": [1.0]}))
