"""The instruments under strikes: one sampler for many processes, their recordings and exporters; a plant's scraper."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil

from aifactory_lab.telemetry import PrometheusSource, Recording, watch
from aifactory_lab.telemetry.sharing.announced import EndpointsSource
from tests.chaos.parts import LIMIT, Broken, Part, Strike, until
from tests.chaos.watcher import EVERY

SLACK = 3.0  # seconds by which a busy machine may be late with a write
WATCHERS = 2


class Watchers(Part):
    """Processes that share a sampler; each records and exports."""

    name = "watchers"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.number = 0
        self.processes: dict[str, subprocess.Popen] = {}
        self.urls: dict[str, str] = {}
        self.ended: dict[str, float] = {}  # name → when its process was dead
        self._changing = threading.Lock()

    def start(self) -> None:
        """Start the watchers."""
        for _ in range(WATCHERS):
            self._one_more()

    def _one_more(self) -> None:
        self.number += 1
        name = f"watcher{self.number}"
        command = [sys.executable, "-m", "tests.chaos.watcher", str(self.folder), name]
        made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        url = made.stdout.readline().strip()
        if not url:
            raise Broken(f"{name} did not start (exit {made.wait()})")
        with self._changing:
            self.processes[name], self.urls[name] = made, url

    def work(self) -> None:
        """Scrape every exporter: it answers in Prometheus' words or not at all."""
        with self._changing:
            urls = list(self.urls.values())
        for url in urls:
            try:
                text = httpx.get(url, timeout=LIMIT).text
            except httpx.TimeoutException as error:
                raise Broken(f"no answer within {LIMIT:g} s") from error
            except httpx.TransportError:
                self.seen["no connection"] += 1
                continue
            if "node_cpu" not in text and "# HELP" not in text:
                raise Broken(text[:200])
            self.seen["right"] += 1
        time.sleep(0.3)

    def victims(self) -> dict[str, psutil.Process]:
        """The watchers, the one that leads among them."""
        with self._changing:
            return {name: psutil.Process(made.pid) for name, made in self.processes.items()}

    def after(self, strike: Strike) -> str:
        """The others go on, one of them leads; a new one joins in place of a dead one."""
        if strike.deadly:
            with self._changing:
                made, _ = self.processes.pop(strike.victim), self.urls.pop(strike.victim)
            made.wait(LIMIT)
            self.ended[strike.victim] = time.time()
            _close(made)
        now = time.time()
        for name in self.victims():
            until(lambda name=name: self._last(name) > now, f"{name} hears no samples any more")
        if not strike.deadly:
            return "time stood still for all while it led, then went on"
        self._one_more()
        return "another leads; its recording holds what was heard"

    def stop(self) -> None:
        """Let all end by themselves."""
        for name, made in self.processes.items():
            made.stdin.close()
            made.wait(LIMIT)
            self.ended[name] = float("inf")
            _close(made)

    def finish(self) -> None:
        """Every recording holds what its watcher had heard, but for the last moments before a kill."""
        for name, ended in self.ended.items():
            place = next(
                path for path in (self.folder / f"{name}.parquet", self.folder / f"{name}.recording") if path.exists()
            )
            kept = Recording.open(place).history().times
            sure = [time for time in self._heard(name) if time < ended - EVERY - SLACK]
            lost = [time for time in sure if abs(kept - time).min(initial=9.0) > 0.002]
            if lost:
                when = f"the first {ended - lost[0]:.1f} s before its end"
                raise Broken(f"{place.name} lost {len(lost)} of {len(sure)} samples, {when}")
            self.seen["samples kept"] += len(kept)

    def _heard(self, name: str) -> list[float]:
        path = self.folder / f"{name}.acks"
        return [float(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def _last(self, name: str) -> float:
        return max(self._heard(name), default=0.0)


class Scraper(Part):
    """The sampler that follows all announced endpoints: one that hangs or dies never holds it up."""

    name = "scraper"
    late = 15.0  # seconds by which its newest sample may be old: each endpoint may take 0.8 s, and the machine is busy

    def start(self) -> None:
        """Watch whatever is announced."""
        self.sampler = watch(EndpointsSource(PrometheusSource), period=1.0)
        self.sampler.first(LIMIT)

    def work(self) -> None:
        """Look whether time goes on."""
        time.sleep(0.5)
        latest = self.sampler.latest
        age = time.time() - latest.time if latest else 0.0
        self.seen["right"] += 1
        if age > self.late:
            raise Broken(f"its newest sample is {age:.0f} s old")

    def victims(self) -> dict[str, psutil.Process]:
        """None of its own: it lives in this process."""
        return {}

    def stop(self) -> None:
        """End the sampler."""
        self.sampler.close()


def _close(made: subprocess.Popen) -> None:
    for pipe in (made.stdin, made.stdout):
        if pipe:
            pipe.close()
