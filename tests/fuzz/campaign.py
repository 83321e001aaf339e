"""`make fuzz`: the readers of outside data, guided by coverage (atheris), one after another.

    python -m tests.fuzz.campaign --minutes 3 "ring file" "layout"

Every target runs in a process of its own, on the corpus that earlier campaigns left in a scratch folder. A finding does
not end a campaign: it is kept in a file, once for each place in the code, and becomes a named case of `regressions`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.contract import Target
from tests.fuzz.targets import everywhere, in_room

SCRATCH = Path(tempfile.gettempdir()) / "aifactory-fuzz"
FINDING = "FINDING "
LIMITS = ("-rss_limit_mb=6144", "-timeout=60", "-max_len=131072", "-print_final_stats=1", "-verbosity=1")
ENDS = re.compile(r"#(\d+)\s+(?:DONE|pulse|REDUCE|NEW|RELOAD|INITED)\s+cov: (\d+)")


@dataclass
class Outcome:
    """What a campaign against one target came to."""

    name: str
    executions: int = 0
    edges: int = 0
    seconds: float = 0.0
    findings: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return f"| {self.name} | {self.executions:,} | {self.seconds:.0f} | {self.edges:,} | {len(self.findings)} |"


def main() -> int:
    """Run the campaign; return 1 if there were findings."""
    words = _words()
    if words.room:
        _inside(in_room(words.room)[words.names[0]], words.scratch, words.minutes)
        return 0
    chosen = [(room, one.name) for room, one in everywhere() if not words.names or one.name in words.names]
    print("| target | executions | seconds | edges | findings |\n|---|---|---|---|---|", flush=True)
    outcomes = []
    for room, name in chosen:
        outcomes.append(_against(room, name, words.scratch, words.minutes))
        print(outcomes[-1], flush=True)
    for outcome in outcomes:
        for finding in sorted(outcome.findings):
            print(f"{outcome.name}: {finding}")
    return int(any(outcome.findings for outcome in outcomes))


def _words() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="targets; all by default")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="where corpus and findings are kept")
    parser.add_argument("--room", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _against(room: str, name: str, scratch: Path, minutes: float) -> Outcome:
    """Run processes until the time is over: one that is killed or crashes is a finding, and the next goes on."""
    outcome, start = Outcome(name), time.monotonic()
    while (left := 60 * minutes - (time.monotonic() - start)) > 1:
        command = [sys.executable, "-m", "tests.fuzz.campaign", "--room", room, f"--minutes={left / 60}"]
        done = subprocess.run(
            [*command, f"--scratch={scratch}", name], capture_output=True, text=True, errors="replace", check=False
        )
        executions, edges = _last(done.stderr)
        outcome.executions, outcome.edges = outcome.executions + executions, max(outcome.edges, edges)
        found = {line.removeprefix(FINDING) for line in done.stdout.splitlines() if line.startswith(FINDING)}
        outcome.findings |= found
        if done.returncode:
            outcome.findings.add(f"ended with {done.returncode}: {_crash(done.stderr)}")
            if not executions:
                break
    outcome.seconds = time.monotonic() - start
    return outcome


def _last(log: str) -> tuple[int, int]:
    found = ENDS.findall(log)
    return (int(found[-1][0]), max(int(edges) for _, edges in found)) if found else (0, 0)


def _crash(log: str) -> str:
    telling = [line for line in log.splitlines() if "ERROR" in line or "Test unit written" in line or "Error:" in line]
    return " · ".join(telling[-3:])[:300]


def _inside(target: Target, scratch: Path, minutes: float) -> None:
    """Fuzz in this process, which ends here."""
    import atheris

    home = scratch / re.sub(r"\W+", "-", target.name)
    corpus, findings = home / "corpus", home / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for place, seed in enumerate(target.seeds):
        (corpus / f"seed-{place}").write_bytes(seed)
        target.ask(seed)
    known: set[str] = set()

    def look(data: bytes) -> None:
        try:
            target.ask(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - also what Rust's panics raise
            place = _place(error)
            if place not in known:
                known.add(place)
                (findings / re.sub(r"[^\w.-]+", "-", place)[:150]).write_bytes(data)
                print(f"{FINDING}{place}: {str(error)[:100]!r}", flush=True)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        from tests.fuzz.mutations import mutated

        random = Random(seed)
        return (
            mutated(data, random.randrange, target.words)[:most]
            if random.random() < 0.4
            else atheris.Mutate(data, most)
        )

    words = [sys.argv[0], f"-max_total_time={max(1, int(60 * minutes))}", *LIMITS, f"-artifact_prefix={findings}/"]
    atheris.Setup([*words, str(corpus)], look, custom_mutator=mutate)
    atheris.Fuzz()


def _place(error: BaseException) -> str:
    """Return where in the house an error came from: the innermost line of ours, and its class."""
    frames = list(_frames(error))
    own = [frame for frame in frames if "/aifactory_lab/" in frame.filename] or frames
    where = f"{own[-1].filename.rpartition('/aifactory_lab/')[2]}:{own[-1].lineno}" if own else "nowhere"
    return f"{type(error).__name__} at {where}"


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    yield from traceback.extract_tb(error.__traceback__)


def _instrumented() -> int:
    """Import everything of ours with its branches counted, then run."""
    import atheris

    with atheris.instrument_imports(include=["aifactory_lab", "prometheus_client"]):
        words = _words()
        target = in_room(words.room)[words.names[0]]
        for seed in target.seeds:  # what is imported only when it is needed is imported now
            target.read(seed)
    return main()


if __name__ == "__main__":
    raise SystemExit(_instrumented() if "--room" in sys.argv else main())
