"""The links of this machine's GPUs, measured in a process of its own.

A process that has opened CUDA must not fork, and a driver may take down whoever asks it: so this module is its own
program, which prints its links as JSON. What is copied is `copies`', what is promised `promises`' business.

>>> from aifactory_lab import device
>>> measure(device.Device("cpu", "no CUDA driver")).notes
('GPU links: not yet measured (no CUDA driver)',)
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator

from aifactory_lab import device
from aifactory_lab.links import copies
from aifactory_lab.links.found import Part
from aifactory_lab.links.link import Link

SIZE = 256 << 20  # bytes of a copy: 4 ms on PCIe 5, half a millisecond on C2C
SECONDS = 600  # that the program may take: 8 GPUs have 88 links
ANSWER = "aifactory-lab links: "  # how the line begins that the program prints; a driver may print others


def measure(chosen: device.Device, *, size: int = SIZE, passes: int = 5) -> Part:
    """Measure every link of the GPUs that were found, or say why there is none.

    Parameters
    ----------
    chosen
        From `device.current(needs=())`.
    size, passes
        Bytes of a copy, and how many are timed.
    """
    if chosen.kind == "cpu":
        return Part(notes=(f"GPU links: not yet measured ({chosen.reason})",))
    command = [sys.executable, "-m", "aifactory_lab.links.gpus", *map(str, (len(chosen.gpus), size, passes))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Part(notes=(f"the GPUs' links could not be measured: the driver did not answer within {SECONDS} s",))
    answer = next((line for line in done.stdout.splitlines() if line.startswith(ANSWER)), None)
    if done.returncode or answer is None:
        told = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        return Part(notes=(f"the GPUs' links could not be measured: {told[0]}",))
    return Part(tuple(Link.from_dict(each) for each in json.loads(answer[len(ANSWER) :])))


def every(count: int, *, size: int, passes: int) -> Iterator[Link]:
    """Yield every link of so many GPUs, with its promise; for a process that forks no more.

    NVML is asked after each copy, while the GPU is still awake: at rest its PCIe link runs at a low generation.
    """
    from aifactory_lab.links.cuda import Driver
    from aifactory_lab.links.promises import open_nvml

    driver = Driver.open()
    gpus = [driver.gpu(index) for index in range(count)]
    with open_nvml() as nvml:
        for gpu in gpus:
            for link in copies.host(driver, gpu, size=size, passes=passes):
                told = nvml.host(gpu.bus)
                yield link.against(told.promise, told.reason)
        for gpu, other in itertools.permutations(gpus, 2):
            link = copies.pair(driver, gpu, other, size=size, passes=passes)
            told = nvml.pair(gpu.bus, other.bus)
            yield link.against(told.promise, told.reason)


if __name__ == "__main__":
    gpus, size, passes = map(int, sys.argv[1:])
    found = [link.to_dict() for link in every(gpus, size=size, passes=passes)]
    sys.stdout.write(f"\n{ANSWER}{json.dumps(found)}\n")
