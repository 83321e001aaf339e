"""The hall as a browser draws it: colours, picking, keys, themes, without WebGL, and what it leaves behind."""

import base64
import math
import time

import polars as pl
import pytest
from playwright.sync_api import sync_playwright

from aifactory_lab.twin import hall as halls
from aifactory_lab.twin.plant import Plant
from aifactory_lab.widgets.hall import HallView
from tests.widgets.hallpage import SOFTWARE, WITHOUT, opened

pytestmark = pytest.mark.browser
HALL = halls.layout(Plant(gpus=1152, chassis="gb200-nvl72"))
AIRY = halls.layout(Plant(gpus=256, chassis="dgx-h100"))
DARK, MIDDLE, BRIGHT = (68, 1, 84), (33, 145, 140), (253, 231, 37)  # viridis at 0, 1/2 and 1
CANVAS = ".af-hall-port canvas:not([hidden])"


@pytest.fixture(scope="module")
def browsers(chromium):
    """A browser that draws WebGL on the processor, and one that has none."""
    with sync_playwright() as driver:
        found = [driver.chromium.launch(executable_path=chromium, args=how) for how in (SOFTWARE, WITHOUT)]
        yield found
        for browser in found:
            browser.close()


@pytest.fixture(scope="module")
def kept(browsers, tmp_path_factory):
    """A page for many halls in each browser: compiling three.js's shaders anew would cost most of the time."""
    pages = [opened(browser, tmp_path_factory.mktemp("hall"), view(), height=640) for browser in browsers]
    yield [page.__enter__() for page in pages]
    for page in pages:
        page.__exit__(None, None, None)


@pytest.fixture
def shown(kept, browsers, tmp_path):
    """Show halls on the page that is kept, or on one of its own; none may complain."""
    pages = []

    def make(of: HallView, *keys: str, webgl: bool = True, own: bool = False, width=840, height=640, scheme="light"):
        how = {"width": width, "height": height, "scheme": scheme}
        if own:
            pages.append(opened(browsers[not webgl], tmp_path, of, **how))
            tab = pages[-1].__enter__()
        else:
            tab = kept[not webgl]
            tab.again(of, **how)
        if keys:
            press(tab, *keys)
        return tab

    yield make
    for page in pages:
        page.__exit__(None, None, None)
    for tab in kept:
        assert tab.problems == []


def told(**columns) -> pl.DataFrame:
    base = {"rack": range(16), "watts": [60e3] * 16, "celsius": [40.0] * 16, "state": ["up"] * 16}
    return pl.DataFrame({**base, **columns})


def view(**columns) -> HallView:
    return HallView(HALL, told(**columns), limits={"watts": (0, 120e3)}, height=320)


def press(tab, *keys: str) -> None:
    tab.tab.locator(".af-hall-port").focus()
    for key in keys:
        tab.tab.keyboard.press(key)
    tab.painted()


def places(tab, hall=HALL, *, seen: str) -> dict[int, tuple[float, float]]:
    """Where the tops of racks are in the picture, in pixels, as seen from above or on the plan."""
    box = tab.tab.locator(CANVAS).bounding_box()
    wide, tall, (long, broad, _) = box["width"], box["height"], hall.extent
    if seen == "plan":
        scale = min((wide - 28) / long, (tall - 28) / broad)
    else:
        half = math.tan(math.radians(15))
        top = max(hall.racks["height"].max(), hall.coolers["height"].max())
        near = max(long / 2 * 1.06 / (half * wide / tall), broad / 2 * 1.06 / half)
        scale = tall / 2 / half / (near + top - hall.racks["height"][0])
    rows = hall.racks.iter_rows(named=True)
    at = lambda row: (wide / 2 + scale * (row["x"] - long / 2), tall / 2 - scale * (row["y"] - broad / 2))  # noqa: E731
    return {row["rack"]: at(row) for row in rows}


