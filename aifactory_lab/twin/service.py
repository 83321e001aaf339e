"""What a plant is asked to do: a model, its requests, how fast they must be answered; and its cut into replicas.

Lengths are means; bursts and the traffic of a day are `operations`' to say.

>>> service = Service(model="llama-3-70b", precision="fp8", requests_per_second=40, ttft_ms=2000, tpot_ms=50)
>>> from aifactory_lab.twin.plant import Plant
>>> replicas(Plant(gpus=64, chassis="dgx-h100"), service).tp
2
"""

from dataclasses import dataclass, field

import numpy as np

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import inference
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.shape import Model

SEQUENCES = 256  # decoded together at most: `serving.SEQUENCES`, which is dear to import
ROOM = 16  # requests that a replica of our choice has room for: where weights fill the memory, batches stay dear


@dataclass(frozen=True, kw_only=True)
class Service:
    """A language model in service, and what is asked of it.

    Attributes
    ----------
    model, precision, engine
        See `inference.predict`.
    tp
        GPUs of a replica; None for as few as hold the model with `ROOM` requests, and keep the SLO with one
        (`replicas`).
    isl, osl
        Tokens of a prompt and of an answer, on average.
    requests_per_second
        Asked of the whole plant. None: as many as it can answer within the SLO.
    concurrency
        Requests in a replica at any time, given in place of a rate (a closed loop).
    sequences
        Decoded together in a replica at most: vLLM's ``--max-num-seqs``.
    ttft_ms, tpot_ms
        The service level objective, in milliseconds; None for none.
    training_gpus
        GPUs of the plant that train meanwhile.

    Raises
    ------
    TwinError
        If a figure cannot be; it names the value.
    """

    model: Model | str = "llama-3-70b"
    precision: str = "fp8"
    engine: str = "vllm"
    tp: int | None = None
    isl: float = 1024
    osl: float = 256
    requests_per_second: float | None = None
    concurrency: float | None = None
    sequences: int = SEQUENCES
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    training_gpus: int = 0
    shape: Model = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        positive = ("tp", "isl", "osl", "requests_per_second", "concurrency", "sequences", "ttft_ms", "tpot_ms")
        examples = {"tp": 8, "requests_per_second": 100, "concurrency": 32, "sequences": 256, "tpot_ms": 50}
        for name in positive:
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                msg = f"{name}={value!r} must be positive"
                raise TwinError(msg, mend=f"{name}={examples.get(name, 1024)}")
        if self.training_gpus < 0:
            msg = f"training_gpus={self.training_gpus!r} must be 0 or more"
            raise TwinError(msg, mend="training_gpus=0")
        if self.concurrency is not None and (self.requests_per_second is not None or self.concurrency < 1):
            msg = f"concurrency={self.concurrency!r} with requests_per_second={self.requests_per_second!r} cannot be:"
            msg += " a closed loop has a concurrency of 1 or more, an open one a rate"
            raise TwinError(msg, mend="concurrency=32, or requests_per_second=100")
        object.__setattr__(self, "shape", inference.known(self.model, "h100-sxm")[0])

    @property
    def context(self) -> float:
        """Tokens behind a sequence while it is decoded, on average."""
        return self.isl + self.osl / 2


@dataclass(frozen=True)
class Replicas:
    """How a plant's GPUs are shared out.

    Attributes
    ----------
    tp, reason
        GPUs of a replica, and why so many.
    count
        Replicas.
    serving_gpus, training_gpus, idle_gpus
        All GPUs of the plant: idle are those that no replica fits into.
    """

    tp: int
    reason: str
    count: int
    serving_gpus: int
    training_gpus: int
    idle_gpus: int


def replicas(plant: Plant, service: Service) -> Replicas:
    """Share out a plant's GPUs: training takes whole chassis first, then every other chassis holds its replicas.

    Raises
    ------
    TwinError
        If the model fits no chassis, the replica is larger than one, or training leaves none.
    """
    each = plant.gpus_per_chassis
    tp, reason = (service.tp, "as asked") if service.tp else _smallest(plant, service)
    if tp > each:
        msg = f"tp={tp} GPUs do not share a {plant.chassis}'s NVLink domain of {each}"
        raise TwinError(msg, mend=f"tp={each}")
    left = plant.chassis_count - -(-service.training_gpus // each)
    if left < 1:
        msg = f"training_gpus={service.training_gpus} leave none of gpus={plant.gpus} whole {plant.chassis} to serve"
        raise TwinError(msg, mend=f"training_gpus={max(0, plant.gpus - each)}")
    count = left * (each // tp)
    serving = count * tp
    return Replicas(tp, reason, count, serving, service.training_gpus, plant.gpus - serving - service.training_gpus)


def sizes(plant: Plant) -> tuple[int, ...]:
    """Return the sizes of a replica to choose from: powers of two in a chassis, and the chassis; 1 without links."""
    each, gpu = plant.gpus_per_chassis, plant.gpu
    if not (gpu.nvlink_bytes_s_per_direction or gpu.pcie_bytes_s_per_direction):
        return (1,)
    found = [2**power for power in range(each.bit_length()) if 2**power <= each]
    return (*found, each) if found[-1] != each else tuple(found)


def _smallest(plant: Plant, service: Service) -> tuple[int, str]:
    """Return the fewest GPUs that hold the model with room for requests and keep the SLO with one."""
    choice, shape = np.array(sizes(plant), np.float64), service.shape
    room = min(ROOM, service.sequences, service.concurrency or ROOM)
    many, alone = (
        inference.predict(
            shape, plant.gpu, tp=choice, isl=service.isl, osl=service.osl, concurrency=requests,
            precision=service.precision, engine=service.engine,
        )
        for requests in (room, 1)
    )  # fmt: skip
    held = many.batch
    fits = held >= room if (held >= room).any() else held >= 1
    kept = fits & within(service, alone)
    said = f"as few as hold {shape.name} in {service.precision} and {np.max(held[fits]):.0f} requests"
    if not kept.any():
        asked = f"TTFT of {service.ttft_ms} ms and a TPOT of {service.tpot_ms} ms"
        return int(choice[np.argmax(fits)]), f"{said}; no size keeps a {asked}"
    more = " and keep the SLO with one request" if np.argmax(kept) > np.argmax(fits) else ""
    return int(choice[np.argmax(kept)]), said + more


def within(service: Service, found: inference.Prediction) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Tell where a prediction keeps the service's SLO."""
    kept = np.isfinite(found.tpot)
    for value, limit in ((found.ttft, service.ttft_ms), (found.tpot, service.tpot_ms)):
        if limit is not None:
            kept = kept & (value * 1e3 <= limit)
    return kept
