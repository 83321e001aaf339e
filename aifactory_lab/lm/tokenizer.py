r"""Text becomes numbers: a byte-level BPE vocabulary, trained on the corpus that it shall be good at.

Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) over bytes, with GPT-2's splitting rule (Radford et al.
2019), so that no text is out of reach and every text comes back as it was. The work is done by Hugging Face's
`tokenizers`; a saved folder is what transformers, vLLM and llama.cpp read. This module does not know files of a corpus
or models.

>>> tokenizer = train(["def add(a, b):\n    return a + b\n"] * 9, vocabulary=270)
>>> ids = tokenizer.encode("def add(x):\n    return x")
>>> tokenizer.decode(ids), tokenizer.vocabulary
('def add(x):\n    return x', 270)
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.aside import write_text
from aifactory_lab.errors import DataError, ModelError, require

END = "<|endoftext|>"
FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
SMALLEST = 257  # one token for each byte, one for the end
# Plain text, no token of its own: llama.cpp's adapters hold matrices only, so a new token could not be learned by one.
CHAT_TEMPLATE = (
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)


@dataclass(frozen=True)
class TokenizerReport:
    """How well a tokenizer fits some texts.

    Attributes
    ----------
    bytes, tokens, words
        Size of the texts: UTF-8 bytes, tokens without document ends, words (what white space separates).
    used
        Share of the vocabulary that occurs in them.
    """

    bytes: int
    tokens: int
    words: int
    used: float

    @property
    def bytes_per_token(self) -> float:
        """Compression: bytes that one token stands for, on average."""
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def tokens_per_word(self) -> float:
        """Fertility (Rust et al. 2021, arXiv 2012.15613): tokens that one word costs, on average."""
        return self.tokens / self.words if self.words else 0.0

    def __str__(self) -> str:
        return (
            f"{self.bytes:,} bytes are {self.tokens:,} tokens: {self.bytes_per_token:.2f} bytes per token,"
            f" {self.tokens_per_word:.2f} tokens per word, {self.used:.0%} of the vocabulary used"
        )


class Tokenizer:
    """A trained vocabulary.

    Parameters
    ----------
    inner
        The `tokenizers.Tokenizer` that does the work.
    """

    def __init__(self, inner: Any) -> None:
        # A document may speak of the end mark without ending: what is typed is text, only we write the mark.
        inner.encode_special_tokens = True
        end = inner.token_to_id(END)
        if end is None:
            msg = f"this tokenizer has no {END}, which ends a document here"
            raise ModelError(msg, mend="lm.tokenizer.train(texts) makes one that has; for others use transformers")
        size = int(inner.get_vocab_size())
        if any(inner.id_to_token(place) is None for place in (0, size - 1)) or end >= size:
            msg = f"this tokenizer does not number its {size:,} tokens from 0 on"
            raise ModelError(msg, mend="lm.tokenizer.train(texts)")
        self.inner = inner
        self.end: int = end

    @property
    def vocabulary(self) -> int:
        """Number of different tokens."""
        return int(self.inner.get_vocab_size())

    @cached_property
    def sha256(self) -> str:
        """Hash of all that decides which ids a text becomes."""
        return hashlib.sha256(self.inner.to_str().encode()).hexdigest()

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes that each id stands for, (vocabulary,); 0 for the end, which is no text."""
        # In a byte-level vocabulary each character of a token's name stands for one byte.
        sizes = [len(self.inner.id_to_token(i) or "") for i in range(self.vocabulary)]
        sizes[self.end] = 0
        return np.array(sizes, dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without an end."""
        return list(self.inner.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the ids of many texts, on all cores."""
        return [one.ids for one in self.inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are no whole character become U+FFFD."""
        return str(self.inner.decode(list(ids), skip_special_tokens=False))

    def chat(self, messages: Sequence[Mapping[str, str]], *, generate: bool = True) -> str:
        r"""Return a conversation as the text that the model continues; the same as the saved chat template.

        Examples
        --------
        >>> train(["a"]).chat([{"role": "user", "content": "Hello?"}])
        '### user\nHello?\n### assistant\n'
        """
        said = "".join(f"### {message['role']}\n{message['content']}\n" for message in messages)
        return said + "### assistant\n" * generate

    def report(self, texts: Iterable[str]) -> TokenizerReport:
        """Return compression and fertility on texts; meaningful on texts that it was not trained on."""
        texts = list(texts)
        encoded = self.encode_batch(texts)
        return TokenizerReport(
            bytes=sum(len(text.encode()) for text in texts),
            tokens=sum(map(len, encoded)),
            words=sum(len(text.split()) for text in texts),
            used=len(set().union(*encoded)) / self.vocabulary,
        )

    def save(self, folder: Path | str, *, context: int | None = None) -> Path:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, as transformers reads them.

        Parameters
        ----------
        folder
            Made if it is not there.
        context
            Most tokens that the model beside it sees at once.
        """
        folder = Path(folder)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": END,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        }
        config |= {} if context is None else {"model_max_length": context}
        write_text(folder / FILE, self.inner.to_str())
        write_text(folder / CONFIG, json.dumps(config, indent=1))
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a saved tokenizer.

        Raises
        ------
        ModelError
            If there is none, it cannot be read, or it is not one of ours.
        """
        path = Path(folder) / FILE
        if not path.exists():
            msg = f"{folder} holds no tokenizer: no {FILE} in it"
            raise ModelError(msg, mend="lm.tokenizer.train(texts).save(folder)")
        try:
            inner = require("tokenizers", extra="lm").Tokenizer.from_file(str(path))
        except Exception as error:
            # tokenizers raises plain Exception for whatever it cannot parse
            msg = f"{path} cannot be read: {error}"
            raise ModelError(msg) from error
        return cls(inner)


def train(texts: Iterable[str], vocabulary: int = 2048) -> Tokenizer:
    """Learn a vocabulary from texts: the same texts give the same one.

    Parameters
    ----------
    texts
        Read once; they need not fit in memory.
    vocabulary
        Tokens to learn, the end and the 256 bytes among them; few texts yield fewer.

    Raises
    ------
    DataError
        If the vocabulary is too small to hold every byte, or there is no text.
    """
    if vocabulary < SMALLEST:
        msg = f"a vocabulary of {vocabulary} cannot hold 256 bytes and an end"
        raise DataError(msg, mend="lm.tokenizer.train(texts, vocabulary=2048)")
    library = require("tokenizers", extra="lm")
    inner = library.Tokenizer(library.models.BPE())
    inner.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    inner.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(_some(texts), trainer)
    return Tokenizer(inner)


def _some(texts: Iterable[str]) -> Iterable[str]:
    empty = True
    for text in texts:
        empty = empty and not text
        yield text
    if empty:
        msg = "there is no text to learn a vocabulary from"
        raise DataError(msg, mend="lm.tokenizer.train(lm.corpus.standard_library()['text'])")