def colours(tab, points) -> list[tuple[int, ...]]:
    """Colours of the picture at points, as a person sees them."""
    shot = base64.b64encode(tab.tab.locator(CANVAS).screenshot()).decode()
    code = """async ([shot, points]) => {
        const bytes = Uint8Array.from(atob(shot), (c) => c.charCodeAt(0));
        const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const pen = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
        pen.drawImage(picture, 0, 0);
        return points.map(([x, y]) => [...pen.getImageData(Math.round(x), Math.round(y), 1, 1).data].slice(0, 3));
    }"""
    return [tuple(colour) for colour in tab.tab.evaluate(code, [shot, list(points)])]


def turns(tab, point, colour, *, by: int = 6, seconds: float = 60.0) -> None:
    """Wait until the picture has a colour at a point: a busy processor shows what was drawn a moment later."""
    end = time.monotonic() + seconds
    while not near(found := colours(tab, [point])[0], colour, by):
        assert time.monotonic() < end, f"{found} at {point} is not {colour}"


def near(one, other, by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("seen", "key", "webgl"), [("top", "t", True), ("plan", "p", True), ("plan", "h", False)])
def test_a_rack_has_the_colour_of_its_value_and_a_new_one_at_once(shown, seen, key, webgl):
    watts = [0.0, 60e3, 120e3, *[60e3] * 13]
    of = view(watts=watts)
    tab = shown(of, key, "0", webgl=webgl)
    at = places(tab, seen=seen)
    for rack, colour in enumerate((DARK, MIDDLE, BRIGHT)):
        turns(tab, at[rack], colour)
    of.update(told(watts=watts[::-1], celsius=[30.0, 45.0, *[40.0] * 14]))
    tab.take(of, "told_values")
    turns(tab, at[15], DARK)
    tab.tab.get_by_role("button", name="Temperature").click()
    turns(tab, at[0], DARK)
    turns(tab, at[1], BRIGHT)
    assert "45" in tab.text(".af-scale")
    assert tab.saved()["by"] == "celsius"


@pytest.mark.parametrize(("seen", "key", "webgl"), [("top", "t", True), ("plan", "h", False)])
def test_states_and_what_is_not_known_look_like_no_value(shown, seen, key, webgl):
    state = ["up", "degraded", "down", *["up"] * 13]
    of = view(state=state, watts=[60e3, 60e3, 0.0, None, *[60e3] * 12])
    tab = shown(of, key, webgl=webgl)
    at = places(tab, seen=seen)
    turns(tab, at[0], MIDDLE)
    around = [(x, y) for x in range(-6, 7, 2) for y in range(-12, 13, 2)]
    kinds = {rack: set(colours(tab, [(at[rack][0] + x, at[rack][1] + y) for x, y in around])) for rack in range(4)}
    has = lambda rack, colour: any(near(one, colour, 30) for one in kinds[rack])  # noqa: E731
    assert has(0, MIDDLE)
    assert not has(0, (230, 159, 0))
    assert has(1, MIDDLE)
    assert has(1, (230, 159, 0))  # the warning sign and frame
    assert has(2, (213, 94, 0))  # the cross
    assert not any(near(one, colour, 12) for one in kinds[2] | kinds[3] for colour in (MIDDLE, DARK))
    legend = tab.text(".af-legend")
    for words in ("13 up", "1 degraded", "1 down", "1 not known"):
        assert words in legend


@pytest.mark.parametrize(("seen", "key", "webgl"), [("top", "t", True), ("plan", "h", False)])
def test_a_click_opens_a_rack_here_and_in_the_kernel_and_a_drag_does_not(shown, seen, key, webgl):
    of = view(gpus_up=[71.0] * 16, note=["coolant is warm", *[None] * 15])
    tab = shown(of, key, webgl=webgl)
    canvas, at = tab.tab.locator(CANVAS), places(tab, seen=seen)
    canvas.hover(position=dict(zip("xy", at[3], strict=True)))
    tab.painted()
    assert "rack 3" in tab.text(".af-tip")
    canvas.click(position=dict(zip("xy", at[0], strict=True)))
    tab.painted()
    assert tab.saved()["selected"] == 0
    words = tab.text(".af-hall-detail")
    for part in ("rack 0", "up", "60", "40", "71 of 72 up", "not known", "coolant is warm", "row 0"):
        assert part in words
    of.selected = 5  # and the other way round
    tab.take(of, "selected")
    assert "rack 5" in tab.text(".af-hall-detail")
    saved = len(tab.tab.evaluate("saved"))
    box = canvas.bounding_box()
    tab.tab.mouse.move(box["x"] + 40, box["y"] + 40)
    tab.tab.mouse.down()
    tab.tab.mouse.move(box["x"] + 90, box["y"] + 60, steps=3)
    tab.tab.mouse.up()
    tab.painted()
    assert len(tab.tab.evaluate("saved")) == saved
    tab.tab.locator(".af-hall-detail .af-close").click()
    tab.painted()
    assert tab.saved()["selected"] is None
    assert tab.tab.locator(".af-hall-detail").is_hidden()


