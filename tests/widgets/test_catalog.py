"""The catalogue's browser: it narrows, shows a card, runs in the kernel, and stops what serves."""

import httpx
import pytest

from aifactory_lab import catalog
from aifactory_lab.errors import FactoryError
from aifactory_lab.widgets import CatalogBrowser


@pytest.fixture
def browse(tmp_path):
    made = []

    def start(*given) -> CatalogBrowser:
        made.append(CatalogBrowser(*given, workspace=tmp_path))
        return made[-1]

    yield start
    for browser in made:
        browser.close()


def listed(browser) -> list[str]:
    return [address for _, address in browser.list.options]


def test_everything_is_listed_and_every_field_narrows(browse, tmp_path):
    browser = browse()
    everything = [entry.address for entry in catalog.entries(workspace=tmp_path)]
    assert listed(browser) == everything
    assert f"{len(everything)} of {len(everything)}" in browser.count.value
    browser.kind.value = "endpoints"
    assert listed(browser) == ["endpoints/predictions", "endpoints/completions", "endpoints/metrics"]
    browser.ready.value = True
    assert listed(browser) == ["endpoints/metrics"]
    browser.kind.value, browser.ready.value, browser.words.value = "everything", False, "LLAMA size zebra"
    assert listed(browser) == []
    assert "nothing is called like that" in browser.card.value
    assert (browser.command.line, browser.python.line) == ("", "")
    browser.words.value = "cc0"
    assert listed(browser) == ["datasets/flights"]


def test_the_card_says_what_is_missing_and_how_to_mend_it(browse):
    browser = browse("endpoints").pick("predictions")
    assert "no champion in" in browser.card.value
    assert "aifactory run --line decisions" in browser.card.value
    assert browser.run_button.disabled
    browser.pick("models/xgboost")
    assert browser.kind.value == "everything", "the filter makes room for what is picked"
    assert browser.command.line == "aifactory catalog run models/xgboost"
    assert not browser.run_button.disabled
    assert browser.quick.layout.display is None
    browser.pick("lessons/02_train")
    assert browser._buttons.layout.display == "none", "a lesson is not run inside a cell"


def test_what_is_run_shows_words_and_rows_and_text_stays_text(browse):
    browser = browse().pick("dgx-b200")
    assert browser.quick.layout.display == "none"
    browser.run(wait=True)
    assert "1,008 GPUs serve llama-3-70b" in browser.told.value
    assert "<td" in browser.told.value
    assert "more rows" in browser.told.value
    assert not browser.run_button.disabled


def test_a_service_answers_until_it_is_stopped(browse):
    browser = browse().pick("endpoints/metrics")
    browser.run(wait=True)
    url = browser._ran.service.url
    assert url in browser.told.value
    assert httpx.get(url).is_success
    assert browser.stop_button.layout.display is None
    browser.stop_button.click()
    assert "was stopped" in browser.told.value
    with pytest.raises(httpx.TransportError):
        httpx.get(url)


def test_a_mistake_is_said_with_what_mends_it(browse, monkeypatch, tmp_path):
    monkeypatch.setenv("AIFACTORY_DEVICE", "gpu")
    browser = browse().pick("recipes/flights")
    browser.run(wait=True)
    assert 'role="alert"' in browser.told.value
    assert "a GPU was asked for" in browser.told.value
    with pytest.raises(FactoryError, match="the catalogue has no 'cellars'"):
        browse("cellars")
