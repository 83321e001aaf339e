"""What works under strikes: a production line, the fleet's engine and its jobs, a Dask cluster."""

import json
import signal
import subprocess
import sys
import threading
import time

import psutil

from aifactory_lab import cluster
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, frames
from aifactory_lab.telemetry import journal
from aifactory_lab.workspace import Workspace
from tests.chaos.line import PIECES
from tests.chaos.parts import LIMIT, PATIENCE, Broken, Part, Strike, gone, until
from tests.fleet import work


class Line(Part):
    """A line that writes artefacts, ledger and journal, and says each that is safe."""

    name = "line"

    def start(self) -> None:
        """Start the line."""
        self.safe: dict[int, str] = {}
        self._go()

    def _go(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.line", str(self.folder / "ws")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def _read(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            number, name, reused = line.split() if line.count(" ") == 2 and line.endswith("\n") else ("", "", "")
            if not number:
                continue
            if int(number) in self.safe and (self.safe[int(number)] != name or reused == "0"):
                self.wrong.append(f"{name} was safe and was made again")
            self.safe[int(number)] = name
            self.seen["right"] += 1

    def work(self) -> None:
        """It works by itself."""
        time.sleep(0.2)

    def victims(self) -> dict[str, psutil.Process]:
        """The line."""
        return {"line": psutil.Process(self.process.pid)}

    def after(self, strike: Strike) -> str:
        """Stopped it goes on; dead it is started again, and reuses what was whole."""
        if strike.deadly:
            self.process.wait(LIMIT)
            self.reader.join(LIMIT)
            self.process.stdout.close()
            count = len(self.safe)
            self._go()
            until(lambda: len(self.safe) > count, "the line does not go on")
            return "the same line again: what was whole was reused"
        self.goes_on(self.count_from_here())
        return "went on"

    def stop(self) -> None:
        """End the line as Ctrl-C does, then look at what it left."""
        self.process.terminate()
        self.process.wait(LIMIT)
        self.reader.join(LIMIT)
        self.process.stdout.close()

    def finish(self) -> None:
        """Everything that was said to be safe is in the ledger, in the journal, and whole on the disk."""
        workspace = Workspace(self.folder / "ws")  # which sweeps away what killed ones left
        told = {visit["artefact"] for visit in workspace.ledger()}
        if lost := [name for name in self.safe.values() if name not in told]:
            raise Broken(f"the ledger has lost {lost}")
        for name in self.safe.values():
            if len(list((workspace.root / name).glob("*.txt"))) != PIECES:
                raise Broken(f"{name} is not whole")
        ends = [event for event in journal.read(workspace.root / journal.FILE)[0] if event.kind == "end"]
        if len(ends) < len(self.safe):
            raise Broken(f"the journal tells {len(ends)} ends of {len(self.safe)}")
        if left := [path.name for path in workspace.root.iterdir() if ".partial-" in path.name]:
            raise Broken(f"half-made folders are left: {left}")
        self.seen["artefacts safe"] = len(self.safe)


class Jobs(Part):
    """The workstation's engine and its jobs: every job that was taken ends, and returns what it should."""

    name = "fleet"
    steps = 12

    def start(self) -> None:
        """Send a first job, which starts the engine."""
        self.fleet = Fleet("workstation", folder=self.folder / "fleet", gpus=2)
        self.jobs: list = []
        self.checked = 0
        self.struck: set[str] = set()

    def work(self) -> None:
        """Keep two jobs in the queue, and look at those that have ended."""
        if len(self.jobs) - self.checked < 2:
            steps = work.Steps(str(self.folder / f"steps{len(self.jobs)}"), self.steps)
            self.jobs.append(self.fleet.submit(steps, gpus=1, retries=3))
        job = self.jobs[self.checked]
        if job.state in frames.ENDED:
            self._check(self.checked, job)
            self.checked += 1
        time.sleep(0.3)

    def _check(self, number: int, job) -> None:
        try:
            result = job.result(LIMIT)
        except FleetError as error:
            if job.id not in self.struck:
                raise Broken(f"job {job.id} was not struck, and failed: {error}") from error
            self.seen["failed as it was told to"] += 1
            return
        steps = (self.folder / f"steps{number}").read_text().split()
        if result != self.steps or steps != [str(step) for step in range(self.steps)]:
            raise Broken(f"job {job.id} returned {result}, its steps are {steps}")
        self.seen["right"] += 1

    def victims(self) -> dict[str, psutil.Process]:
        """The engine, and a job that runs."""
        found = {}
        note = self.folder / "fleet" / "workstation" / "engine.json"
        if note.exists() and psutil.pid_exists(pid := json.loads(note.read_text())["pid"]):
            found["engine"] = psutil.Process(pid)
        for job in self.jobs[self.checked :]:
            if job.state == "RUNNING" and job.attempts and psutil.pid_exists(pid := job.attempts[-1]["pid"]):
                found[f"job {job.id}"] = psutil.Process(pid)
        return found

    def after(self, strike: Strike) -> str:
        """Jobs go on and end; whoever asks next starts the engine again."""
        self.struck.add(strike.victim.removeprefix("job "))
        before = self.count_from_here()
        until(lambda: sum(self.seen.values()) > sum(before.values()), "no job ends any more")
        if not strike.deadly:
            return "went on"
        return "the next question started another; its jobs went on" if strike.victim == "engine" else "ran again"

    def stop(self) -> None:
        """Let what runs end, then the engine."""
        for job in self.jobs[self.checked :]:
            job.wait(PATIENCE)
        self.fleet.engine.stop()

    def finish(self) -> None:
        """Every job that was taken has ended."""
        left = [job.id for job in self.jobs if job.state not in frames.ENDED]
        if left:
            raise Broken(f"jobs {left} have not ended")


class Workers(Part):
    """A Dask cluster on this machine: a worker that dies is replaced, and its task is run again.

    SIGTERM is no strike here: it tells a worker of Dask to leave, and Dask does not replace it.
    """

    name = "dask"
    signals = (signal.SIGKILL, signal.SIGSTOP)
    limit = PATIENCE  # while a worker is started anew, what it should compute waits

    def start(self) -> None:
        """Start two workers."""
        self.cluster = cluster.start("cpu", workers=2, folder=self.folder)
        self.turn = 0

    def work(self) -> None:
        """Compute something."""
        self.turn += 1
        parts = self.cluster.client.map(pow, range(20), [2] * 20, key=f"square-{self.turn}")
        total = self.cluster.client.submit(sum, parts, key=f"sum-{self.turn}").result(self.limit)
        self.seen["right" if total == sum(n * n for n in range(20)) else "wrong"] += 1
        time.sleep(0.2)

    def victims(self) -> dict[str, psutil.Process]:
        """The workers."""
        pids = self.cluster.client.run(_pid, on_error="ignore")
        return {f"worker {index}": psutil.Process(pid) for index, pid in enumerate(sorted(pids.values()))}

    def after(self, strike: Strike) -> str:
        """All workers are there again, and compute."""
        if strike.deadly:
            until(lambda: not psutil.pid_exists(strike.pid) or gone(psutil.Process(strike.pid)), "the worker lives on")
        self.cluster.client.wait_for_workers(2, timeout=PATIENCE)
        self.goes_on(self.count_from_here())
        return "another worker came, its tasks ran again" if strike.deadly else "went on"

    def stop(self) -> None:
        """End the cluster."""
        self.cluster.stop()


def _pid() -> int:
    import os

    return os.getpid()
