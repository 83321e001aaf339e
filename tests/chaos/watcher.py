"""A dashboard's process without its page: it shares the host's sampler, records it, and exports it.

It writes into ``<name>.acks`` when each sample was taken that it has heard, so that one can tell what a recording must
hold; on its first line it says where it exports.
"""

import sys
from pathlib import Path

from aifactory_lab.telemetry import HostSource, Shared, export, record, watch

PERIOD, EVERY = 0.25, 0.5  # seconds between samples, and between two writes of the recording


def main(folder: Path, name: str) -> None:
    """Watch until standard input closes."""
    heard = (folder / f"{name}.acks").open("a", buffering=1)
    sampler = watch(Shared(HostSource(), folder / "run"), period=PERIOD)
    with sampler, record(sampler, folder / name, every=EVERY), export(port=0, samplers=[sampler]) as exporter:
        end = sampler.subscribe(lambda _, snapshot: heard.write(f"{snapshot.time:.3f}\n"))  # after the recorder
        print(exporter.url, flush=True)
        sys.stdin.read()
        end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
