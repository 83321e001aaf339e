"""How far engines stay behind the roofline: a few figures, which `calibration` fits to measurements.

They are effective figures of whole engines, not physics of a chip; so they may be carried to another one, with the
error that GPUs held out of the fit show. What they cost a step is `step_costs`' to say.

>>> Parameters(memory=0.9, compute=0.7, attention=0.5).sequence("trtllm")
0.0
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameters:
    """How far engines stay behind the roofline.

    Attributes
    ----------
    memory, compute, attention
        Share of the memory's bandwidth, of the peak in matrix products, and of the 16-bit peak in prefill's attention
        that is reached, 0 to 1.
    layer_seconds, sequence_seconds, hop_seconds, expert_layer_seconds
        Seconds of every step that are lost per layer, per sequence, per all-reduce, and per layer that routes tokens
        to experts. All are the host's and the launches' time, so a faster chip does not shorten them.
    burst
        Share of other requests' prefill that falls between two tokens under SGLang, which runs prefills first and
        together; the rest is waited for before the first token. For engines that chunk prefills it is 1.
    first_token_seconds
        Seconds before the first token that no prompt explains: the network, the tokenizer, the scheduler.
    wave
        Share of the others' prefills that a request waits for before its first token where engines chunk prefills.
        Clients of a benchmark start together, and a tenth of their requests are of this first wave, in which half of
        the others come before one: 0.05. A service that runs already has none.
    elementwise
        Share of the memory's bandwidth that is reached between the matrix products: norms, activations, positions,
        the dispatch of tokens to experts. Infinite where they cost nothing.
    compiled_sequence_seconds
        `sequence_seconds` of TensorRT-LLM, whose scheduler is compiled; vLLM's and SGLang's are in Python.
    """

    memory: float
    compute: float
    attention: float
    layer_seconds: float = 0.0
    sequence_seconds: float = 0.0
    hop_seconds: float = 0.0
    burst: float = 1.0
    expert_layer_seconds: float = 0.0
    first_token_seconds: float = 0.0
    wave: float = 0.0
    elementwise: float = math.inf
    compiled_sequence_seconds: float = 0.0

    def sequence(self, engine: str) -> float:
        """Return the seconds that an engine loses in every step per sequence."""
        return self.compiled_sequence_seconds if engine == "trtllm" else self.sequence_seconds

    def between(self, engine: str) -> float:
        """Return the share of the others' prefills that falls between two tokens under an engine."""
        return self.burst if engine == "sglang" else 1.0

    def before(self, engine: str) -> float:
        """Return the share of the others' prefills that is waited for before the first token under an engine."""
        return 1 - self.burst if engine == "sglang" else self.wave
