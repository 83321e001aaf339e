"""The parts of a decision line: data, recipe, model, endpoint, objectives.

>>> Data(dataset="flights", copies=30).copies
30
"""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PositiveFloat, field_validator, model_validator

from aifactory_lab.blueprints import words
from aifactory_lab.blueprints.parts import NAME, Files, Name, Part, Port, Seconds, Share, Text, Users, Value
from aifactory_lab.blueprints.table_parts import TableRecipe
from aifactory_lab.etl import recipes
from aifactory_lab.line import decisions


class Data(Part):
    """What the decision line starts from: a dataset of the catalogue, your files as one table, or tables by name."""

    dataset: Annotated[str, AfterValidator(words.dataset)] | None = Field(
        default=None, description="A name of `aifactory datasets`."
    )
    copies: int = Field(default=1, ge=1, le=1_000, description="For flights: so many years, made of the real one.")
    files: Files | None = Field(
        default=None, description="Files, folders or patterns, beside the blueprint: one table."
    )
    tables: dict[Name, Files] | None = Field(default=None, description="The same, several tables by name.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("dataset", "files", "tables") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            what = f"needs one of dataset, files and tables, has {found}"
            raise words.refusal(what, at=(*given, "")[-1])
        if self.copies > 1 and self.dataset != "flights":
            raise words.refusal("only the dataset flights can be copied", at="copies")
        return self


class Costs(Part):
    """What a wrong decision costs, in any unit; the threshold is the cheapest on rows set aside."""

    false_alarm: PositiveFloat = 1.0
    miss: PositiveFloat = 4.0


class Model(Part):
    """What learns: an estimator by name, with the house's parameters replaced by those given."""

    name: Name = Field(
        default="", pattern=NAME, description="What it is registered as; by default the blueprint's name."
    )
    estimator: Annotated[str, AfterValidator(words.estimator)] = "xgboost"
    parameters: dict[str, Value] = Field(default={}, description="House parameters, for example max_depth: 4.")
    groups: list[Text] = Field(default=[], description="Groups of features to learn from; by default all honest ones.")
    validation: Share = Field(default=0.15, description="Share of the training rows, the latest, that is set aside.")
    costs: Costs = Costs()

    @field_validator("parameters")
    @classmethod
    def _known(cls, given: dict[str, Value], info: Any) -> dict[str, Value]:
        words.parameters(info.data.get("estimator", ""), given)
        return given


class Endpoint(Part):
    """The HTTP endpoint of predictions, and the load test on it."""

    engine: Annotated[str, AfterValidator(words.predictor)] = Field(
        default="auto", description="What predicts; auto: what is fastest at each batch size."
    )
    concurrency: Users = Field(default=decisions.CONCURRENCY, description="Clients that ask at once.")
    seconds: Seconds = Field(default=decisions.LOAD_SECONDS, description="How long they ask.")
    host: Text = "127.0.0.1"
    port: Port = Field(default=0, description="Where it is kept serving; 0 takes a free port.")
    keep: bool = Field(default=False, description="Serve on after the report, until Ctrl-C.")


class Slo(Part):
    """What the endpoint of predictions must keep under load."""

    p99_ms: PositiveFloat = Field(
        default=decisions.SLO_MS, description="99 % of the requests are answered within so long."
    )
    goodput: PositiveFloat | None = Field(default=None, description="So many a second within p99_ms, at least.")


class Decisions(Part):
    """The decision line: from raw tables to predictions per second."""

    title: Text | None = Field(default=None, description="The question that the model answers.")
    data: Data = Data(dataset="flights")
    recipe: Annotated[str, AfterValidator(words.recipe)] | None = Field(
        default=None, description="A name of `aifactory catalog recipes`; by default that of the dataset's name."
    )
    table: TableRecipe | None = Field(default=None, description="Instead of a recipe: which columns are what.")
    model: Model = Model()
    endpoint: Endpoint = Endpoint()
    slo: Slo = Slo()

    @model_validator(mode="after")
    def _prepared(self) -> Self:
        if self.recipe is not None and self.table is not None:
            raise words.refusal("needs one of recipe and table, has both", at="table")
        if self.table is None and self.named not in recipes.names():
            what = f"nobody knows how to prepare {self.named or 'files'}: say which columns are what, under table"
            raise words.refusal(what, at="data", mend="aifactory run --new  # shows how")
        return self

    @property
    def named(self) -> str:
        """The recipe by name; that of the dataset, if none is given."""
        return self.recipe or self.data.dataset or ""
