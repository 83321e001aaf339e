"""What can be proven here: tests marked `rapids` need the wheels, those marked `gpu` a device; the rest is counted."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from aifactory_lab import device

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here, and say how many and why; never silently."""
    missing = [name for name in device.RAPIDS if find_spec(name) is None]
    chosen = device.current("auto") if not missing else None
    reasons = {
        "rapids": f"not installed: {', '.join(missing)} (make gpu-check)" if missing else "",
        "gpu": "" if chosen and chosen.kind == "gpu" else f"no GPU to run on: {chosen or 'RAPIDS is not installed'}",
    }
    for mark, reason in reasons.items():
        ours = [item for item in items if HERE in item.path.parents and item.get_closest_marker(mark)]
        if reason and ours:
            items[:] = [item for item in items if item not in ours]
            config.hook.pytest_deselected(items=ours)
            _say(config, f"{len(ours)} tests marked {mark} left out, {reason}")


def _say(config: pytest.Config, text: str) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\n{text}")
