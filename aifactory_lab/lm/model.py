"""A small Llama in plain PyTorch: one dial from a toy to ten million parameters, Hugging Face's names for its weights.

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
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from aifactory_lab.errors import ModelError

HEAD = 32  # values per head: small models want several heads, kernels want a multiple of 32
ROPE_THETA = 10_000.0
NORM_EPSILON = 1e-5
DEEPEST = 48
WRITTEN_OUT = 1024  # tokens up to which attention's scores may all stand in memory
# What a foreign config must not say otherwise, since the code below does not ask.
FIXED = (
    "model_type",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_parameters",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
)
FOREIGN = "load it with transformers.AutoModelForCausalLM.from_pretrained(folder)"


@dataclass(frozen=True)
class Shape:
    """How large a model is.

    Attributes
    ----------
    vocabulary, context
        Tokens that it knows, and most tokens that it sees at once.
    layers, width, heads, kv_heads, hidden
        Blocks; values per token; attention heads, and heads of keys and values; values inside the gated layer.
    """

    vocabulary: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    context: int = 256

    @property
    def head(self) -> int:
        """Values per attention head."""
        return self.width // self.heads

    @property
    def matrices(self) -> int:
        """Parameters of the matrices that every token is multiplied with, the output layer included."""
        attention = self.width * self.head * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.hidden) + self.vocabulary * self.width

    def config(self) -> dict[str, Any]:
        """Return what Hugging Face's ``config.json`` says of it."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "num_hidden_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head,
            "intermediate_size": self.hidden,
            "max_position_embeddings": self.context,
            "hidden_act": "silu",
            "rms_norm_eps": NORM_EPSILON,
            "rope_theta": ROPE_THETA,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
        }

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Return the shape that a ``config.json`` describes.

        Raises
        ------
        ModelError
            If it is not a Llama of the kind that this module computes.
        """
        try:
            own = cls(
                config["vocab_size"],
                config["num_hidden_layers"],
                config["hidden_size"],
                config["num_attention_heads"],
                config.get("num_key_value_heads") or config["num_attention_heads"],
                config["intermediate_size"],
                config["max_position_embeddings"],
            )
        except KeyError as error:
            msg = f"not a Llama of this house: its config of a {config.get('model_type', 'model')} has no {error}"
            raise ModelError(msg, mend=FOREIGN) from error
        ours, found = own.config(), _facts(config)
        differs = [name for name in FIXED if found.get(name) not in (None, ours[name])]
        if differs:
            msg = "not a Llama of this house: " + ", ".join(f"{name} is {found[name]!r}" for name in differs)
            raise ModelError(msg, mend=FOREIGN)
        return own


def shape(depth: int, vocabulary: int, *, context: int = 256) -> Shape:
    """Return the shape for a depth: the one dial, from which all else follows.

    The width is 32 × depth (4 → 128, as wide per layer as the models of nanochat are, scaled down), one head for
    every 32 values, and 8/3 of the width inside the gated layer, rounded up to a multiple of 32 (llama.cpp's
    quantised formats want rows of so many).

    Parameters
    ----------
    depth
        Layers, 1 to 48: with 2,048 tokens 4 is 1.1 million parameters, 7 is 4.7, 9 is 9.6.

    Raises
    ------
    ModelError
        If depth, vocabulary or context is out of range.
    """
    if not 1 <= depth <= DEEPEST or vocabulary < 2 or context < 2:
        msg = f"no model has depth {depth} (1 to {DEEPEST}), vocabulary {vocabulary}, context {context}"
        raise ModelError(msg, mend="lm.model.shape(depth=4, vocabulary=2048)")
    width = HEAD * depth
    return Shape(vocabulary, depth, width, depth, depth, -(-8 * width // 3 // 32) * 32, context)


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
    """Turn pairs of values (i, i + half) of each head by the angle of their position, as Hugging Face does."""
    cosine, sine = (part.to(x.dtype) for part in turn)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


def _facts(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with what transformers takes where it is silent, and in the words of transformers 5."""
    rope = {"rope_type": "default", "rope_theta": config.get("rope_theta", ROPE_THETA)}
    rope |= config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {"tie_word_embeddings": False, "rms_norm_eps": 1e-6, **config, "rope_parameters": rope}


def describe(shape: Shape) -> dict[str, int]:
    """Return the shape as plain values."""
    return asdict(shape)
