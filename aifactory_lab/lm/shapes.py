"""How large a language model is: one dial from a toy to ten million parameters, and Hugging Face's words for it.

The architecture is Llama's (Touvron et al. 2023, arXiv 2302.13971), with grouped-query attention (Ainslie et al. 2023,
arXiv 2305.13245) where `kv_heads` says so and the embedding tied to the output. This module does not know PyTorch.

>>> shape(depth=4, vocabulary=2048)
Shape(vocabulary=2048, layers=4, width=128, heads=4, kv_heads=4, hidden=352, context=256)
>>> shape(depth=4, vocabulary=2048).config()["num_hidden_layers"]
4
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

from aifactory_lab.errors import ModelError

HEAD = 32  # values per head: small models want several heads, kernels want a multiple of 32
ROPE_THETA = 10_000.0
NORM_EPSILON = 1e-5
DEEPEST = 48
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
LARGEST = 1 << 24  # of one size, and of the table of positions: a context of 131,072 tokens × 128 values
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
        sizes = asdict(own)
        wrong = [name for name, size in sizes.items() if type(size) is not int or not 1 <= size <= LARGEST]
        if wrong or own.width % own.heads or own.context * own.head > LARGEST:
            said = ", ".join(f"{name} {str(sizes[name])[:40]}" for name in wrong) or f"{own.heads} heads of {own.width}"
            msg = f"not a Llama of this house: its config says {said}"
            raise ModelError(msg, mend=FOREIGN)
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


def _facts(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with what transformers takes where it is silent, and in the words of transformers 5."""
    rope = {"rope_type": "default", "rope_theta": config.get("rope_theta", ROPE_THETA)}
    said = config.get("rope_parameters") or config.get("rope_scaling")
    rope |= said if isinstance(said, dict) else {"rope_type": said or "default"}
    return {"tie_word_embeddings": False, "rms_norm_eps": 1e-6, **config, "rope_parameters": rope}
