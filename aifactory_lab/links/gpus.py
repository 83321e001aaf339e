"""The links of this machine's GPUs, measured in a process of its own, `survey`.

A process that has opened CUDA must not fork, and a driver may take down whoever asks it. What is measured is `survey`'s
business; here its answer is read, or the reason why there is none.

>>> from aifactory_lab import device
>>> measure(device.Device("cpu", "no CUDA driver")).notes
('GPU links: not yet measured (no CUDA driver)',)
"""

import json
import subprocess
import sys

from aifactory_lab import device
from aifactory_lab.links.found import Part
from aifactory_lab.links.link import Link

SIZE = 256 << 20  # bytes of a copy: 4 ms on PCIe 5, half a millisecond on C2C
SECONDS = 600  # that the program may take: 8 GPUs have 88 links
ANSWER = "aifactory-lab links: "  # how the line begins that `survey` prints; a driver may print others


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
    command = [sys.executable, "-m", "aifactory_lab.links.survey", *map(str, (len(chosen.gpus), size, passes))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Part(notes=(f"GPU links: could not be measured: the driver did not answer within {SECONDS} s",))
    answer = next((line[len(ANSWER) :] for line in done.stdout.splitlines() if line.startswith(ANSWER)), "")
    if done.returncode or not answer:
        told = done.stderr.strip().splitlines()[-1:] or [device.ending(done.returncode)]
        return Part(notes=(f"GPU links: could not be measured: {told[0]}",))
    found = json.loads(answer)
    notes = (f"GPU links: could not be measured: {found['error']}",) if found["error"] else ()
    return Part(tuple(map(Link.from_dict, found["links"])), notes)
