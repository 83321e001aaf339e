"""One server in the twin's terms: what its steps cost, and what a steady load or a trace would see of it.

The form is the twin's own (`twin.step_costs`, `twin.serving`): a step has a constant part, a part a sequence and a part
a token of context; a prompt a part a token and a part a pair of tokens. Where the figures are from is not known here.

>>> from aifactory_lab.twin import models
>>> figures = dict.fromkeys(FIGURES, 0.0) | {"step_seconds": 0.01, "sequence_seconds": 0.001, "prefill_seconds": 1e-4}
>>> found = Replica.of(models.model("llama-3-8b"), figures).steady(isl=100, osl=11, concurrency=1)
>>> round(float(found.tpot), 6), round(float(found.ttft), 6)
(0.011, 0.01)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.twin import step_costs
from aifactory_lab.twin.parts import Gpu
from aifactory_lab.twin.shape import Model
from aifactory_lab.twin.step_costs import Costs, Parameters
from aifactory_lab.twin.traces import Trace

if TYPE_CHECKING:
    from aifactory_lab.twin.serving import Served, Steps

Numbers = NDArray[np.float64]
FIGURES = {
    "step_seconds": "of every step, whoever is in it",
    "sequence_seconds": "of a step, for each sequence in it",
    "context_seconds": "of a step, for each token of context of each sequence",
    "prefill_seconds": "for each token of a prompt",
    "attention_seconds": "for each token of a prompt and token before it",
    "first_token_seconds": "before the first token, whatever the prompt",
    "wave": "share of the others' prompts that is waited for before the first token; the rest falls between tokens",
}


LEAST = 1e-12  # seconds of a stay: no figure is a division by nothing


class Steady(NamedTuple):
    """A steady load: mean seconds to the first token and from token to token, and tokens per second of all."""

    ttft: Numbers
    tpot: Numbers
    tokens_per_second: Numbers


@dataclass(frozen=True)
class Replica:
    """A server that computes one model.

    Attributes
    ----------
    costs
        Of its steps; figures may be arrays, for several servers at once.
    first
        Seconds before every first token that its work does not explain.
    slots
        Sequences decoded together at most.
    """

    costs: Costs
    first: NDArray[np.float64] | float = 0.0
    slots: int = 8

    @classmethod
    def of(cls, model: Model, figures: Mapping[str, ArrayLike], *, slots: int = 8) -> Self:
        """Return a server of these `FIGURES`, in seconds (numbers or arrays); memory is no limit."""
        given = {name: np.asarray(figures[name], np.float64) for name in FIGURES}
        shell = step_costs.of(model, _UNLIMITED, parameters=Parameters(1.0, 1.0, 1.0))
        nothing = np.zeros(())
        costs = replace(
            shell,
            always_seconds=nothing,
            experts_seconds=nothing,
            expert_share=0.0,
            window_seconds=nothing,
            window=0,
            compute_seconds=nothing,
            link_seconds=nothing,
            overhead_seconds=given["step_seconds"],
            sequence_seconds=given["sequence_seconds"],
            context_seconds=given["context_seconds"],
            prefill_seconds=given["prefill_seconds"],
            attention_seconds=given["attention_seconds"],
            wave=given["wave"],  # type: ignore[arg-type]
            share=1 - given["wave"],  # type: ignore[arg-type]
        )
        return cls(costs, given["first_token_seconds"], slots)

    def steady(self, *, isl: ArrayLike, osl: ArrayLike, concurrency: ArrayLike) -> Steady:
        """Return what a closed loop sees: so many requests at any time, each of so many tokens.

        A request's prompt, which ends with its first token as in `serving.simulate`; its steps; and the others'
        prompts, of which `wave` is waited for before the first token and the rest falls between tokens. Beyond the
        slots they queue.
        """
        prompt, answer, asked = (np.asarray(one, np.float64) for one in (isl, osl, concurrency))
        batch = np.minimum(asked, self.slots)
        step, prefill = self.costs.step(batch, prompt + answer / 2), self.costs.prefill(prompt)
        others = (batch - 1) * prefill
        tpot = step + self.costs.share * others / np.maximum(answer - 1, 1)
        served = self.first + prefill + self.costs.wave * others
        stay = np.maximum(served + (answer - 1) * tpot, LEAST)
        ttft = served + (asked - batch) * stay / batch
        return Steady(*np.broadcast_arrays(ttft, tpot, batch * answer / stay))

    def steps(self) -> "Steps":
        """Return its steps for the simulation."""
        from aifactory_lab.twin.serving import Steps  # numba takes a second to import

        return Steps.of(self.costs, most=self.slots, first=float(self.first))

    def replay(self, trace: Trace) -> "Served":
        """Simulate a trace, request by request."""
        from aifactory_lab.twin import serving

        return serving.simulate(trace, self.steps())


_UNLIMITED = Gpu(
    name="unlimited",
    title="no data sheet: what is fitted replaces it",
    memory_bytes=1e18,
    memory_bandwidth_bytes_s=1.0,
    flops_dense={"bf16": 1.0},
    tdp_watts=1.0,
)
