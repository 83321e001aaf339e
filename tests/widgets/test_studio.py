"""The design studio: what a person moves is reckoned, what cannot be is said in place, and files hold what is shown."""

import asyncio
import io
import threading
import zipfile

import polars as pl
import pytest

from aifactory_lab import widgets
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import steady_racks, sweep
from aifactory_lab.widgets import gathered
from aifactory_lab.widgets import studio as room
from aifactory_lab.widgets.studio import DesignStudio
from tests.widgets.conftest import until

SMALL = {"chassis": "dgx-h100", "gpus": 32, "model": "llama-3-8b", "requests_per_second": 4, "isl": 512, "osl": 64}


@pytest.fixture
def studio(monkeypatch):
    few = {"chassis": ("dgx-h100", "gb200-nvl72"), "water_celsius": (40.0,), "cap_share": (0.6, 1.0)}
    monkeypatch.setattr(sweep, "GRID", sweep.GRID | few | {"concurrency": (1.0, 8.0)})
    made = DesignStudio(**SMALL)
    yield made
    made.views.join(60)
    made.days.join(120)
    made.close()
    assert [one.name for one in threading.enumerate() if one.name in ("aifactory-sweep", "aifactory-day")] == []


def fields(studio, **values):
    studio.form.fill(**values)
    return studio.outcome


def test_it_is_a_board_of_the_house():
    assert widgets.DesignStudio is DesignStudio


def test_every_field_reaches_the_design(studio):
    before = studio.outcome
    assert (before.plant.gpus, before.plant.chassis, before.service.shape.name) == (32, "dgx-h100", "llama-3-8b")
    told = {
        "gpus": (64, lambda o: o.plant.gpus),
        "training_gpus": (8, lambda o: o.replicas.training_gpus),
        "spare": (3, lambda o: o.plant.spare),
        "precision": ("bf16", lambda o: o.service.precision),
        "tp": (4, lambda o: o.replicas.tp),
        "requests_per_second": (9.0, lambda o: o.service.requests_per_second),
        "isl": (700, lambda o: o.service.isl),
        "osl": (99, lambda o: o.service.osl),
        "ttft_ms": (777, lambda o: o.service.ttft_ms),
        "tpot_ms": (33, lambda o: o.service.tpot_ms),
        "water_celsius": (30, lambda o: o.plant.water_celsius),
        "rejection": ("dry", lambda o: o.plant.rejection),
        "chillers": (False, lambda o: o.plant.chillers),
        "chassis": ("dgx-b200", lambda o: o.plant.chassis),
        "model": ("qwen3-32b", lambda o: o.service.shape.name),
    }
    for name, (value, found) in told.items():
        assert found(fields(studio, **{name: value})) == value, name
    assert fields(studio, cap=50).plant.gpu_cap_watts == pytest.approx(0.5 * studio.outcome.plant.gpu.tdp_watts)
    assert fields(studio, cap=100).plant.gpu_cap_watts is None
    assert fields(studio, full=True).service.requests_per_second is None
    assert "steady" in fields(studio, climate="steady 10 °C, half humid").climate.note


def test_what_is_shown_is_what_was_reckoned(studio):
    outcome = fields(studio, requests_per_second=6.0)
    tiles = studio.views.tiles.value
    assert ">384<" in tiles, "tokens per second: 6 requests of 64"
    assert tiles.count("not validated") == 1
    assert "objectives kept" in studio.views.notes.value
    assert studio.hall.values.equals(steady_racks.racks(outcome))
    studio.views.tabs.selected_index = 1
    assert "Frontier" in studio.views.card.figure
    assert "rests on" in studio.views.figures.value
    studio.views.tabs.selected_index = 2
    assert "gpu dollars" in studio.views.assumed.value or "gpu_dollars" in studio.views.assumed.value


def test_another_plant_is_another_hall(studio):
    fields(studio, gpus=128)
    assert studio.hall.hall.plant.gpus == 128
    assert studio.hall.values["rack"].max() == 3


def test_what_cannot_be_is_said_in_place_and_the_last_good_design_stays(studio):
    good, hall = studio.outcome, studio.hall.values
    fields(studio, model="deepseek-v3")
    assert studio.outcome is good
    assert studio.hall.values is hall
    assert "deepseek-v3 in fp8 takes" in studio.message.value
    assert "<code" in studio.message.value
    assert 'role="alert"' in studio.message.value
    assert fields(studio, model="llama-3-8b").service.shape.name == "llama-3-8b"
    assert studio.message.value == ""


@pytest.mark.parametrize("given", [{"gpu": 8}, {"chassis": "toaster"}, {"training_gpus": 64}])
def test_a_studio_that_cannot_begin_names_what_is_wrong(given):
    with pytest.raises(TwinError) as caught:
        DesignStudio(**SMALL | given)
    assert str(next(iter(given))) in str(caught.value)
    assert caught.value.mend