def test_keys_go_from_rack_to_rack_and_look_from_elsewhere(shown):
    tab = shown(view())
    option = tab.tab.locator(".af-hall-port [role=option]")
    press(tab, "ArrowRight")
    assert "rack 0, row 0, up, power 60 kW" in option.text_content()
    press(tab, "ArrowRight", "ArrowRight", "Enter")
    assert tab.saved()["selected"] == HALL.racks.filter(pl.col("row") == 0).sort("x")["rack"][2]
    assert option.get_attribute("aria-selected") == "true"
    press(tab, "End")  # an opened rack follows
    assert tab.saved()["selected"] == HALL.racks["rack"][-1]
    press(tab, "Escape")
    assert tab.saved()["selected"] is None
    for key, name in (("r", "Row"), ("t", "Top"), ("p", "Plan"), ("h", "Hall")):
        press(tab, key, "Shift+ArrowLeft", "Shift+ArrowUp", "+", "-")
        assert tab.tab.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "true"


def test_values_touch_no_geometry_and_an_idle_hall_does_nothing(shown):
    of = view()
    tab = shown(of)
    watch = """() => { window.sentBytes = 0; window.frames_ = 0;
        const own = WebGL2RenderingContext.prototype;
        for (const name of ["bufferData", "bufferSubData"]) {
          const before = own[name];
          own[name] = function (...given) {
            for (const one of given) sentBytes += one?.byteLength ?? 0;
            return before.apply(this, given);
          };
        }
        const raf = requestAnimationFrame;
        window.requestAnimationFrame = (f) => { frames_ += 1; return raf(f) } }"""
    tab.tab.evaluate(watch)
    of.update(told(watts=[10e3] * 16, state=["down", "degraded", *["up"] * 14]))
    tab.take(of, "told_values")
    boxes = HALL.racks.height + HALL.coolers.height
    assert 0 < tab.tab.evaluate("sentBytes") <= 16 * boxes + 2 * 12 * 2  # four numbers a box, and two signs
    tab.tab.wait_for_timeout(300)
    before, painted = tab.tab.evaluate("frames_"), tab.paints
    tab.tab.wait_for_timeout(700)
    assert (tab.tab.evaluate("frames_"), tab.paints) == (before, painted)


def test_nothing_is_drawn_unseen_and_the_newest_is_when_seen_again(shown):
    of = view()
    tab = shown(of, height=500)
    tab.tab.evaluate("document.body.style.paddingTop = '9000px'")
    tab.tab.wait_for_timeout(300)
    before = tab.paints
    for watts in (1e3, 2e3, 3e3):
        of.update(told(watts=[watts] * 16), moment=f"{watts:g} W")
        tab.take(of, "told_values", "moment")
    assert tab.paints == before
    tab.tab.evaluate("document.body.style.paddingTop = ''")
    tab.tab.wait_for_function("document.querySelector('.af-badge')?.innerText === '3000 W'")
    assert "48" in tab.text(".af-legend")  # kW in all


def test_without_webgl_it_says_so_and_is_the_plan(shown):
    of = view()
    of.incidents = ["CDU 1 lost at 14:00", *["GPU lost"] * 5]
    tab = shown(of, webgl=False)
    assert "No WebGL here" in tab.text(".af-banners")
    assert "CDU 1 lost at 14:00" in tab.text(".af-banners")
    assert "and 2 more incidents" in tab.text(".af-banners")
    assert tab.tab.locator(".af-hall-port canvas").count() == 1
    press(tab, "r", "+", "Shift+ArrowLeft", "t", "h")
    assert tab.tab.evaluate(f"document.querySelector('{CANVAS}').getContext('2d') !== null")


