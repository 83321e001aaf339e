"""The boards as a browser draws them: every size of fleet, every interaction, every state, both themes."""

import pytest

from tests.widgets import plant
from tests.widgets.page import opened

pytestmark = pytest.mark.browser


def fleet(count: int, *, broken: bool = False, seconds: int = 90, mig: bool = False) -> plant.Wire:
    layout = plant.gpu_layout(count, mig=mig)
    facts = plant.gpu_facts(layout) if count <= 64 else None
    return plant.Wire(
        0, "gpu", layout, lambda lay, s: plant.gpu_snapshot(lay, s, broken=broken), facts=facts, seconds=seconds
    )


@pytest.fixture
def board(browser, tmp_path):
    """Open a board of panels and deliver the openings of its feeds."""
    pages = []

    def make(panels, feeds, **how):
        page = opened(browser, tmp_path, panels, **how)
        tab = page.__enter__()
        pages.append(page)
        for feed in feeds:
            tab.deliver(feed.opening())
        return tab

    yield make
    for page in pages:
        page.__exit__(None, None, None)


def cells(tab) -> dict:
    """The plan of the drawn map, through the accessible option and the canvas."""
    return tab.tab.evaluate(
        "() => { const c = document.querySelector('.af-map canvas'); return [c.clientWidth, c.clientHeight] }"
    )


def drawn(tab) -> int:
    """How many colours the map has: none if nothing was drawn."""
    code = """() => { const c = document.querySelector('.af-map canvas');
        const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
        return new Set(d).size }"""
    return tab.tab.evaluate(code)


@pytest.mark.parametrize("width", [400, 600, 1400])
@pytest.mark.parametrize("count", [1, 8, 64, 1024, 10_000])
def test_every_size_of_fleet_is_drawn_inside_its_page(board, count, width):
    wire = fleet(count, seconds=20)
    tab = board(["gpus"], [wire], width=width)
    tab.deliver([wire.tick()])
    assert drawn(tab) > (1 if count == 1 else 6)
    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert f"{count:,} GPU" in tab.text(".af-foot")
    assert tab.tab.locator(".af-charts canvas").count() >= 4
    assert tab.sent("hello")


def test_a_tick_moves_the_numbers(board):
    wire = fleet(8)
    tab = board(["gpus"], [wire])
    before = tab.text(".af-tiles")
    for _ in range(12):
        tab.deliver([wire.tick()])
    assert tab.text(".af-tiles") != before
    assert "162" in tab.text(".af-foot")


def test_picking_a_metric_needs_no_kernel(board):
    tab = board(["gpus"], [fleet(8)])
    before = len(tab.tab.evaluate("sent"))
    tab.tab.get_by_role("button", name="power", exact=True).click()
    tab.painted()
    assert "power" in tab.text(".af-legend")
    assert "700" in tab.text(".af-legend")
    tab.tab.select_option(".af-picker select", "nvlink_rx")
    tab.painted()
    assert "NVLink in" in tab.text(".af-legend")
    assert len(tab.tab.evaluate("sent")) == before


def test_pause_stands_still_and_keeps_what_comes(board):
    wire = fleet(8)
    tab = board(["gpus"], [wire])
    tab.tab.get_by_role("button", name="Pause").click()
    tab.painted()
    before = tab.text(".af-tiles")
    tab.deliver([wire.tick() for _ in range(20)])
    assert tab.text(".af-tiles") == before
    assert "Paused" in tab.text(".af-banners")
    tab.tab.get_by_role("button", name="Resume").click()
    tab.painted()
    assert tab.text(".af-tiles") != before


def test_zoom_by_drag_and_wheel_and_back(board):
    tab = board(["gpus"], [fleet(8)])
    over = tab.tab.locator(".u-over").first.bounding_box()
    x, y = over["x"] + over["width"] * 0.3, over["y"] + over["height"] / 2
    tab.tab.mouse.move(x, y)
    tab.tab.mouse.down()
    tab.tab.mouse.move(x + over["width"] * 0.4, y, steps=4)
    tab.tab.mouse.up()
    tab.painted()
    zoomed = tab.text(".af-range")
    assert "–" in zoomed
    tab.tab.keyboard.down("Control")
    tab.tab.mouse.wheel(0, 120)
    tab.tab.keyboard.up("Control")
    tab.painted()
    assert tab.text(".af-range") != zoomed
    tab.tab.get_by_role("button", name="Reset zoom").click()
    tab.painted()
    assert tab.tab.locator(".af-range").is_hidden()


def test_the_pointer_reads_all_lines_at_one_moment(board):
    tab = board(["gpus"], [fleet(8)])
    over = tab.tab.locator(".u-over").first.bounding_box()
    tab.tab.mouse.move(over["x"] + over["width"] / 2, over["y"] + 20)
    tab.painted()
    said = [tab.tab.locator(".af-chart-value").nth(place).inner_text() for place in range(4)]
    assert len({text.split()[0] for text in said}) == 1  # the same time of day
    assert all(":" in text for text in said)


