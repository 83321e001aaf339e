"""A small Llama in plain PyTorch, of a `shapes.Shape`, with Hugging Face's names for its weights.

The architecture is Llama's (Touvron et al. 2023, arXiv 2302.13971): RMSNorm before each block, rotary positions, gated
SiLU, no biases, with grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245) where `kv_heads` says so and the
embedding tied to the output. The parameters bear the names that `transformers` gives them, so a checkpoint is loaded
unchanged by transformers, vLLM and llama.cpp. This module does not know text, files or training.

>>> shape(depth=4, vocabulary=2048)
Shape(vocabulary=2048, layers=4, width=128, heads=4, kv_heads=4, hidden=352, context=256)
>>> Llama(shape(depth=2, vocabulary=64)).count
110912
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aifactory_lab.lm.shapes import NORM_EPSILON, ROPE_THETA, Shape, shape

__all__ = ["Attention", "Block", "Llama", "Norm", "Shape", "Trunk", "attend", "rotate", "shape", "turns"]

WRITTEN_OUT = 1024  # tokens up to which attention's scores may all stand in memory


class Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019), computed in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Scale each vector to unit root mean square, times the learned weight."""
        wide = x.float()
        normal = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPSILON)
        return self.weight * normal.to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention over the tokens so far."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.width, bias=False)

    def project(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys (both turned to their positions) and values: (batch, heads, tokens, head)."""
        batch, tokens, _ = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, -1, self.shape.head).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return rotate(q, turn), rotate(k, turn), v

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Attend within one sequence from its start."""
        return self.join(attend(*self.project(x, turn)))

    def join(self, mixed: Tensor) -> Tensor:
        """Put the heads side by side again and project."""
        joined: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return joined


class Gated(nn.Module):
    """The gated feed-forward layer, SwiGLU (Shazeer 2020)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return down(silu(gate x) · up x)."""
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised copy, each added."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.width)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.width)
        self.mlp = Gated(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Return x after both."""
        x = x + self.self_attn(self.input_layernorm(x), turn)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Trunk(nn.Module):
    """Everything but the output layer; its name in a checkpoint is ``model``."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)

    def forward(self, ids: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Return the last hidden state of each token."""
        x = self.embed_tokens(ids)
        for block in self.layers:
            x = block(x, turn)
        out: Tensor = self.norm(x)
        return out


class Llama(nn.Module):
    """The model: token ids in, logits out.

    Parameters
    ----------
    shape
        How large.
    seed
        Of the initial weights: normal, 0.02 wide, the layers that add to the stream divided by √(2 × layers)
        (Radford et al. 2019).
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape, *, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.model = Trunk(shape)
        cosine, sine = turns(shape)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        random = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                adds = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.layers) if adds else 0.02, generator=random)

    @property
    def count(self) -> int:
        """Parameters, the tied output layer counted once."""
        return sum(weight.numel() for weight in self.parameters())

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        ids
            Token ids, (batch, tokens), at most `shape.context` tokens.

        Returns
        -------
        Tensor
            (batch, tokens, vocabulary), in the dtype of the weights.
        """
        tokens = ids.shape[1]
        hidden = self.model(ids, (self.cosine[:tokens], self.sine[:tokens]))
        return functional.linear(hidden, self.model.embed_tokens.weight)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats per token; targets of -100 do not count."""
        logits = self(ids).float()
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return each token's mixture of the values so far, (batch, heads, tokens, head); keys may have fewer heads.

    PyTorch's fused kernel, but for bfloat16 on a CPU: there its backward pass is slow, and the same written out as two
    products takes less than half the time (4.6 against 10.8 ms for 4 × 4 heads of 256 tokens, forward and backward).
    """
    tokens = q.shape[-2]
    if q.dtype != torch.bfloat16 or q.device.type != "cpu" or tokens > WRITTEN_OUT:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=k.shape[1] != q.shape[1])
    if k.shape[1] != q.shape[1]:
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], dim=1) for part in (k, v))
    future = torch.full((tokens, tokens), -math.inf, dtype=q.dtype).triu(1)
    scores = torch.baddbmm(future, (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1).transpose(1, 2))
    return torch.bmm(scores.softmax(-1), v.flatten(0, 1)).view(q.shape)


def turns(shape: Shape, *, theta: float = ROPE_THETA) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the rotary positions (Su et al. 2021), (context, head), float32."""
    speeds = theta ** (-torch.arange(0, shape.head, 2, dtype=torch.float32) / shape.head)
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), speeds)
    twice = torch.cat((angles, angles), dim=-1)
    return twice.cos(), twice.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Return pairs of values (i, i + half) of each head turned by their position's angle, as Hugging Face does."""
    cosine, sine = (part.to(x.dtype) for part in turn)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
