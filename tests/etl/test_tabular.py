"""A recipe for anyone's table: the split, the codes of categories against a loop, and that no label leaks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab import datasets, etl, train
from aifactory_lab.errors import DataError
from aifactory_lab.etl import contracts, tabular
from aifactory_lab.etl.encoding import SMOOTHING
from aifactory_lab.etl.tabular import Columns

START = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
COLUMNS = Columns("rows", "late", time="at", numbers=("km",), categories=("who",), keys=("id",))


def table(rows: list[tuple[int, str | None, int]]) -> pl.DataFrame:
    """Rows of (hours after the start, category, label)."""
    return pl.DataFrame(
        {
            "id": range(len(rows)),
            "at": [START + timedelta(hours=hours) for hours, _, _ in rows],
            "who": pl.Series([who for _, who, _ in rows], dtype=pl.String),
            "km": [float(number) for number in range(len(rows))],
            "late": [label for _, _, label in rows],
        }
    )


def made(frame: pl.DataFrame, columns: Columns = COLUMNS) -> pl.DataFrame:
    return tabular.recipe(columns).query({"rows": frame.lazy()}).collect().sort("id")


ROWS = st.lists(
    st.tuples(st.integers(0, 240), st.sampled_from(["a", "b", "c", None]), st.integers(0, 1)), min_size=4, max_size=60
)


def by_loop(frame: pl.DataFrame, split: list[str]) -> list[float | None]:
    """The codes as their definition says: training rows of earlier days only."""
    rows = list(zip(frame["at"], frame["who"], frame["late"], split, strict=True))
    codes: list[float | None] = []
    for at, who, _, _ in rows:
        before = [(w, y) for t, w, y, part in rows if part == "train" and t.date() < at.date()]
        mine = [y for w, y in before if w == who]
        share = sum(y for _, y in before) / len(before) if before else None
        known = who is not None and share is not None
        codes.append((sum(mine) + SMOOTHING * share) / (len(mine) + SMOOTHING) if known else None)
    return codes


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ROWS)
def test_codes_are_those_of_the_definition(rows):
    frame = table(rows)
    found = made(frame)
    wanted = by_loop(frame, found["split"].to_list())
    for code, expected in zip(found["who_rate"], wanted, strict=True):
        assert (code is None) == (expected is None)
        assert code is None or code == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ROWS, st.data())
def test_no_row_sees_its_own_label_nor_one_of_its_day_nor_a_test_label(rows, data):
    frame = table(rows)
    before = made(frame)
    changed = data.draw(st.integers(0, len(rows) - 1))
    flipped = pl.when(pl.col("id") == changed).then(1 - pl.col("late")).otherwise(pl.col("late")).alias("late")
    after = made(frame.with_columns(flipped))
    day = frame["at"].dt.date()[changed]
    for row in range(len(rows)):
        if before["split"][changed] == "test" or frame["at"].dt.date()[row] <= day:
            assert before["who_rate"][row] == after["who_rate"][row]


def test_the_latest_rows_are_for_the_test_and_their_share_is_kept():
    frame = table([(hour, "a", hour % 2) for hour in range(100)])
    found = made(frame, replace(COLUMNS, test_share=0.2))
    assert found["split"].to_list() == ["train"] * 80 + ["test"] * 20
    dated = made(frame, replace(COLUMNS, test_from="2024-03-05T00:00"))
    assert dated["split"].to_list() == ["train"] * 24 + ["test"] * 76
    assert found["hour_of_day"].to_list()[:26] == [*range(24), 0, 1]
    assert found["weekday"].to_list()[::24] == [1, 2, 3, 4, 5]


def test_without_a_time_the_split_follows_the_key_and_not_the_order_of_the_rows():
    frame = table([(0, "ab"[number % 2], number % 3 == 0) for number in range(2_000)]).with_columns(
        pl.col("late").cast(pl.Int8)
    )
    columns = replace(COLUMNS, time="")
    found, shuffled = made(frame, columns), made(frame.sample(fraction=1, shuffle=True, seed=1), columns)
    assert found.equals(shuffled)
    assert found["split"].value_counts().sort("split")["count"].to_list() == pytest.approx([500, 1500], abs=60)
    assert abs(found.filter(pl.col("split") == "test")["late"].mean() - 1 / 3) < 0.07


@pytest.mark.parametrize(
    ("columns", "labels", "wanted"),
    [
        ({"label": "km", "above": 1.5, "numbers": ()}, None, [0, 0, 1, 1]),
        ({"label": "late", "equals": 1}, [1, 0, 1, 0], [1, 0, 1, 0]),
        ({"label": "late", "equals": "yes"}, ["yes", "no", "yes", None], [1, 0, 1]),
        ({"label": "late", "equals": True}, [True, False, None, True], [1, 0, 1]),
    ],
)
def test_a_label_may_be_a_limit_or_a_value_and_rows_without_one_are_left_out(columns, labels, wanted):
    frame = table([(hour, "a", 0) for hour in range(4)])
    frame = frame if labels is None else frame.with_columns(late=pl.Series(labels))
    columns = replace(COLUMNS, **columns)
    assert made(frame, columns)[columns.target].to_list() == wanted


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"numbers": (), "categories": ()}, "no feature"),
        ({"numbers": ("late",)}, "the label 'late' is among the features"),
        ({"above": 1, "equals": 2}, "either above a number or equal"),
        ({"numbers": ("km", "km")}, "'km' would be the name of two columns"),
        ({"numbers": ("split",)}, "'split' would be the name of two columns"),
        ({"time": "", "time_format": "%Y"}, "a format of the time, but no time"),
    ],
)
def test_columns_that_contradict_one_another_are_refused(changed, said):
    with pytest.raises(DataError, match=said):
        tabular.recipe(replace(COLUMNS, **changed))


def test_a_table_that_is_not_as_described_is_refused_with_every_defect(tmp_path):
    (tmp_path / "rows.csv").write_text("id,at,who,km,late\n1,2024-03-04,a,far,2\n2,04.03.2024,b,near,0\n")
    raw = datasets.load({"rows": tmp_path / "rows.csv"})
    columns = replace(COLUMNS, time_format="%Y-%m-%d")
    with pytest.raises(contracts.ContractError) as caught:
        etl.run(tabular.recipe(columns), raw, out=tmp_path / "out", progress=False)
    assert {defect.column for defect in caught.value.defects} == {"at", "km", "late"}


def test_the_example_becomes_a_model_that_knows_rain(tmp_path):
    etl.run(tabular.recipe(tabular.EXAMPLE), datasets.load("flights"), out=tmp_path / "f", progress=False)
    result = train.fit(tmp_path / "f", out=tmp_path / "m", rounds=40, max_depth=4)
    assert result.scores["auc"].value > 0.9
    assert train.ladder.rungs(etl.FeatureSpec.load(tmp_path / "f"))[0].name == "numbers"
