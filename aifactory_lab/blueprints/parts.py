"""What the parts of a blueprint have in common: unknown words are refused, and limits that come up more than once.

>>> Part.model_config["extra"]
'forbid'
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from aifactory_lab.blueprints import words

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
LONGEST = 200  # characters of a title
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=3_600)]
Users = Annotated[int, Field(ge=1, le=1_024)]
Share = Annotated[float, Field(gt=0, lt=1)]
Value = Annotated[Any, BeforeValidator(words.plain, json_schema_input_type=bool | int | float | str)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Files = Annotated[list[Text], Field(min_length=1), BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class Part(BaseModel):
    """A part of a blueprint: unknown words are refused, and a number is not taken for a text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
