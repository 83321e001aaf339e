"""How weights move: Muon for matrices, AdamW for the rest, on float32 masters of a model that computes in bfloat16.

A bfloat16 weight has 8 bits of precision, so a small step would be rounded away: the steps are taken on float32 copies
("master weights", Micikevicius et al. 2017, arXiv 1710.03740) and copied back. This module does not know data.

>>> from aifactory_lab.lm.model import Llama, shape
>>> model = Llama(shape(depth=1, vocabulary=64)).bfloat16()
>>> moves = Optimiser(model, Rates())
>>> model.loss(torch.zeros((1, 8), dtype=torch.long), torch.ones((1, 8), dtype=torch.long)).backward()
>>> moves.step(Schedule().factor(step=0, steps=100)) > 0
True
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aifactory_lab.errors import ModelError

NEWTON_SCHULZ = 5
BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class Rates:
    """How far a step goes.

    Attributes
    ----------
    matrices, rest
        Learning rates of Muon and of AdamW. Muon's is scaled to steps as large as AdamW's (Liu et al. 2025, arXiv
        2502.16982, "match_rms_adamw"); the table of tokens wants larger ones, for most of its rows seldom move. After
        250,000 tokens of the standard library, matrices at 0.005: 2.16 bits per byte with the rest at 0.01, 2.11 at
        0.02, 2.09 at 0.04.
    momentum
        Of Muon.
    decay
        Decoupled weight decay of the matrices.
    newton_schulz
        Iterations that make a step orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).
    """

    matrices: float = 5e-3
    rest: float = 3e-2
    momentum: float = 0.95
    decay: float = 0.1
    newton_schulz: int = NEWTON_SCHULZ


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a run: up in a straight line, flat, down in a straight line to zero.

    Attributes
    ----------
    warm
        Share of the steps that rise.
    flat
        Share after which it falls.
    """

    warm: float = 0.04
    flat: float = 0.5

    def factor(self, step: int, steps: int) -> float:
        """Return what the rates are multiplied with at a step (from 0) of so many: in (0, 1]."""
        rise = (step + 1) / max(1.0, self.warm * steps)
        fall = (steps - step) / max(1.0, (1 - self.flat) * steps)
        return min(1.0, rise, fall)


class Optimiser:
    """The masters of a model's weights, and the two optimisers that move them.

    Parameters
    ----------
    model
        Its gradients are taken and its weights are set; in float32 it is its own master.
    rates
        How far a step goes at factor 1.
    """

    def __init__(self, model: nn.Module, rates: Rates) -> None:
        self.live = dict(model.named_parameters())
        self.masters = {name: _master(weight) for name, weight in self.live.items()}
        matrices = [weight for name, weight in self.masters.items() if is_matrix(name, weight)]
        rest = [weight for name, weight in self.masters.items() if not is_matrix(name, weight)]
        if not matrices or not rest:
            msg = f"a model of {len(matrices)} matrices and {len(rest)} other weights: both kinds are needed"
            raise ModelError(msg, mend="lm.model.Llama(lm.model.shape(depth=4, vocabulary=2048))")
        self.muon = torch.optim.Muon(
            matrices,
            lr=rates.matrices,
            momentum=rates.momentum,
            weight_decay=rates.decay,
            ns_steps=rates.newton_schulz,
            adjust_lr_fn="match_rms_adamw",
        )
        # Neither norms nor the tied embedding are decayed: a rare token's row would fade between its sightings.
        self.adamw = torch.optim.AdamW(rest, lr=rates.rest, betas=BETAS, weight_decay=0.0, fused=True)
        self.rates = rates

    def step(self, factor: float) -> float:
        """Move the weights by the gradients that the model holds, and clear those.

        Parameters
        ----------
        factor
            Multiplies both rates: `Schedule.factor`.

        Returns
        -------
        float
            The matrices' learning rate that was used.
        """
        self._take_gradients()
        self._set_rates(factor)
        self.muon.step()  # type: ignore[no-untyped-call]
        self.adamw.step()
        for master in self.masters.values():
            master.grad = None
        self.publish()
        return self.rates.matrices * factor

    def publish(self) -> None:
        """Copy the masters into the model."""
        pairs = [(live, self.masters[name]) for name, live in self.live.items() if live is not self.masters[name]]
        with torch.no_grad():
            for live, master in pairs:
                live.copy_(master)

    def weights(self) -> dict[str, Tensor]:
        """Return the masters, float32, by the model's names."""
        return {name: master.detach() for name, master in self.masters.items()}

    def state(self) -> dict[str, Tensor]:
        """Return all that the next steps depend on, as named tensors: masters, momenta, counts."""
        found = {f"weight/{name}": master.detach() for name, master in self.masters.items()}
        for name, slot, value in self._slots():
            found[f"{slot}/{name}"] = value
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`.

        Raises
        ------
        ModelError
            If it is of another model or optimiser.
        """
        for name, master in self.masters.items():
            kept = state.get(f"weight/{name}")
            if kept is None or kept.shape != master.shape:
                msg = f"the training state has no weights {name} of shape {tuple(master.shape)}"
                raise ModelError(msg, mend="delete the training state and start afresh")
            with torch.no_grad():
                master.copy_(kept)
            self._restore(name, master, state)
        self.publish()

    def _restore(self, name: str, master: Tensor, state: Mapping[str, Tensor]) -> None:
        inner = self.muon if is_matrix(name, master) else self.adamw
        slots = {key.partition("/")[0]: value for key, value in state.items() if key.partition("/")[2] == name}
        slots.pop("weight")
        inner.state[master] = {slot: value.to(master.device).clone() for slot, value in slots.items()}

    def _slots(self) -> Iterator[tuple[str, str, Tensor]]:
        for name, master in self.masters.items():
            inner = self.muon if is_matrix(name, master) else self.adamw
            for slot, value in inner.state[master].items():
                yield name, slot, value

    def _take_gradients(self) -> None:
        for name, master in self.masters.items():
            live = self.live[name]
            if live.grad is not None:
                master.grad = live.grad.to(master.dtype)
            if live is not master:
                live.grad = None

    def _set_rates(self, factor: float) -> None:
        for inner, rate in ((self.muon, self.rates.matrices), (self.adamw, self.rates.rest)):
            for group in inner.param_groups:
                group["lr"] = rate * factor


def is_matrix(name: str, weight: Tensor) -> bool:
    """Return whether Muon moves it: a matrix between hidden values, not the table of tokens."""
    return weight.dim() == 2 and "embed" not in name


def _master(weight: nn.Parameter) -> nn.Parameter:
    return weight if weight.dtype == torch.float32 else nn.Parameter(weight.detach().float())
