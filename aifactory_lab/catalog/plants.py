"""Plants in the catalogue: what GPUs come in, each as a plant that the digital twin reckons through.

The figures and their sources stand in the twin's catalogue of hardware; running one asks how much a plant of about a
thousand of its GPUs could serve within an objective, and at what cost.

>>> [entry.name for entry in twins()][-1]
'gb300-nvl72'
"""

from collections.abc import Iterator

import polars as pl

from aifactory_lab import twin_report
from aifactory_lab.catalog.entry import Entry, Order, Ran
from aifactory_lab.twin import hardware
from aifactory_lab.twin.plant import Plant, chassis

GPUS = 1008  # whole chassis of 8 and of 72
OBJECTIVE = {"isl": 1024, "osl": 256, "ttft_ms": 2000, "tpot_ms": 50}


def twins() -> Iterator[Entry]:
    """Yield the nodes and racks of the hardware catalogue."""
    asked = ", ".join(f"{name}={value}" for name, value in OBJECTIVE.items())
    for name in (*hardware.names("node"), *hardware.names("rack")):
        part = chassis(name)
        yield Entry(
            "twins",
            name,
            f"a plant of such chassis, {part.gpus:.0f} × {hardware.gpu(part.gpu).title} in each",
            needs="nothing more: no GPU is there, and none is needed",
            command=f"aifactory twin design --chassis {name}",
            python="from aifactory_lab.twin.design import Service, evaluate; "
            "from aifactory_lab.twin.plant import Plant; "
            f"evaluate(Plant.about({GPUS}, {name!r}), Service({asked}))",
            source="aifactory_lab/twin/data/hardware.toml, each figure with its own",
        )


def reckon(entry: Entry, order: Order) -> Ran:  # noqa: ARG001 - a design is quick, and keeps nothing
    """Reckon a plant of these through."""
    from aifactory_lab.twin.design import Service, evaluate

    plant = Plant.about(GPUS, entry.name)
    found = evaluate(plant, Service(**OBJECTIVE))  # type: ignore[arg-type]  # mypy cannot see the keys
    told = twin_report.figures(found)
    frame = pl.DataFrame([dict(zip(told.columns, row, strict=True)) for row in told.rows])
    words = (
        f"{plant.gpus:,} GPUs serve llama-3-70b within {OBJECTIVE['ttft_ms']} ms and {OBJECTIVE['tpot_ms']} ms a token"
    )
    return Ran(entry, words, frame, found)