def test_moves_are_gathered_while_the_page_is_dragged(studio, monkeypatch):
    asked = []
    reckon = room.evaluate
    monkeypatch.setattr(room, "evaluate", lambda *a, **k: asked.append(1) or reckon(*a, **k))

    async def drag():
        for rate in range(5, 60):
            studio.form.fields["requests_per_second"].value = float(rate)
        await asyncio.sleep(5 * gathered.PAUSE)

    asyncio.run(drag())
    assert len(asked) == 1
    assert studio.outcome.service.requests_per_second == 59


def test_other_designs_are_swept_once_for_the_same_requests_and_a_click_takes_one_over(studio):
    studio.views.join(60)
    front = studio.views.front
    assert set(front["chassis"].unique()) == {"dgx-h100", "gb200-nvl72"}
    fields(studio, water_celsius=30)
    assert studio.views.front is front
    assert "this design" in studio.views.others.figure
    row = front.filter(pl.col("chassis") == "gb200-nvl72").row(1, named=True)
    studio.views.others.hear({"k": "pick", "trace": 1, "point": 1})
    found = studio.outcome
    assert (found.plant.chassis, found.replicas.tp, found.service.precision) == (
        *("gb200-nvl72", int(row["tp"]), row["precision"]),
    )
    assert found.tpot == pytest.approx(row["tpot"], rel=0.05)
    studio.views.others.hear({"k": "pick", "trace": 2, "point": 0})
    assert studio.outcome is found, "this design itself"


def test_another_model_sweeps_again(studio):
    studio.views.join(60)
    fields(studio, model="qwen3-32b")
    until(lambda: studio.views.front is not None, 60)
    assert studio.views.front["model"].unique().to_list() == ["qwen3-32b"]


def test_files_hold_what_is_shown(studio):
    table, told = pl.read_csv(io.BytesIO(studio.files[1].make())), studio.outcome.table()
    assert table.columns == told.columns
    assert table["value"].to_list() == pytest.approx(told["value"].to_list())
    html = studio.files[0].make().decode()
    assert "32 GPUs for llama-3-8b" in html
    with zipfile.ZipFile(io.BytesIO(studio.files[2].make())) as archive:
        assert archive.testzip() is None
        assert any(name.endswith((".usd", ".usda", ".usdc")) for name in archive.namelist())


def test_an_incident_asks_only_what_its_kind_needs(studio):
    row = studio.days.rows[0]
    assert row.incident() is None
    row.kind.value = "grid"
    assert row.megawatts in row.children
    row.megawatts.value, row.at.value, row.lasting.value = 0.02, 1.5, 0.5
    found = row.incident()
    assert (found.kind, found.watts, found.at_hours, found.for_hours) == ("grid", 0.02e6, 1.5, 0.5)
    row.kind.value = "heat"
    assert row.kelvin in row.children
    assert row.megawatts not in row.children
    for _ in range(5):
        studio.days.more.click()
    assert len(studio.days.rows) == 6
    assert studio.days.more.disabled


def test_a_day_is_run_with_its_incident_and_the_hall_shows_any_hour_of_it(studio):
    fields(studio, requests_per_second=1.0)
    row = studio.days.rows[0]
    row.kind.value, row.at.value, row.lasting.value = "node", 2.0, 1.0
    studio.days.share.value = 1.0
    studio.days.run_button.click()
    studio.days.join(200)
    assert "node lost (0)" in studio.days.effects.value
    assert "requests that came" in studio.days.totals.value
    assert "scatter" in studio.days.plot.figure
    assert not studio.days.run_button.disabled
    studio.days.hour.value = 10
    assert studio.days.clock.value == "02:30"
    assert studio.hall.moment == "02:30"
    assert studio.hall.incidents == ["node lost (0) from 02:00 for 1 h"]
    assert studio.hall.values["state"].to_list() == ["degraded"]
    assert studio.hall.values["gpus_up"].to_list() == [24]
    assert pl.read_csv(io.BytesIO(studio.files[1].make()))["gpus_up"].min() == 24
    assert "node lost (0)" in studio.files[0].make().decode()
    fields(studio, requests_per_second=2.0)
    assert studio.day is None, "the day was another design's"
    assert studio.hall.incidents == []


def test_a_day_whose_design_is_gone_is_not_shown_as_that_of_another(studio):
    fields(studio, requests_per_second=0.2, gpus=8)
    studio.days.run_button.click()
    fields(studio, gpus=16)
    studio.days.join(200)
    assert studio.day is None
    assert "run it again" in studio.days.message.value
    assert studio.hall.hall.plant.gpus == 16


def test_what_cannot_happen_to_this_plant_is_said_beside_the_button(studio):
    row = studio.days.rows[0]
    row.kind.value, row.count.value = "rack", 99
    studio.days.run_button.click()
    studio.days.join(60)
    assert 'role="alert"' in studio.days.message.value
    assert studio.days.day is None
