"""The program that measures the links of GPUs: ``python -m aifactory_lab.links.survey GPUS BYTES PASSES``.

It prints them as JSON on a line of its own, for `gpus` to read, and what the driver refused altogether. What is copied
is `copies`', what is promised `promises`' business.

>>> answer([], error="no CUDA driver")
'{"links": [], "error": "no CUDA driver"}'
"""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator

from aifactory_lab.errors import FactoryError
from aifactory_lab.links import copies
from aifactory_lab.links.cuda import Driver
from aifactory_lab.links.gpus import ANSWER
from aifactory_lab.links.link import Link
from aifactory_lab.links.promises import open_nvml


def every(count: int, *, size: int, passes: int) -> Iterator[Link]:
    """Yield every link of so many GPUs, with its promise; this process must fork no more.

    NVML is asked after each copy, while the GPU is still awake: at rest its PCIe link runs at a low generation.

    Raises
    ------
    DeviceError
        If the driver does not start, or a GPU has no context.
    """
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


def answer(links: Iterable[Link], error: str = "") -> str:
    """Return what is printed."""
    return json.dumps({"links": [link.to_dict() for link in links], "error": error})


def main(words: list[str]) -> None:
    """Measure and print."""
    count, size, passes = map(int, words)
    try:
        told = answer(every(count, size=size, passes=passes))
    except FactoryError as error:
        told = answer([], error.what)
    sys.stdout.write(f"\n{ANSWER}{told}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
