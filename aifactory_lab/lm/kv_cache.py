"""The memory of a model that writes: keys and values of every token so far, so that none is computed twice.

One row for each sequence, as in an engine's slots. What comes out is what the whole sequence would give in one pass.
This module does not choose tokens.

>>> from aifactory_lab.lm import model
>>> llama = model.Llama(model.shape(1, 64))
>>> cache = Cache(llama, slots=2)
>>> with torch.no_grad():
...     both = cache.extend([[1, 2, 3], [4]], start=[0, 0], first=0)
...     after = cache.extend([[5], [6]], start=[3, 1], first=0)
...     whole = llama.model(torch.tensor([[4, 6]]), (llama.cosine[:2], llama.sine[:2]))
>>> torch.allclose(after[1], whole[0, -1], atol=1e-6)
True
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from aifactory_lab.lm.model import Block, Llama


class Cache:
    """Keys and values of every slot, and the pass that reads and extends them.

    Parameters
    ----------
    model
        Whose they are.
    slots
        Rows; row r holds one sequence from its first token on.
    capacity
        Most tokens of a row; by default the model's context.
    """

    def __init__(self, model: Llama, slots: int, capacity: int | None = None) -> None:
        weight = model.model.embed_tokens.weight
        shape = model.shape
        size = (shape.layers, slots, shape.kv_heads, capacity or shape.context, shape.head)
        self.model = model
        self.slots = slots
        self.device = weight.device
        self.keys = torch.zeros(size, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros_like(self.keys)

    def extend(self, fed: Sequence[Sequence[int]], start: Sequence[int], first: int) -> Tensor:
        """Feed tokens to rows from `first` on and return the hidden state after the last of each.

        Parameters
        ----------
        fed
            Ids for each row; rows may get different numbers of them.
        start
            How many tokens of each row are in the cache already.

        Returns
        -------
        Tensor
            (rows, width): what the output layer turns into logits.
        """
        longest = max(map(len, fed))
        # Padded at the end: no token sees what follows it; what padding leaves is overwritten before it is seen.
        ids = torch.tensor([[*each, *[0] * (longest - len(each))] for each in fed], device=self.device)
        places = torch.tensor(start, device=self.device)[:, None] + torch.arange(longest, device=self.device)
        last = torch.tensor([len(each) - 1 for each in fed], device=self.device)
        hidden = self._pass(ids, places, slice(first, first + len(fed)), reach=max(start) + longest)
        return hidden[torch.arange(len(fed), device=self.device), last]

    def _pass(self, ids: Tensor, places: Tensor, rows: slice, *, reach: int) -> Tensor:
        trunk = self.model.model
        # Each token sees the tokens up to itself: (rows, 1, tokens, reach).
        seen = (torch.arange(reach, device=self.device) <= places[:, :, None])[:, None]
        turn = (self.model.cosine[places][:, None], self.model.sine[places][:, None])
        row = torch.arange(rows.start, rows.stop, device=self.device)[:, None]
        x = trunk.embed_tokens(ids)
        for block, keys, values in zip(trunk.layers, self.keys, self.values, strict=True):
            assert isinstance(block, Block)
            q, k, v = block.self_attn.project(block.input_layernorm(x), turn)
            keys[row, :, places], values[row, :, places] = k.transpose(1, 2), v.transpose(1, 2)
            mixed = _attend(q, keys[rows, :, :reach], values[rows, :, :reach], seen)
            x = x + block.self_attn.join(mixed)
            x = x + block.mlp(block.post_attention_layernorm(x))
        hidden: Tensor = trunk.norm(x)
        return hidden

    def free(self, row: int, *, last: int) -> None:
        """Give up a row: the last one in use takes its place, so that those in use stay side by side."""
        if row != last:
            self.keys[:, row], self.values[:, row] = self.keys[:, last], self.values[:, last]


def _attend(q: Tensor, keys: Tensor, values: Tensor, seen: Tensor) -> Tensor:
    """Return each token's mixture of the values that it sees; keys and values may have fewer heads.

    The fused kernel is made for many tokens at once. For one new token each, the same written out as two products reads
    the cache as it lies, without a copy for each head of a group, and in bfloat16 in half the time.
    """
    if q.shape[2] > 1:
        grouped = keys.shape[1] != q.shape[1]
        return functional.scaled_dot_product_attention(q, keys, values, attn_mask=seen, enable_gqa=grouped)
    groups = q.view(len(q), keys.shape[1], -1, q.shape[-1])
    scores = torch.matmul(groups * q.shape[-1] ** -0.5, keys.transpose(2, 3)).masked_fill_(~seen, -torch.inf)
    return torch.matmul(scores.softmax(-1), values).view(q.shape)
