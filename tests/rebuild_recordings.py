"""`python -m tests.rebuild_recordings`: make the recordings of `datasets/recordings/` again.

`decision_line` and `decision_line_3x` are measured: this machine while it runs the decision line on one and on three
copies of the records. `eight_gpus` is simulated: the real `nvml` source on the compiled stand-in for NVIDIA's
driver, whose GPUs warm up, throttle, fall off the bus and come back as the scenario below says; every layout in it is
labelled so. Four minutes of recording take four minutes.
"""

import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aifactory_lab import line
from aifactory_lab.measure import Meter
from aifactory_lab.telemetry import HostSource, record, watch
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import Layout, Snapshot
from tests.telemetry.driver import FakeDriver, unload

HERE = Path(__file__).parents[1] / "datasets" / "recordings"
LABEL = "H100s on a stand-in driver"
NODE = ("lab", "rack 1", "node 1")
HOT, LOST, SPLIT = 5, 3, 7
STEP = 0.1


@dataclass(frozen=True)
class Shift:
    """One station's shift on the simulated GPUs: how long, how busy, how much memory, what it makes a second."""

    station: str
    unit: str
    seconds: float
    busy: float
    memory: float
    rate: int


SHIFTS = (
    Shift("etl", "rows", 40.0, busy=62.0, memory=38e9, rate=41_000_000),
    Shift("train", "rows", 80.0, busy=96.0, memory=61e9, rate=6_200_000),
    Shift("serve", "predictions", 50.0, busy=45.0, memory=22e9, rate=9_500_000),
)
REST_SECONDS = 12.0


class Labelled(NvmlSource):
    """The real source, whose layouts say that its driver is a stand-in, on a node of a lab."""

    _shown: tuple[Layout, Layout] | None = None

    def open(self) -> Layout:
        return self._labelled(super().open())

    def sample(self) -> Snapshot:
        snapshot = super().sample()
        return replace(snapshot, layout=self._labelled(snapshot.layout))

    def _labelled(self, layout: Layout) -> Layout:
        if layout.origin == "simulated":
            return layout
        if self._shown is None or self._shown[0] is not layout:
            moved = tuple(replace(entity, path=(*NODE, *entity.path[3:])) for entity in layout.entities)
            self._shown = layout, replace(layout, entities=moved, origin="simulated", label=LABEL)
        return self._shown[1]


class Scenario:
    """Eight GPUs with heat capacity: power follows load, temperature follows power, energy counts."""

    def __init__(self, driver: FakeDriver) -> None:
        self.driver, self.shift, self.began = driver, None, 0.0
        self.done = threading.Event()
        self._random = np.random.default_rng(20261124)
        self._busy, self._power, self._heat = np.zeros(8), np.full(8, 70.0), np.full(8, 33.0)
        driver.split(SPLIT, 2)

    def run(self) -> None:
        while not self.done.wait(STEP):
            self._step()

    def _step(self) -> None:
        shift, gpus = self.shift, self.driver.all
        goal = np.full(8, shift.busy if shift else 0.0)
        goal[:4] *= 1.0 if not shift or shift.station != "serve" else 1.6  # half of the fleet serves most
        noise = self._random.normal(0, 2.5, 8) if shift else 0.0
        self._busy = np.clip(self._busy + 0.25 * (goal - self._busy) + noise, 0, 100)
        throttled = self._heat > 87
        self._power += 0.2 * (70 + 6.1 * self._busy * np.where(throttled, 0.7, 1.0) - self._power)
        cooling = np.where(np.arange(8) == HOT, 0.104, 0.078)  # one stands in the warm corner
        self._heat += STEP / 6 * (26 + cooling * self._power - self._heat)
        clock = np.where(throttled, 1_410, np.where(self._busy > 5, 1_980, 345))
        gpus.update(
            busy=np.rint(self._busy),
            memory_busy=np.rint(0.6 * self._busy),
            power_mw=1e3 * self._power,
            temperature=np.rint(self._heat),
            memory_temperature=np.rint(self._heat + 6),
            sm_mhz=clock,
            memory_used=(shift.memory if shift else 0.6e9) * np.linspace(0.97, 1.03, 8),
            throttle=np.where(throttled, 0x20, np.where(self._busy > 5, 0, 1)),
        )
        gpus["energy_mj"] += 1e3 * self._power * STEP
        for name, rate in (("pcie_rx", 11e9), ("pcie_tx", 4e9)):
            gpus[name] += rate * self._busy / 100 * STEP
        for name in ("nvlink_rx_kib", "nvlink_tx_kib"):
            gpus[name] += (240e9 if shift and shift.station == "train" else 2e9) / 1024 * self._busy / 100 * STEP
        self._incident(shift)

    def _incident(self, shift: Shift | None) -> None:
        """Lose a GPU 30 s into the training, and bring it back 15 s later."""
        age = time.monotonic() - self.began if shift and shift.station == "train" else 0.0
        lost = self.driver.gpu(LOST)["rc"] != 0
        if 30 <= age < 45 and not lost:
            self.driver.lose(LOST)
        elif lost and not 30 <= age < 45:
            self.driver.restore(LOST)

    def work(self, shift: Shift) -> None:
        """Let a station work, metered as any station is."""
        with Meter(shift.station, unit=shift.unit) as meter:
            self.began, self.shift = time.monotonic(), shift
            for _ in range(int(shift.seconds)):
                time.sleep(1.0)
                meter.progress(shift.rate)
                meter.count(shift.rate)
            self.shift = None


def eight_gpus(seconds_of_rest: float = REST_SECONDS) -> None:
    """Record the scenario."""
    scenario = Scenario(driver := FakeDriver(Path(tempfile.mkdtemp()), 8))
    driver.preload()
    thread = threading.Thread(target=scenario.run, daemon=True)
    thread.start()
    with watch(Labelled(), period=1.0) as sampler, record(sampler, HERE / "eight_gpus", overwrite=True):
        time.sleep(seconds_of_rest)
        for shift in SHIFTS:
            scenario.work(shift)
            time.sleep(seconds_of_rest)
    scenario.done.set()
    thread.join()
    unload()


def decision_line(name: str, copies: int) -> None:
    """Record this machine while it runs the line in a fresh workspace."""
    with (
        tempfile.TemporaryDirectory() as folder,
        watch(HostSource(), period=0.5) as sampler,
        record(sampler, HERE / name, overwrite=True),
    ):
        time.sleep(3.0)
        line.run(folder, copies=copies, say=None)
        time.sleep(3.0)


def main(words: list[str]) -> None:
    """Make the recordings named, or all."""
    jobs = {
        "decision_line": lambda: decision_line("decision_line", 1),
        "decision_line_3x": lambda: decision_line("decision_line_3x", 3),
        "eight_gpus": eight_gpus,
    }
    for name in words or jobs:
        print(f"recording {name}", flush=True)
        jobs[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
