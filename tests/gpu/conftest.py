"""What can be proven here: tests marked `rapids` need the wheels, those marked `gpu` a device; the rest is counted."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from aifactory_lab import device
from tests.leaving_out import leave_out

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
        if reason:
            leave_out(config, items, HERE, mark, reason)
