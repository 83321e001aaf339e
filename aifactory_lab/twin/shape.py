"""A language model's shape: how many parameters a token meets, and how many bytes a token leaves behind.

Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245), DeepSeek's latent attention (arXiv 2405.04434), sliding
windows and mixtures of experts are counted. The numbers inside the matrices, GPUs and time are not known here.

>>> tiny = Model("tiny", layers=2, hidden=64, vocabulary=100, heads=4, kv_heads=2, head=16, intermediate=128)
>>> tiny.parameters, tiny.active_parameters, tiny.kv_bytes_per_token()
(86848, 80128, 256.0)
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A decoder's shape.

    Attributes
    ----------
    name, source
        What it is called, and where its shape is published.
    layers, hidden, vocabulary, context
        Blocks; values per token; tokens known; most tokens seen at once (0 if not said).
    heads, kv_heads, head
        Attention heads, heads of keys and values, values of a head.
    intermediate
        Values inside the gated layer of a dense block.
    experts, experts_per_token, expert_intermediate, shared_experts, dense_layers
        Of a mixture: experts of a layer, how many a token meets, values inside one, experts that all tokens meet, and
        leading layers without a mixture. All 0 in a dense model.
    q_rank, kv_rank, nope, rope, value
        Latent attention: ranks of queries and of keys with values, values of a head without and with position, values
        of a head's output. `kv_rank` is 0 where attention is the usual one.
    window, window_layers
        Tokens that a layer with a sliding window looks back, and how many layers have one.
    tied, biased, normed_heads
        Whether the embedding is the output layer too, matrices have biases, queries and keys are normed.
    native_bytes
        Bytes of a parameter outside of the experts, as published: 2, or 1 where the publisher's own weights are FP8.
    """

    name: str
    layers: int
    hidden: int
    vocabulary: int
    heads: int
    kv_heads: int
    head: int
    intermediate: int
    source: str = ""
    context: int = 0
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    shared_experts: int = 0
    dense_layers: int = 0
    q_rank: int = 0
    kv_rank: int = 0
    nope: int = 0
    rope: int = 0
    value: int = 0
    window: int = 0
    window_layers: int = 0
    tied: bool = False
    biased: bool = False
    normed_heads: bool = False
    native_bytes: float = 2.0

    @property
    def attention(self) -> int:
        """Parameters of the matrices of one layer's attention."""
        if not self.kv_rank:
            return self.hidden * self.head * (2 * self.heads + 2 * self.kv_heads)
        query = self.heads * (self.nope + self.rope)
        queries = (self.hidden + query) * self.q_rank if self.q_rank else self.hidden * query
        keys = self.hidden * (self.kv_rank + self.rope) + self.kv_rank * self.heads * (self.nope + self.value)
        return queries + keys + self.heads * self.value * self.hidden

    @property
    def expert(self) -> int:
        """Parameters of the matrices of one expert."""
        return 3 * self.hidden * self.expert_intermediate

    @property
    def moe_layers(self) -> int:
        """Layers with a mixture of experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def always(self) -> int:
        """Parameters of the matrices in the blocks that every token meets, whichever experts it is sent to."""
        dense = (self.layers - self.moe_layers) * 3 * self.hidden * self.intermediate
        routed = self.moe_layers * (self.shared_experts * self.expert + self.hidden * self.experts)
        return self.layers * self.attention + dense + routed

    @property
    def embedding(self) -> int:
        """Parameters of the embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, norms and biases included."""
        ends = self.embedding * (1 if self.tied else 2)
        return self.always + self.moe_layers * self.experts * self.expert + ends + self._small

    @property
    def active_parameters(self) -> int:
        """Parameters of the matrices that one token meets, the output layer included and the look-up not."""
        return self.always + self.moe_layers * self.experts_per_token * self.expert + self.embedding

    @property
    def _small(self) -> int:
        norms = (2 * self.layers + 1) * self.hidden + self.layers * (self.q_rank + self.kv_rank)
        if self.normed_heads:
            norms += self.layers * 2 * self.head
        if not self.biased:
            return norms
        attention = (self.heads + 2 * self.kv_heads) * self.head + self.hidden + self.heads  # one sink a head
        mixture = self.experts * (2 * self.expert_intermediate + self.hidden + 1)
        return norms + self.layers * attention + self.moe_layers * mixture

    @property
    def kv_values(self) -> int:
        """Values that one token leaves in one layer's cache."""
        return self.kv_rank + self.rope if self.kv_rank else 2 * self.kv_heads * self.head

    def kv_bytes_per_token(self, *, value_bytes: float = 2.0) -> float:
        """Return the bytes that a further token of a long context takes: layers with a window need no more.

        Parameters
        ----------
        value_bytes
            Bytes of a value: 2 in 16 bits, 1 in FP8.
        """
        return (self.layers - self.window_layers) * self.kv_values * value_bytes

    def kv_bytes(self, tokens: float, *, value_bytes: float = 2.0) -> float:
        """Return the bytes that a context of so many tokens takes."""
        kept = min(tokens, self.window) * self.window_layers if self.window else 0.0
        return tokens * self.kv_bytes_per_token(value_bytes=value_bytes) + kept * self.kv_values * value_bytes

    @property
    def whole_values(self) -> float:
        """Values that one token reads and writes between matrix products on every GPU of a tensor-parallel group.

        Two norms a layer, each with its residual (two values read, two written), and the copies that are sent to
        experts and summed up again (read and written on either way).
        """
        return self.hidden * (8.0 * self.layers + 4.0 * self.moe_layers * self.experts_per_token)

    @property
    def shared_values(self) -> float:
        """Values that one token reads and writes between matrix products, shared among the GPUs of a group.

        Queries, keys and values are written and read, and so is attention's output; of a gated layer, the output of two
        matrices is written and read, and their product too.
        """
        attention = self.layers * (4.0 * self.heads * self.head + 2.0 * self.kv_values)
        met = self.experts_per_token + self.shared_experts
        inside = (self.layers - self.moe_layers) * self.intermediate + self.moe_layers * met * self.expert_intermediate
        return attention + 6.0 * inside

    @property
    def attention_flops(self) -> float:
        """Floating-point operations of attention's two products for one token and one token of its context.

        In prefill, where keys and values are at hand: 2 × (values of a key + values of a value) a head and layer.
        """
        width = self.nope + self.rope + self.value if self.kv_rank else 2 * self.head
        return 2.0 * (self.layers - self.window_layers) * self.heads * width