def test_a_click_opens_a_gpu_with_its_processes_as_text(board):
    tab = board(["gpus"], [fleet(8)])
    tab.tab.locator(".af-map canvas").click(position={"x": 30, "y": 40})
    tab.painted()
    words = tab.text(".af-detail")
    assert "gpu 0" in words
    assert "<script>alert(1)</script>" in words  # as text: nothing parses it
    assert "61.2" in words
    assert "580.65.06" in words
    assert tab.tab.locator(".af-detail canvas").count() >= 6
    tab.tab.locator(".af-detail .af-close").click()
    tab.painted()
    assert tab.tab.locator(".af-detail").is_hidden()


def test_the_pointer_reads_a_gpu_and_the_mean_of_a_group(board):
    tab = board(["gpus"], [fleet(64)])
    canvas = tab.tab.locator(".af-map canvas").bounding_box()
    tab.tab.mouse.move(canvas["x"] + 40, canvas["y"] + 45)
    assert "gpu 0" in tab.text(".af-tip")
    tab.tab.mouse.move(canvas["x"] + 40, canvas["y"] + 13)
    assert "node 1" in tab.text(".af-tip")
    assert "busy, mean" in tab.text(".af-tip")
    tab.tab.mouse.move(canvas["x"] + 40, canvas["y"] - 90)
    assert tab.tab.locator(".af-tip").is_hidden()


def test_ctrl_click_puts_several_gpus_into_the_lines(board):
    tab = board(["gpus"], [fleet(8)])
    for x in (40, 240, 400):
        tab.tab.locator(".af-map canvas").click(position={"x": x, "y": 40}, modifiers=["Control"])
    tab.painted()
    assert tab.tab.locator(".af-key").count() == 3
    tab.tab.locator(".af-key").first.click()
    tab.painted()
    assert tab.tab.locator(".af-key").count() == 2
    assert tab.tab.locator(".af-detail").is_hidden()


def test_facts_of_a_large_fleet_are_asked_for_and_waiting_is_said(board):
    wire = fleet(128, seconds=10)
    tab = board(["gpus"], [wire])
    tab.tab.locator(".af-map").focus()
    tab.tab.keyboard.press("Enter")
    tab.painted()
    (asked,) = tab.sent("facts")
    assert asked["entity"] == wire.layout.entities[0].id
    assert "not told yet" in tab.text(".af-facts")
    tab.tab.wait_for_function("document.querySelector('.af-facts').innerText.includes('kernel is busy')")
    facts = {"health": [], "processes": [{"pid": 7, "name": "train", "user": "", "memory_bytes": None, "busy": None}]}
    tab.deliver([({"k": "facts", "feed": 0, "facts": {asked["entity"]: {**facts, "details": {}}}}, [])])
    assert "train" in tab.text(".af-facts")


def test_keys_move_open_and_close(board):
    wire = fleet(64)
    tab = board(["gpus"], [wire])
    tab.tab.locator(".af-map").focus()
    option = tab.tab.locator(".af-map [role=option]")
    assert "gpu 0 in hall 1, rack 1, node 1" in option.text_content()
    tab.tab.keyboard.press("ArrowRight")
    tab.painted()
    assert "gpu 1" in option.text_content()
    tab.tab.keyboard.press("End")
    tab.painted()
    assert "node 8" in option.text_content()
    tab.tab.keyboard.press("Enter")
    tab.painted()
    assert tab.tab.locator(".af-detail").is_visible()
    assert option.get_attribute("aria-selected") == "true"
    tab.tab.keyboard.press("Escape")
    tab.painted()
    assert tab.tab.locator(".af-detail").is_hidden()


def test_states_are_told_apart_on_the_map_and_in_the_legend(board):
    wire = fleet(8, broken=True, mig=True)
    tab = board(["gpus"], [wire])
    legend = tab.text(".af-legend")
    for word in ("1 lost", "1 not supported", "1 stale", "MIG instances"):
        assert word in legend
    tab.tab.get_by_role("button", name="Table").click()
    tab.painted()
    table = tab.text(".af-table")
    assert "not supported" in table
    assert "lost" in table
    assert tab.tab.locator(".af-table tbody tr").count() == 10


def test_simulated_is_always_said_and_measured_is_not(board):
    assert "simulated" in board(["gpus"], [fleet(8)]).text(".af-badges")
    real = plant.Wire(0, "gpu", plant.gpu_layout(8, origin="measured"), plant.gpu_snapshot, seconds=10)
    assert board(["gpus"], [real]).text(".af-badges") == ""


def test_silence_is_counted_in_the_page(board):
    wire = fleet(8)
    tab = board(["gpus"], [wire])
    tab.tab.wait_for_selector(".af-banner.af-warn", timeout=10_000)
    assert "No data for" in tab.text(".af-banner.af-warn")
    tab.deliver([wire.tick()])
    assert tab.tab.locator(".af-banner.af-warn").count() == 0


