"""Shell commands as a newcomer types them: those that end, those that serve until stopped, those that take long.

>>> kind("aifactory dash gpus"), kind(".venv/bin/python -m pytest"), kind("pip install -e '.[gpu]'"), kind("make lab")
('serves', 'long', 'long', 'serves')
"""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.newcomer.machine import Machine

SERVES = re.compile(
    r"make (?:lab|dash)\b|(?:\S*/)?jupyter lab\b|(?:\S*/)?aifactory (?:dash\b|catalog run (?:endpoints|dashboards)/)"
)
LONG = re.compile(
    r"make (?:test|bench\S*|gpu-check|notebooks|newcomer|fuzz|soak|chaos|simready-check|clean|system-deps)\b"
    r"|.*(?:-m pytest|tests\.(?:benchmarks|rebuild|soak|fuzz|chaos)|laws\.study)|.*\[gpu\]"
)
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+[^\s\x1b]*")


@dataclass(frozen=True)
class Step:
    """One thing that was tried: what, how long it took, and what a newcomer would stumble over."""

    what: str
    seconds: float
    stumbled: str = ""
    left_out: str = ""

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        verdict = " ".join((f"left out: {self.left_out}" if self.left_out else self.stumbled or "ok").split())
        return f"| `{self.what.replace('|', '/')}` | {self.seconds:.0f} | {verdict.replace('|', '/')} |"


def kind(command: str) -> str:
    """Say what a command does: it ``"serves"``, takes ``"long"`` (minutes to hours), or just ``"runs"``."""
    return "serves" if SERVES.match(command) else "long" if LONG.match(command) else "runs"


def run(machine: Machine, command: str, *, limit: float) -> Step:
    """Do a command as written and say what came of it."""
    began, log = time.monotonic(), _log(machine)
    with log.open("w") as out:
        process = _start(machine, command, out)
        try:
            code = _asked_once(process, log, limit) if kind(command) == "serves" else process.wait(limit)
        except subprocess.TimeoutExpired:
            code = f"not done after {limit:.0f} s"
        finally:
            _stop(process)
    stumbled = "" if code == 0 else f"{code if isinstance(code, str) else f'exit code {code}'}: {_last(log)}"
    return Step(command, time.monotonic() - began, stumbled)


def _start(machine: Machine, command: str, out: object) -> "subprocess.Popen[bytes]":
    """Start in a group of its own, with `.venv` active as the documents assume after the first command."""
    path = f"{machine.clone / '.venv' / 'bin'}:{machine.environment['PATH']}"
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=machine.clone,
        env=dict(machine.environment) | {"PATH": path},
        stdout=out,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _asked_once(process: "subprocess.Popen[bytes]", log: Path, limit: float) -> int | str:
    """Wait for the address that a server prints, and fetch it once: a page, or what it says of its health."""
    until = time.monotonic() + limit
    while time.monotonic() < until and process.poll() is None:
        told = [address.rstrip(".,;)") for address in ADDRESS.findall(log.read_text(errors="replace"))]
        for address in [*told, *(f"{each.rstrip('/').removesuffix('/v1')}/health" for each in told)]:
            try:
                with urllib.request.urlopen(address, timeout=120) as answer:
                    whole = len(answer.read()) > 500 or address.endswith("/health")
                    return 0 if answer.status == 200 and whole else f"status {answer.status}"
            except (urllib.error.URLError, OSError):
                pass  # it has printed where, and is not there yet
        time.sleep(0.5)
    return f"ended with {process.returncode}" if process.poll() is not None else "nobody answered"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command, gently at first."""
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _log(machine: Machine) -> Path:
    folder = machine.clone.parent / "logs"
    folder.mkdir(exist_ok=True)
    return folder / f"{len(list(folder.iterdir())):03d}.log"


def _last(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{' '.join(lines[-3:])[-300:]} ({log.name})"
