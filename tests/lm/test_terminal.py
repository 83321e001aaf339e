"""A training in a terminal is one picture; in a pipe, a notebook or CI it is a few plain lines."""

import io
import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from aifactory_lab.lm import terminal
from aifactory_lab.telemetry.trainings import Step, TrainingLog

SCRIPT = """
import sys
from aifactory_lab.lm import terminal
from aifactory_lab.telemetry.trainings import Step, TrainingLog
facts = {"tokens": 40_960, "peak_flops": 1.9e11}
log = TrainingLog(sys.argv[1], title="Llama [4 layers]", facts=facts, announced=False)
with terminal.show(log), log:
    log.score("gzip", 1.92)
    for number in range(1, 41):
        rates = {"tokens_rate": 8_000.0, "mfu": 33.1, "eta": 40.0 - number}
        log.step(Step(number, 40, 1024 * number, 7.0 - number / 10, 0.01, **rates))
    log.score("bits_per_byte", 1.7, step=40)
    log.sample("def area(width[0]):", step=40)
"""


def step(number: int, steps: int) -> Step:
    return Step(number, steps, 512 * number, 5.0, 0.01)


def plain(log: TrainingLog, work) -> list[str]:
    """Return the lines that a pipe gets while some work is done."""
    out = io.StringIO()
    with terminal.show(log, console=Console(file=out)), log:
        work()
    return out.getvalue().splitlines()


def in_terminal(folder, **environment) -> str:
    """Run the script in a terminal of its own; return all that it drew."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        stdout=theirs,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment},
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            more = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        drawn += more
    os.close(ours)
    assert process.wait() == 0
    return drawn.decode()


def test_a_terminal_gets_one_picture_with_numbers_and_sample(tmp_path):
    drawn = in_terminal(tmp_path)
    last = drawn[drawn.rindex("Llama [4 layers]") :]
    for part in ("100%", "finished", "40,960", "of 40,960", "1.700", "below gzip 1.92", "33.1 %", "of 190 GFLOP/s"):
        assert part in last
    assert "def area(width[0]):" in last
    assert "\x1b[1A" in drawn or "\x1b[?25l" in drawn


def test_ci_gets_plain_lines_even_in_a_terminal(tmp_path):
    lines = in_terminal(tmp_path, CI="true").splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("Llama [4 layers]: step 4 of 40, 4,096 tokens, loss ")
    assert lines[0].endswith("8 ktokens/s, MFU 33.1 %, 36 s left")
    assert lines[-2] == "Llama [4 layers]: held-out bits per byte 1.7 (below gzip 1.92)"
    assert "finished at step 40 of 40" in lines[-1]
    assert not any("\x1b" in line for line in lines)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(1, 7))
def test_a_training_of_any_length_says_a_line_a_tenth(tmp_path_factory, steps, every):
    log = TrainingLog(tmp_path_factory.mktemp("run"), title="t", announced=False)

    def work():
        for number in range(every, steps + 1, every):
            log.step(step(number, steps))

    lines = plain(log, work)
    assert len(lines) <= 10 + 1
    assert len(lines) >= min(10, steps // every)
    assert "finished" in lines[-1]
    assert all("\r" not in line and len(line) < 120 for line in lines)


def test_a_resumed_training_goes_on_where_it_was(tmp_path):
    with TrainingLog(tmp_path, title="t", announced=False) as log:
        for number in range(1, 51):
            log.step(step(number, 100))
    log = TrainingLog(tmp_path, title="t", announced=False, after=50)
    lines = plain(log, lambda: [log.step(step(number, 100)) for number in range(51, 71)])
    assert [line.split(",")[0] for line in lines[:-1]] == ["t: step 60 of 100", "t: step 70 of 100"]


def test_a_training_that_fails_says_why(tmp_path):
    log = TrainingLog(tmp_path, title="t", announced=False)
    out = io.StringIO()
    log.step(step(1, 100))
    with pytest.raises(ValueError, match="nan"), terminal.show(log, console=Console(file=out)), log:
        raise ValueError("the loss is nan")
    assert "failed at step 1 of 100" in out.getvalue()
    assert "ValueError: the loss is nan" in out.getvalue()


def test_the_last_word_is_said_also_when_the_log_ends_later(tmp_path):
    out = io.StringIO()
    with TrainingLog(tmp_path, title="t", announced=False) as log, terminal.show(log, console=Console(file=out)):
        log.step(step(100, 100))
    assert out.getvalue().splitlines()[-1].startswith("t: finished at step 100")


def test_a_log_that_cannot_be_written_is_shown_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    log = TrainingLog(tmp_path / "file" / "run", title="t", announced=False)
    assert len(plain(log, lambda: log.step(step(10, 10)))) == 2