def test_errors_can_be_sent_away_and_others_stay(board):
    wire = fleet(8)
    tab = board(["gpus"], [wire])
    tab.deliver([wire.tick(error="OSError: the driver hangs <b>now</b>", notes=["gpu 3 has no clock"])])
    assert "the driver hangs <b>now</b>" in tab.text(".af-banners")
    tab.tab.locator(".af-banner.af-note .af-close").first.click()
    tab.painted()
    assert tab.tab.locator(".af-banner.af-note").count() == 1


def test_a_dead_kernel_is_said(board):
    tab = board(["gpus"], [fleet(8)])
    tab.tab.evaluate("fire('comm_live_update')")
    tab.painted()
    assert "kernel" in tab.text(".af-banner.af-bad")


def test_a_kernel_that_does_not_answer_is_waited_for(board):
    tab = board(["gpus"], [])
    tab.tab.wait_for_selector(".af-banner", timeout=10_000)
    assert "Waiting for the kernel" in tab.text(".af-banners")


def test_a_second_view_shows_the_same_and_ends_alone(board):
    tab = board(["gpus"], [fleet(8)])
    code = """() => { const el = document.createElement('div'); document.body.append(el);
        window.endSecond = widget.render({ model, el }); }"""
    tab.tab.evaluate(code)
    tab.painted()
    assert len(tab.sent("hello")) == 2
    assert tab.tab.locator(".af-board").count() == 2
    tab.tab.evaluate("endSecond()")
    tab.tab.evaluate("end()")
    assert tab.tab.locator(".af-board").count() == 0


def test_nothing_is_painted_unseen(board):
    wire = fleet(8)
    tab = board(["gpus"], [wire], height=400)
    painted = "Number(document.querySelector('.af-board').dataset.painted)"
    tab.tab.evaluate("document.body.style.paddingTop = '9000px'")
    tab.tab.wait_for_timeout(300)
    before = tab.tab.evaluate(painted)
    tab.deliver([wire.tick() for _ in range(5)])
    tab.tab.wait_for_timeout(1200)
    assert tab.tab.evaluate(painted) == before
    tab.tab.evaluate("document.body.style.paddingTop = ''")
    tab.tab.wait_for_function(f"{painted} > {before}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 600, 1400])
def test_every_board_in_both_themes_and_three_widths(board, scheme, width):
    feeds = [
        plant.Wire(0, "service", plant.service_layout(), plant.service_snapshot, seconds=60),
        plant.Wire(1, "station", plant.station_layout(), plant.station_snapshot, seconds=60),
        plant.Wire(2, "host", plant.host_layout(), plant.host_snapshot, seconds=60),
    ]
    tab = board(["floor", "hosts", "throughput", "cost", "health"], feeds, width=width, scheme=scheme)
    told = {"bands": plant.BANDS, "floor": plant.FLOOR, "alerts": plant.ALERTS, "output": plant.OUTPUT, "absent": []}
    tab.deliver([({"k": "extras", **told}, [])])
    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.tab.locator(".af-board").get_attribute("data-af-theme") == scheme
    assert tab.tab.locator(".af-station").count() == 6
    assert tab.tab.locator(".af-held").count() == 1
    assert tab.tab.locator(".af-never").count() == 1
    assert "281.0 of the line's 290.2 s" in tab.text(".af-why")
    assert "not exposed" in tab.text(".af-services")
    assert "81.3" in tab.text(".af-services")
    assert "energy unknown" in tab.tab.locator(".af-flow").text_content()
    assert tab.tab.locator(".af-alerts li").count() == 3


def test_price_and_pue_are_edited_in_the_page(board):
    tab = board(["cost"], [])
    tab.deliver([({"k": "extras", "output": plant.OUTPUT, "absent": []}, [])])
    before = tab.text(".af-tiles")
    tab.tab.locator(".af-assumed input").first.fill("0.48")
    tab.painted()
    assert tab.text(".af-tiles") != before
    assert "$0.14" in tab.text(".af-tiles")  # 812 kJ × 1.3 at 0.48 $/kWh


def test_nothing_is_here_yet_in_friendly_words(board):
    station = plant.Wire(
        0, "station", plant.station_layout(), lambda lay, s: plant.Snapshot.blank(lay, time=plant.START + s), seconds=5
    )
    tab = board(["floor", "gpus", "throughput", "cost", "health"], [station])
    tab.deliver([({"k": "extras", "output": plant.NO_OUTPUT, "absent": plant.ABSENT}, [])])
    words = tab.text(".af-board")
    for part in (
        "make run",
        "serve.start(bundle)",
        "no NVIDIA driver",
        "unknown: no energy counter",
        "Nothing to report",
    ):
        assert part in words


def test_the_theme_is_told_by_jupyter_or_by_the_page(board):
    tab = board(["gpus"], [fleet(1)], scheme="light")
    theme = "document.querySelector('.af-board').dataset.afTheme"
    tab.tab.evaluate("document.body.dataset.jpThemeLight = 'false'")
    tab.tab.wait_for_function(f"{theme} === 'dark'")
    tab.tab.evaluate("document.documentElement.dataset.theme = 'light'")
    tab.tab.wait_for_function(f"{theme} === 'light'")
