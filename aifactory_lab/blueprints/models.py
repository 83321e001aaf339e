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

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self._folder

    def within(self, folder: Path) -> Self:
        """Return the same, with its relative paths starting in a folder."""
        moved = self.model_copy()
        object.__setattr__(moved, "__pydantic_private__", {"_folder": folder})
        return moved

    @model_validator(mode="after")
    def _some_line(self) -> Self:
        if self.decisions is None and self.tokens is None:
            raise words.refusal("describes no line: it needs decisions, tokens, or both")
        return self
