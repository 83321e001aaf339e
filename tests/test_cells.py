"""%%meter and the ledger of cells, in a real IPython shell and a real kernel."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell

from aifactory_lab import cells
from aifactory_lab.telemetry import journal


@pytest.fixture
def shell():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "aifactory_lab")
    yield shell
    shell.run_line_magic("unload_ext", "aifactory_lab")
    InteractiveShell.clear_instance()


def run(shell, text):
    return shell.run_cell(text, store_history=True)


def test_meter_says_the_cost_and_gives_the_value(shell, capsys):
    result = run(shell, "%%meter two numbers\na = 20\na + 1")
    assert result.result == 21
    assert shell.user_ns["a"] == 20
    words = capsys.readouterr().out
    for word in ("two numbers: ", " s, ", "CPU-s", "peak", "MiB"):
        assert word in words
    assert ("energy unknown (" in words) == (cells.last().joules is None)
    assert ("GPUs unknown (" in words) == (cells.last().gpu_busy_mean is None)


def test_a_metered_cell_is_a_station_for_the_boards(shell):
    events = []
    end = journal.listen(events.append)
    run(shell, "%%meter my cell\npass")
    end()
    assert [(event.kind, event.station) for event in events] == [("begin", "my cell"), ("end", "my cell")]


def test_a_failing_cell_fails_once_with_its_own_error(shell, capsys):
    result = run(shell, "%%meter\nx = 1\n1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert shell.user_ns["x"] == 1
    printed = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert printed.count("ZeroDivisionError: division by zero") == 1
    assert "1 / 0" in printed, "the traceback shows the line"
    assert cells.last() is None


def test_magics_and_comments_inside_a_metered_cell(shell):
    assert run(shell, "%%meter\n# only words").success
    assert run(shell, "%%meter\nb = 3\n%who_ls int").result == ["b"]


def test_the_ledger_has_every_cell_and_its_failures(shell):
    run(shell, "import time")
    run(shell, "\n\ntime.sleep(0.05)\n1")
    run(shell, "1 / 0")
    ledger = cells.ledger()
    assert ledger["cell"].to_list() == ["import time", "time.sleep(0.05)", "1 / 0"]
    assert ledger["failed"].to_list() == [False, False, True]
    assert ledger["seconds"][1] >= 0.05
    assert ledger["number"].to_list() == [1, 2, 3]


def test_loading_twice_writes_one_line_and_unloading_ends_it(shell):
    shell.run_line_magic("load_ext", "aifactory_lab")
    cells.load_ipython_extension(shell)
    run(shell, "1")
    assert cells.ledger().height == 1
    shell.run_line_magic("unload_ext", "aifactory_lab")
    assert cells.ledger().height == 0
    run(shell, "2")
    cells.unload_ipython_extension(shell)
    assert cells.ledger().height == 0


def test_silent_cells_are_not_in_the_ledger(shell):
    shell.run_cell("1", store_history=False)
    assert cells.ledger().is_empty()


def test_the_ledger_is_bounded(shell):
    for number in range(5):
        run(shell, str(number))
    assert cells._METERS[id(shell)].costs.maxlen == cells.KEPT
    assert cells.ledger().height == 5
