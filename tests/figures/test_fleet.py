"""The pictures of a fleet, as the dicts that Plotly draws."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.figures import fleet as figures
from aifactory_lab.fleet import frames
from aifactory_lab.fleet.timeline import Timeline
from tests.fleet.scripted import NOW, Scripted, ago, busy_plant, job


@pytest.fixture
def plant(tmp_path):
    return busy_plant(tmp_path)


def drawn(figure) -> dict:
    return json.loads(figure.to_json())


def test_quota_has_what_is_borrowed_beyond_it_and_a_mark_where_it_ends(plant):
    own, borrowed, limit = drawn(figures.quota(plant.projects()))["data"]
    assert own["y"] == ["vision", "nlp"]
    assert (own["x"], borrowed["x"], limit["x"]) == ([4, 2], [2, 0], [4, 4])
    assert borrowed["marker"]["pattern"]["shape"] == ["/", "/"]
    assert own["marker"]["color"][0] != own["marker"]["color"][1]


def test_quota_without_quotas_has_no_marks():
    projects = frames.frame(frames.PROJECTS, [{"project": "a", "used": 3}])
    own, borrowed = drawn(figures.quota(projects))["data"]
    assert (own["x"], borrowed["x"]) == ([3], [0])
    assert drawn(figures.quota(frames.empty(frames.PROJECTS)))["data"][0]["x"] == []


def test_a_timeline_has_a_row_for_each_job_the_newest_at_the_top_and_what_runs_ends_now(plant):
    figure = drawn(figures.timeline(plant.jobs(), now=NOW.timestamp()))
    vision = next(one for one in figure["data"] if one["name"] == "vision")
    assert figure["layout"]["yaxis"]["categoryarray"] == [
        *("pretrain · 1", "train-2 · 2", "train-3 · 3", "train-4 · 4", "train-5 · 5")
    ]
    place = vision["y"].index("train-2 · 2")
    assert vision["marker"]["pattern"]["shape"][place] == "/", "borrowed is hatched"
    assert vision["x"][place] == pytest.approx(20 * 60e3 - 0.2 * 60e3), "milliseconds from its start until now"
    assert vision["base"][place] == ago(19.8).isoformat()
    assert "borrowed" in vision["hovertext"][place]


def test_by_gpu_a_gang_is_in_the_row_of_each_of_its_gpus(plant):
    figure = drawn(figures.timeline(plant.jobs(), by="gpu", now=NOW.timestamp()))
    rows = [
        row for one in figure["data"] for row, text in zip(one["y"], one["hovertext"], strict=True) if "job 1" in text
    ]
    assert rows == ["n1:0", "n1:1", "n2:0", "n2:1"]


def test_a_long_history_shows_the_newest_and_says_so(tmp_path):
    engine = Scripted(tmp_path, jobs=[job(n, "COMPLETED") for n in range(120)])
    figure = drawn(figures.timeline(engine.jobs()))
    assert len(figure["layout"]["yaxis"]["categoryarray"]) == figures.MOST_ROWS
    assert figure["layout"]["yaxis"]["categoryarray"][-1] == "train-119 · 119"
    assert "the newest 40 of 120" in figure["layout"]["title"]["text"]


def test_nodes_have_a_cell_for_every_gpu(plant):
    plant.rows["nodes"].append({"node": "n3", "state": "idle", "gpus": 2, "used": 1, "jobs": []})
    figure = drawn(figures.nodes(plant.nodes(), plant.jobs()))
    cells, *keys = figure["data"]
    kinds = [one["name"] for one in keys]
    assert kinds == ["free", "in use", "nlp", "vision", "b: borrowed"]
    assert cells["y"] == ["n3", "n2", "n1"]
    assert [[kinds[cell] for cell in row if cell is not None] for row in cells["z"]] == [
        ["in use", "free"],
        ["vision", "vision", "nlp", "nlp"],
        ["vision"] * 4,
    ]
    assert cells["text"][2] == ["", "", "b", "b"]
    assert cells["hovertext"][1][0] == "pretrain (job 1)"


def test_no_nodes_and_no_jobs_are_empty_pictures(tmp_path):
    engine = Scripted(tmp_path)
    assert drawn(figures.nodes(engine.nodes(), engine.jobs()))["data"][0]["z"] == []
    assert drawn(figures.timeline(engine.jobs()))["data"] == []
    assert drawn(figures.hours(engine.usage(None)))["data"] == []


def test_gpu_hours_have_a_part_for_each_user(plant):
    bars = drawn(figures.hours(plant.usage(None)))["data"]
    assert [(bar["y"], bar["x"], bar["text"]) for bar in bars] == [
        (["vision"], [12.345678], "ada"),
        (["nlp"], [3.25], "bob"),
        (["nlp"], [0.25], "eve"),
    ]
    assert bars[1]["marker"]["color"] == bars[2]["marker"]["color"] != bars[0]["marker"]["color"]


def test_a_project_has_one_colour_in_all_pictures(plant):
    colours = figures.colours(plant.projects(), plant.jobs())
    bar = drawn(figures.quota(plant.projects(), colours=colours))["data"][0]
    line = next(
        one for one in drawn(figures.timeline(plant.jobs(), colours=colours))["data"] if one["name"] == "vision"
    )
    assert bar["marker"]["color"][bar["y"].index("vision")] == line["marker"]["color"] == colours["vision"]
    alone = figures.colours(plant.jobs().filter(pl.col("project") == "vision"))
    assert alone == {"vision": "#E69F00"}, "by its name: the same where others are missing, and on the boards"
    assert colours == {"nlp": "#0072B2", **alone}


def test_ten_projects_have_ten_colours():
    frame = frames.frame(frames.PROJECTS, [{"project": f"team-{letter}"} for letter in "abcdefghij"])
    assert len(set(figures.colours(frame).values())) == 10


@pytest.mark.parametrize(("draw", "of"), [("quota", "projects"), ("timeline", "jobs"), ("hours", "usage")])
def test_a_frame_of_something_else_is_refused(plant, draw, of):
    with pytest.raises(
        DataError, match=rf"no frame of {of}: it lacks [\s\S]*mend: figures.fleet.{draw}\(Fleet\(\).{of}"
    ):
        getattr(figures, draw)(plant.nodes())


def test_a_timeline_draws_what_was_seen_of_earlier_attempts():
    began = datetime(2026, 1, 1, tzinfo=UTC)
    job = {"id": "1", "name": "a", "project": "vision", "state": "RUNNING", "started": began, "devices": ["n1:0"]}
    again = {**job, "started": began + timedelta(seconds=90), "devices": ["n2:1"]}
    seen = Timeline()
    for second, row in ((5, job), (30, {**job, "state": "REQUEUED"}), (100, again)):
        told = frames.frame(frames.JOBS, [row])
        seen.observe(told, now=began.timestamp() + second)
    figure = drawn(figures.timeline(told, by="gpu", seen=seen, now=began.timestamp() + 120))
    assert dict(zip(figure["data"][0]["y"], figure["data"][0]["x"], strict=True)) == {"n1:0": 30_000, "n2:1": 30_000}
