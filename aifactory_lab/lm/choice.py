"""Which token next: the likeliest, or one drawn from those that a model believes in.

The random numbers are given, so the same numbers choose the same tokens, whatever else is computed beside them. This
module does not know models or text.

>>> logits = torch.tensor([[0.0, 2.0, 1.0]])
>>> choose(logits, torch.tensor([0.5]), temperature=0.0).tolist()
[1]
>>> choose(logits, torch.tensor([0.05]), temperature=1.0).tolist()
[0]
"""

import torch
from torch import Tensor

from aifactory_lab.errors import ModelError


def choose(logits: Tensor, draws: Tensor, *, temperature: float, top_p: float = 1.0) -> Tensor:
    """Return one token for each row.

    Parameters
    ----------
    logits
        (rows, vocabulary), float32.
    draws
        (rows,), uniform in [0, 1): the place in the cumulative probability that is taken (inverse transform sampling).
    temperature
        0 takes the likeliest token; otherwise logits are divided by it.
    top_p
        Draw from the smallest set of likeliest tokens whose probability together is at least this (nucleus sampling,
        Holtzman et al. 2019, arXiv 1904.09751).

    Returns
    -------
    Tensor
        (rows,), int64.

    Raises
    ------
    ModelError
        If the temperature is negative, or top_p is not in (0, 1].
    """
    if temperature < 0 or not 0 < top_p <= 1:
        msg = f"cannot draw at temperature {temperature} with top_p {top_p}"
        raise ModelError(msg, mend="temperature from 0 on, top_p above 0 and up to 1")
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits / temperature).softmax(-1)
    if top_p == 1:
        return _at(probabilities, draws)
    ordered, tokens = probabilities.sort(dim=-1, descending=True)
    ordered[ordered.cumsum(-1) - ordered >= top_p] = 0  # what lies before a token is enough already
    return tokens.gather(1, _at(ordered, draws)[:, None])[:, 0]


def _at(weights: Tensor, draws: Tensor) -> Tensor:
    """Return the first place whose cumulative weight exceeds the drawn share of the whole."""
    sums = weights.double().cumsum(-1)
    places = torch.searchsorted(sums, draws.double()[:, None] * sums[:, -1:], right=True)[:, 0]
    return places.clamp(max=weights.shape[-1] - 1)