def test_webgl_that_is_taken_back_and_given_again_changes_the_stage(shown):
    tab = shown(view(), own=True)
    canvas = "document.querySelector('.af-hall-port canvas')"
    tab.tab.evaluate(f"window.taken = {canvas}.getContext('webgl2').getExtension('WEBGL_lose_context')")
    tab.tab.evaluate("taken.loseContext()")
    tab.tab.wait_for_selector(".af-banner:has-text('took WebGL back')")
    assert tab.tab.locator(CANVAS).count() == 1
    assert tab.tab.evaluate(f"{canvas}.hidden")
    tab.tab.evaluate("taken.restoreContext()")
    tab.tab.wait_for_function(f"!{canvas}.hidden")
    assert tab.tab.locator(".af-banner").count() == 0
    tab.problems[:] = [text for text in tab.problems if "Context" not in text]  # three says both in the console


def test_another_hall_takes_the_place_of_the_first(shown):
    of = view()
    of.selected = 15
    tab = shown(of, "t")
    of.update(pl.DataFrame({"rack": [0], "watts": [120e3]}), hall=AIRY)
    tab.take(of, "told_hall", "told_values", "selected")
    assert tab.tab.locator(".af-hall-detail").is_hidden()
    gpus = AIRY.racks.filter(pl.col("kind") == "gpu").height
    assert f"{gpus - 1} not known" in tab.text(".af-legend")
    press(tab, "0")
    turns(tab, places(tab, AIRY, seen="top")[0], BRIGHT)


def test_what_is_sent_away_is_not_drawn(shown):
    tab = shown(view(), "p")
    before = tab.tab.locator(CANVAS).screenshot()
    tab.tab.get_by_role("button", name="supply").click()
    tab.painted()
    assert tab.tab.locator(CANVAS).screenshot() != before
    assert tab.tab.get_by_role("button", name="supply").get_attribute("aria-pressed") == "false"
    press(tab, "h")
    space = tab.tab.locator(CANVAS).screenshot()
    tab.tab.get_by_role("button", name="supply").click()
    tab.painted()
    assert tab.tab.locator(CANVAS).screenshot() != space


@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1400, "dark")])
def test_every_width_in_both_themes_and_a_theme_that_changes(shown, width, scheme):
    of = view()
    of.selected = 3
    tab = shown(of, width=width, scheme=scheme)
    assert tab.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert tab.tab.locator(".af-hall").get_attribute("data-af-theme") == scheme
    grounds = {"light": (255, 255, 255), "dark": (18, 20, 23)}
    turns(tab, (3, 3), grounds[scheme], by=2)
    other = "light" if scheme == "dark" else "dark"
    tab.tab.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", other)
    turns(tab, (3, 3), grounds[other], by=2)
    tab.tab.evaluate("() => { delete document.documentElement.dataset.theme }")
    tab.tab.set_viewport_size({"width": 500, "height": 800})
    tab.tab.wait_for_function(f"document.querySelector('{CANVAS}').clientWidth < 480")


def test_a_hall_that_ends_leaves_nothing(shown):
    tab = shown(view(), own=True)
    tab.tab.evaluate("window.left = document.querySelector('.af-hall-port canvas').getContext('webgl2')")
    tab.tab.evaluate("end()")
    assert tab.tab.locator(".af-hall, canvas").count() == 0
    assert tab.tab.evaluate("listeners()") == 0
    assert tab.tab.evaluate("left.isContextLost()")


def test_a_kernel_that_is_gone_is_said_and_the_hall_stays_usable(shown):
    tab = shown(view(), webgl=False, own=True)
    tab.tab.evaluate("() => { model.save_changes = () => { throw new Error('gone') } }")
    tab.tab.locator(CANVAS).click(position=dict(zip("xy", places(tab, seen="plan")[4], strict=True)))
    tab.painted()
    assert "rack 4" in tab.text(".af-hall-detail")
    assert "kernel of this hall is gone" in tab.text(".af-banners")
