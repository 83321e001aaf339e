"""What answering costs: questions, with so many tried answers each, become GPUs, watts and a price per correct answer.

`twin.inference` says what a replica writes, by how many requests it holds at once; of the loads that keep to the wished
latency the one with most tokens per GPU is taken. All answers to a question have the question's prompt, and are taken
to read it each for itself: a prefix cache would save that. How accurate n answers are is `test_time`'s to say.

>>> one = demand("llama-3-8b", questions_per_second=100, answers=1)
>>> many = demand("llama-3-8b", questions_per_second=100, answers=16)
>>> many.gpus / one.gpus > 12, one.tp
(True, 1)
"""

import math
from dataclasses import dataclass

import numpy as np

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import climate, cost, inference, power, site, step_costs
from aifactory_lab.twin.activity import activity
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.shape import Model

CONCURRENCY = np.unique(np.geomspace(1, 512, 37).round())
TP = (1, 2, 4, 8, 16, 32, 64)
TPOT_MS = 50.0  # twenty tokens a second, faster than people read: an assumption


@dataclass(frozen=True)
class Demand:
    """GPUs for a stream of questions, and what they cost.

    Attributes
    ----------
    questions_per_second, answers
        The stream, and how many answers are tried for each question.
    tp, concurrency, replicas
        GPUs of a replica, requests that it holds at any time, and how many replicas there are.
    plant
        Whole chassis that hold them.
    tokens_per_second
        That the replicas could write.
    tpot_ms
        Milliseconds from token to token.
    watts
        Of the plant, cooling included.
    bill
        Of a million tokens written.
    tokens_per_question
        Written: answers × tokens of an answer.
    """

    questions_per_second: float
    answers: int
    tp: int
    concurrency: float
    replicas: int
    plant: Plant
    tokens_per_second: float
    tpot_ms: float
    watts: float
    bill: cost.Bill
    tokens_per_question: float

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.tp * self.replicas

    @property
    def dollars_per_question(self) -> cost.Range:
        """USD: low, usual, high."""
        low, usual, high = (one * self.tokens_per_question / 1e6 for one in self.bill.dollars)
        return low, usual, high

    @property
    def joules_per_question(self) -> float:
        """Energy from the grid, the whole plant's over the questions asked."""
        return self.watts / self.questions_per_second

    def dollars_per_correct(self, accuracy: float) -> cost.Range:
        """Return USD for a correct answer, where so many of the questions come out right, 0 to 1.

        Raises
        ------
        TwinError
            If the accuracy is not a share above 0.
        """
        if not 0 < accuracy <= 1:
            msg = f"accuracy={accuracy!r} is not a share above 0: nothing correct has no price"
            raise TwinError(msg, mend="accuracy=0.5")
        low, usual, high = (one / accuracy for one in self.dollars_per_question)
        return low, usual, high


def demand(
    model: Model | str,
    chassis: str = "dgx-h100",
    *,
    questions_per_second: float,
    answers: int = 1,
    isl: float = 512,
    osl: float = 512,
    tp: int | None = None,
    precision: str = "fp8",
    tpot_ms: float = TPOT_MS,
    air: Climate | None = None,
) -> Demand:
    """Return the GPUs that a stream of questions asks for.

    Parameters
    ----------
    model, chassis
        What answers, and what its GPUs come in: `twin.plant.chassis`.
    questions_per_second, answers
        The stream, and how many answers are tried for each question.
    isl, osl
        Tokens of a question and of one answer.
    tp
        GPUs of a replica; by default those that write most tokens each and keep the latency.
    precision
        See `twin.step_costs.of`.
    tpot_ms
        Most milliseconds from token to token.
    air
        Outside; by default 20 °C at 60 % humidity.

    Raises
    ------
    TwinError
        If a figure is not positive, the model does not fit, or no load keeps to the latency.
    """
    for name, value in {"questions_per_second": questions_per_second, "answers": answers, "tpot_ms": tpot_ms}.items():
        if not (math.isfinite(value) and value > 0):
            msg = f"{name}={value!r} must be positive"
            raise TwinError(msg, mend=f"{name}=1")
    one = Plant.about(1, chassis)
    found, _ = inference.known(model, one.gpu)
    group, load, writes, tpot = _best(found, one, tp, isl, osl, precision, tpot_ms)
    replicas = math.ceil(questions_per_second * answers * osl / writes)
    plant = Plant.about(group * replicas, chassis)
    costs = step_costs.of(found, plant.gpu, tp=group, precision=precision, parameters=inference.fitted().parameters)
    gpus_watts = group * replicas * float(activity(costs, load, isl + osl / 2).watts(plant.gpu))
    idle = (plant.gpus - group * replicas) * power.idle_watts(plant.gpu)
    dry, wet = (float(one.mean()) for one in (air or climate.steady(20, humidity=0.6)).at(np.arange(24) * 3600.0))
    drawn = site.site(plant, gpus_watts + idle, dry_celsius=dry, wet_celsius=wet)
    bill = cost.per_mtoken(
        tokens_per_second=questions_per_second * answers * osl,
        gpus=plant.gpus,
        it_watts=float(drawn.it_watts),
        pue=float(drawn.pue),
        water_kg_s=float(drawn.cooled.water_kg_s),
        assume={"utilisation": 1.0},  # the stream is what is asked, not what could be
    )
    return Demand(
        questions_per_second,
        answers,
        group,
        load,
        replicas,
        plant,
        replicas * writes,
        tpot * 1000,
        float(drawn.watts),
        bill,
        answers * osl,
    )


def _best(
    model: Model, plant: Plant, tp: int | None, isl: float, osl: float, precision: str, tpot_ms: float
) -> tuple[int, float, float, float]:
    """Return the GPUs of a replica, its requests, its tokens per second, and its seconds from token to token."""
    fastest, found = math.inf, [(0.0, 0, 0.0, 0.0, 0.0)]
    refused: TwinError | None = None
    for group in (tp,) if tp else [size for size in TP if size <= plant.gpus_per_chassis]:
        try:
            said = inference.predict(
                model, plant.gpu, tp=group, isl=isl, osl=osl, concurrency=CONCURRENCY, precision=precision
            )
        except TwinError as error:
            refused = error
            continue
        fastest = min(fastest, float(said.tpot.min()) * 1000)
        # More requests than the memory holds wait outside: they write no token more.
        good = (said.tpot * 1000 <= tpot_ms) & (said.batch >= CONCURRENCY)
        at = int(np.argmax(np.where(good, said.tokens_per_second, 0.0)))
        if good[at]:
            writes = float(said.tokens_per_second[at])
            found.append((writes / group, group, float(said.batch[at]), writes, float(said.tpot[at])))
    _, group, load, writes, tpot = max(found)
    if group:
        return group, load, writes, tpot
    if refused is not None and fastest == math.inf:
        raise refused
    msg = f"{model.name} on {plant.gpu.name} writes a token in {fastest:.3g} ms at best, not in {tpot_ms:g}"
    raise TwinError(msg, mend=f"tpot_ms={math.ceil(fastest * 1.2)}")
