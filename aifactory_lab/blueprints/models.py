"""A blueprint as a pydantic model: which lines there are, and what each is made of; every part has a default that runs.

`aifactory run --schema` prints its JSON schema for editors. This module reads no file and runs nothing.

>>> Blueprint(name="night", decisions=Decisions()).decisions.model.estimator
'xgboost'
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from aifactory_lab.blueprints import words
from aifactory_lab.blueprints.decision_parts import Decisions
from aifactory_lab.blueprints.document import Document
from aifactory_lab.blueprints.parts import Name, Part, Text
from aifactory_lab.blueprints.token_parts import Tokens


class Blueprint(Part):
    """A description of one line, or of a plant of two.

    Attributes
    ----------
    folder
        Where the file lies: its relative paths start there. The working folder if it came from no file.
    """

    version: Literal[1] = Field(default=1, description="Of the words that a blueprint may use.")
    name: Name = Field(description="What models are registered as, if they have no name of their own.")
    title: Text | None = Field(default=None, description="What it is for.")
    decisions: Decisions | None = Field(default=None, description="From raw tables to predictions per second.")
    tokens: Tokens | None = Field(default=None, description="From text to tokens per second.")
    _folder: Path = PrivateAttr(default_factory=Path)
    _text: Document | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self._folder

    @property
    def text(self) -> Document | None:
        """The text it was read from, with the place of everything; None if it was made in Python."""
        return self._text

    def read_from(self, text: Document, folder: Path) -> Self:
        """Return the same, knowing its text and where its relative paths start."""
        told = self.model_copy()
        object.__setattr__(told, "__pydantic_private__", {"_folder": folder, "_text": text})
        return told

    @property
    def summary(self) -> str:
        """What it describes, in a line."""
        parts = []
        if self.decisions is not None:
            data, model = self.decisions.data, self.decisions.model
            source = data.dataset or ", ".join(data.files or data.tables or ())
            parts.append(f"decisions from {source} by {model.estimator}, p99 within {self.decisions.slo.p99_ms:g} ms")
        if self.tokens is not None:
            corpus, llm = self.tokens.corpus, self.tokens.model
            source = ", ".join(corpus.files) if corpus.files else "Python's own library"
            parts.append(f"tokens from {source}, depth {llm.depth} on {llm.tokens:,} tokens")
        return "; ".join(parts)

    @model_validator(mode="after")
    def _some_line(self) -> Self:
        if self.decisions is None and self.tokens is None:
            raise words.refusal("describes no line: it needs decisions, tokens, or both")
        return self
