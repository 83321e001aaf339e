"""What a page sends to a board: anything on it may, and the board goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.widgets.board import Board, _hear

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["facts", "hello"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)
messages = values | st.fixed_dictionaries({"k": values}, optional={"feed": values, "entity": values})


@settings(derandomize=True, max_examples=80, database=None, deadline=None)
@given(messages)
def test_a_board_goes_on_whatever_a_page_says(message):
    board = Board([], panels=["gpus"], title="fuzz")
    _hear(board, message, [])
    sent = []
    board.send = lambda content, *_: sent.append(content["k"])
    _hear(board, {"k": "hello"}, [])
    assert sent == ["extras"]
    board.close()
