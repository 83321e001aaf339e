"""The part of a decision line that says which columns of a table of your own are what.

>>> made = TableRecipe(label=Label(column="late"), numbers=["km"])
>>> made.columns("rows").features
('km',)
"""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from aifactory_lab.blueprints import words
from aifactory_lab.blueprints.parts import Name, Part, Share, Text, Value
from aifactory_lab.etl import tabular


class Label(Part):
    """What is to be known of a row."""

    column: Text
    above: float | None = Field(default=None, description="The label is whether the number is above this.")
    equals: Value | None = Field(default=None, description="The label is whether the value is this.")


class Time(Part):
    """When a row's features were known."""

    column: Text
    format: str = Field(default="", description="How a text is written (strptime); empty for a column of times.")


def _named(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _dated(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        what = f"should be a time such as 2024-10-01 or 2024-10-01T12:00, is {text!r}"
        raise words.refusal(what) from None
    return text


class TableRecipe(Part):
    """Which columns of a table are what; each by its name."""

    of: Name | None = Field(default=None, description="Which table, if the data has several.")
    label: Annotated[Label, BeforeValidator(_named, json_schema_input_type=str | Label)]
    time: Annotated[Time, BeforeValidator(_named, json_schema_input_type=str | Time)] | None = None
    numbers: list[Text] = Field(default=[], description="Features that are numbers, known when it is decided.")
    categories: list[Text] = Field(default=[], description="Features that are words or codes, known likewise.")
    key: list[Text] = Field(default=[], description="Columns that name a row, kept beside the features.")
    test_share: Share = Field(default=0.25, description="The share of rows, the latest, for the test.")
    test_from: Annotated[str, AfterValidator(_dated)] | None = Field(
        default=None, description="Or: the test begins at this time."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for said in tabular.contradictions(self.columns(self.of or "rows")):
            raise words.refusal(said)
        return self

    def columns(self, table: str) -> tabular.Columns:
        """Return the same in the words of `etl.tabular`."""
        time = self.time or Time(column="-")
        return tabular.Columns(
            table,
            self.label.column,
            above=self.label.above,
            equals=self.label.equals,
            time=time.column if self.time else "",
            time_format=time.format,
            numbers=tuple(self.numbers),
            categories=tuple(self.categories),
            keys=tuple(self.key),
            test_share=self.test_share,
            test_from=self.test_from or "",
        )
