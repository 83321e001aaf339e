"""What every test run shares: nbval told once, from any folder; no silent skips in CI; a workspace of its own."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
PROMETHEUS = shutil.which("prometheus")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    """Set nbval's options absolutely: in addopts they would depend on the folder one stands in."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitise.cfg")
    config.option.nbval_current_env = True
    config.option.nbval_cell_timeout = 600.0  # a busy machine is not a broken lesson


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Run each lesson once, with its solutions: they come last, and the lesson is the same without them (tested)."""
    named = any(Path(word.split("::")[0]).resolve() == collection_path for word in config.args)
    return True if collection_path.parent == ROOT / "notebooks" and collection_path.is_file() and not named else None


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Compare neither stderr (new warnings of libraries) nor HTML (ids) in notebooks; the text stands beside it."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "text/html")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and say so, what needs a program that is not here; in CI it must be there."""
    for marker, program, found in (("browser", "chromium", CHROMIUM), ("prometheus", "prometheus", PROMETHEUS)):
        needing = [item for item in items if item.get_closest_marker(marker)]
        if needing and not found and not os.environ.get("CI"):
            items[:] = [item for item in items if item not in needing]
            config.hook.pytest_deselected(items=needing)
            print(f"\n{len(needing)} {marker} tests left out: no {program} here (make system-deps brings it)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # noqa: ARG001
    """In CI a skip is a failure: what CI requires cannot vanish silently."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {report.longrepr}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    assert CHROMIUM, "no chromium: make system-deps"
    return CHROMIUM


@pytest.fixture(autouse=True, scope="session")
def fleet_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the jobs of tests, doctests and lessons out of the user's own fleet."""
    os.environ["AIFACTORY_FLEET"] = str(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(autouse=True)
def journal_of_its_own() -> None:
    """Begin every test and doctest with an empty journal: stations that others ran would be on its boards."""
    from aifactory_lab.telemetry import journal

    journal.forget()
