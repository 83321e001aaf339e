"""Tests that cannot run here are left out by name and reason, never silently."""

from pathlib import Path

import pytest


def leave_out(config: pytest.Config, items: list[pytest.Item], folder: Path, mark: str, reason: str) -> None:
    """Take the tests below a folder that bear a mark out of the run, and say how many and why."""
    ours = [item for item in items if folder in item.path.parents and item.get_closest_marker(mark)]
    if not ours:
        return
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\n{len(ours)} tests marked {mark} left out, {reason}")
