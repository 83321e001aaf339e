"""Language models: a corpus becomes tokens, a small Llama, an adapter, a model that others' engines load.

Rooms open when they are first entered: PyTorch and transformers are imported where they are used.

>>> from aifactory_lab import lm
>>> lm.model.shape(depth=4, vocabulary=2048).width
128
"""

import os
from typing import TYPE_CHECKING

from aifactory_lab.doors import lazy

if TYPE_CHECKING:
    from aifactory_lab.lm import (
        adapters,
        checkpoint,
        corpus,
        evaluation,
        finetune,
        flops,
        gguf_file,
        model,
        optimiser,
        pairs,
        place,
        pretrain,
        pretrained,
        registry,
        shapes,
        shards,
        sizes,
        slots,
        terminal,
        tokenizer,
        trained,
        tuned,
    )

# One waiting thread that spins makes its neighbours 70 times slower on two busy cores (measured); read when the OpenMP
# runtime is loaded, so before PyTorch is.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Everything is on this machine: the libraries shall neither ask a hub nor fork-warn about their threads.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__all__ = [
    "adapters",
    "checkpoint",
    "corpus",
    "evaluation",
    "finetune",
    "flops",
    "gguf_file",
    "model",
    "optimiser",
    "pairs",
    "place",
    "pretrain",
    "pretrained",
    "registry",
    "shapes",
    "shards",
    "sizes",
    "slots",
    "terminal",
    "tokenizer",
    "trained",
    "tuned",
]

__getattr__, __dir__ = lazy(__name__, __all__)
