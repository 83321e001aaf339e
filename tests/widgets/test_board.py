"""What passes between a board and its page: hello, history, ticks, silence, facts, errors, the end."""

import gc
import threading
import weakref

import numpy as np
import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry import samplers, watch
from aifactory_lab.widgets import GpuBoard
from aifactory_lab.widgets import board as board_module
from aifactory_lab.widgets.kernel import BUSY
from tests.widgets.conftest import until


def made(source, **keywords) -> tuple[GpuBoard, object]:
    board = GpuBoard(source, host=False, **keywords)
    return board, board.comm


def test_hello_is_answered_with_layout_history_and_what_else_is_known(scripted):
    board, comm = made(scripted())
    until(lambda: len(board.feeds[0].sampler.ring) > 3)
    comm.say(k="hello")
    (layout,), (history,), (extras,) = comm.messages("layout"), comm.messages("history"), comm.messages("extras")
    assert (layout["role"], layout["origin"], len(layout["entities"])) == ("gpu", "simulated", 8)
    assert set(layout["facts"]) == {entity[0] for entity in layout["entities"]}
    assert history["count"] >= 3
    assert len(comm.buffers("history")[0][0]) == 8 * history["count"]
    assert extras["absent"] == []
    board.close()


@pytest.mark.parametrize("count", [1, 8, 64, 1024, 10_000])
def test_a_tick_is_one_message_with_one_buffer(scripted, count):
    board, comm = made(scripted(count))
    comm.say(k="hello")
    until(lambda: len(comm.messages("tick")) > 1)
    layout, buffers = comm.messages("layout")[0], comm.buffers("tick")
    per_cell = 5 if layout["codec"] == "f32" else 1
    assert {len(found) for found in buffers} == {1}
    assert len(buffers[-1][0]) == count * len(layout["metrics"]) * per_cell == board.feeds[0].packer.bytes_per_tick
    assert comm.messages("tick")[-1]["cost"][0] > 0
    board.close()


def test_history_and_ticks_agree_without_a_hole(scripted):
    board, comm = made(scripted(1))
    until(lambda: len(board.feeds[0].sampler.ring) > 2)
    comm.say(k="hello")
    until(lambda: len(comm.messages("tick")) > 4)
    board.close()
    times = list(np.frombuffer(comm.buffers("history")[0][0]))
    times += [message["t"] for message in comm.messages("tick")]
    assert np.diff(sorted({round(t, 3) for t in times})).max() < 1.5  # the script's clock steps by one second


def test_nothing_is_sent_before_a_page_looks(scripted):
    board, comm = made(scripted())
    until(lambda: len(board.feeds[0].sampler.ring) > 3)
    assert not comm.messages("tick")
    board.close()


def test_sending_stops_without_pings_and_goes_on_with_what_was_missed(scripted, monkeypatch):
    board, comm = made(scripted())
    comm.say(k="hello")
    until(lambda: comm.messages("tick"))
    monkeypatch.setattr(board_module, "SILENCE", 0.0)
    until(lambda: board._asleep)
    before, last = len(comm.messages("tick")), comm.messages("tick")[-1]["t"]
    until(lambda: board.feeds[0].sampler.latest.time > last + 3)
    assert len(comm.messages("tick")) == before
    monkeypatch.setattr(board_module, "SILENCE", 20.0)
    comm.say(k="ping")
    missed = comm.messages("history")[-1]
    assert missed["append"]
    assert missed["count"] >= 3
    assert np.frombuffer(comm.buffers("history")[-1][0])[0] == last + 1
    until(lambda: len(comm.messages("tick")) > before)
    board.close()


def test_sending_goes_on_while_a_cell_keeps_the_pings_waiting(scripted, monkeypatch):
    monkeypatch.setattr(board_module, "SILENCE", 0.0)
    monkeypatch.setattr(BUSY, "_running", True)
    board, comm = made(scripted())
    comm.say(k="hello")
    until(lambda: len(comm.messages("tick")) > 2)
    monkeypatch.setattr(BUSY, "_running", False)
    until(lambda: board._asleep)
    board.close()


def test_an_error_of_the_source_is_words_on_the_board(scripted, capsys):
    source = scripted()
    board, comm = made(source)
    comm.say(k="hello")
    source.fault = "the driver hangs"
    until(lambda: any("hangs" in tick.get("error", "") for tick in comm.messages("tick")))
    assert any("the driver hangs" in " ".join(tick.get("notes", [])) for tick in comm.messages("tick"))
    source.fault = ""
    until(lambda: "error" not in comm.messages("tick")[-1])
    board.close()
    assert capsys.readouterr() == ("", "")


def test_facts_of_a_large_fleet_come_when_asked(scripted):
    board, comm = made(scripted(128))
    comm.say(k="hello")
    until(lambda: len(comm.messages("tick")) > 1)
    assert "facts" not in comm.messages("layout")[0]
    entity = board.feeds[0].packer.layout.entities[77].id
    comm.say(k="facts", feed=0, entity=entity)
    (answer,) = comm.messages("facts")
    assert answer["facts"][entity]["processes"][0]["user"] == "maria"
    board.close()


def test_running_the_cell_again_leaves_one_subscription_and_one_thread(scripted):
    boards = [made(scripted())[0] for _ in range(3)]
    assert [board._closed for board in boards] == [True, True, False]
    assert len(samplers()) == 1
    assert len(samplers()[0]._listeners) == 1
    boards[-1].close()
    assert samplers() == []


def test_boards_share_a_sampler_and_the_last_one_ends_it(scripted):
    sampler = watch(scripted())
    one, _ = made(sampler, name="one")
    two, _ = made(sampler, name="two")
    one.close()
    two.close()
    assert sampler.running  # who began it ends it
    sampler.close()


def test_a_sampler_begun_anew_feeds_the_boards_that_were_there(scripted):
    board, comm = made(scripted())
    comm.say(k="hello")
    until(lambda: comm.messages("tick"))
    again = watch(scripted(16))
    until(lambda: len(comm.messages("layout")) > 1)
    assert len(comm.messages("layout")[-1]["entities"]) == 16
    assert board.feeds[0].sampler is again
    board.close()


def test_close_ends_the_thread_and_says_good_bye(scripted):
    board, comm = made(scripted())
    comm.say(k="hello")
    board.close()
    assert comm.messages("end")
    assert not [t for t in threading.enumerate() if t.name.startswith("aifactory-sampler")]
    board.close()


def test_a_closed_board_is_forgotten(scripted, comms):
    board = GpuBoard(scripted(), host=False)
    held = weakref.ref(board)
    board.close()
    comms.clear()
    del board
    gc.collect()
    assert held() is None


def test_repr_is_the_same_every_time(scripted):
    board, _ = made(scripted())
    assert repr(board) == "GpuBoard(8 GPUs, simulated)"
    data = board._repr_mimebundle_()
    assert (data[0] if isinstance(data, tuple) else data)["text/plain"] == "GpuBoard(8 GPUs, simulated)"
    board.close()


def test_an_unknown_keyword_is_refused_with_those_there_are():
    with pytest.raises(FactoryError, match="knows no keyword colour; there are: source, host"):
        GpuBoard(colour="red")


def test_traits_stay_small(scripted):
    board, _ = made(scripted(1024))
    state = {key: value for key, value in board.get_state().items() if key not in ("_esm", "_css")}
    assert len(str(state)) < 1000
    assert len(board._esm) < 150_000
    board.close()
