import asyncio
import threading

import numpy as np
import pytest

from aifactory_lab.serve.batching import Batcher, Busy
from aifactory_lab.serve.meters import Meters


class Model:
    """Answers with the first column; a price per row decides between the event loop and the thread."""

    def __init__(self, *, best_batch=8, price=0.0, gate=None):
        self.best_batch, self.price, self.gate = best_batch, price, gate
        self.batches, self.threads = [], set()

    def seconds(self, count):
        return self.price * count

    def __call__(self, rows):
        if self.gate:
            assert self.gate.wait(10)
        self.batches.append(len(rows))
        self.threads.add(threading.current_thread().name)
        if np.isnan(rows).any():
            raise ValueError("a gap")
        return rows[:, 0]


def rows(*values):
    return np.array(values, dtype=np.float32).reshape(-1, 1)


def test_what_waits_together_is_predicted_together_and_answered_apart():
    model = Model(best_batch=100)

    async def work():
        batcher = Batcher()
        return await asyncio.gather(*[batcher.predict(model, rows(i, i + 0.5)) for i in range(20)])

    answers = asyncio.run(work())
    assert model.batches == [40]
    assert [answer.tolist() for answer in answers] == [[i, i + 0.5] for i in range(20)]


def test_a_batch_ends_at_the_best_size_and_a_larger_request_goes_alone():
    model = Model(best_batch=8)

    async def work():
        batcher = Batcher()
        await asyncio.gather(*[batcher.predict(model, rows(*range(n))) for n in (3, 3, 3, 50, 1)])

    asyncio.run(work())
    assert model.batches == [6, 3, 50, 1]


def test_large_batches_leave_the_event_loop_free():
    gate = threading.Event()
    model = Model(price=1.0, gate=gate)

    async def work():
        batcher = Batcher(max_wait=1e9)
        waiting = asyncio.create_task(batcher.predict(model, rows(1)))
        for _ in range(20):
            await asyncio.sleep(0)
        gate.set()  # reached although the model waits for it
        return await waiting

    assert asyncio.run(work()).tolist() == [1]
    assert model.threads == {"aifactory-predict_0"}


def test_requests_form_the_next_batch_while_one_is_predicted():
    gate = threading.Event()
    model = Model(best_batch=100, price=1.0, gate=gate)

    async def work():
        batcher = Batcher(max_wait=1e9)
        first = asyncio.create_task(batcher.predict(model, rows(1)))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(batcher.predict(model, rows(i))) for i in range(5)]
        await asyncio.sleep(0.01)
        gate.set()
        await asyncio.gather(first, *others)

    asyncio.run(work())
    assert model.batches == [1, 5]


def test_a_full_queue_refuses_and_serves_what_it_holds():
    gate = threading.Event()
    model = Model(best_batch=1, price=1.0, gate=gate)

    async def work():
        batcher = Batcher(max_wait=2.5)
        accepted = [asyncio.create_task(batcher.predict(model, rows(0)))]
        await asyncio.sleep(0.01)  # the first is being predicted
        accepted += [asyncio.create_task(batcher.predict(model, rows(i))) for i in (1, 2, 3)]
        await asyncio.sleep(0.01)  # three wait: 3 s of work
        with pytest.raises(Busy) as refusal:
            await batcher.predict(model, rows(9))
        gate.set()
        answers = await asyncio.gather(*accepted)
        again = await batcher.predict(model, rows(7))  # room again
        return refusal.value.retry_after, [a.tolist() for a in answers], again.tolist()

    assert asyncio.run(work()) == ("3", [[0], [1], [2], [3]], [7])


def test_two_models_never_share_a_batch():
    old, new = Model(best_batch=100), Model(best_batch=100)

    async def work():
        batcher = Batcher()
        await asyncio.gather(*[batcher.predict(m, rows(1)) for m in (old, old, new, new, old)])

    asyncio.run(work())
    assert (old.batches, new.batches) == ([2, 1], [2])


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_a_fault_of_the_model_reaches_the_batch_and_no_other(price):
    model = Model(best_batch=1, price=price)

    async def work():
        batcher = Batcher(max_wait=1e9)
        requests = [batcher.predict(model, rows(value)) for value in (1, np.nan, 2)]
        return await asyncio.gather(*requests, return_exceptions=True)

    first, second, third = asyncio.run(work())
    assert (first.tolist(), third.tolist()) == ([1], [2])
    assert isinstance(second, ValueError)


def test_a_client_that_gave_up_does_not_hold_the_others_up():
    gate = threading.Event()
    model = Model(best_batch=100, price=1.0, gate=gate)

    async def work():
        batcher = Batcher(max_wait=1e9)
        tasks = [asyncio.create_task(batcher.predict(model, rows(i))) for i in range(3)]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(work())
    assert (first.tolist(), third.tolist()) == ([0], [2])
    assert isinstance(second, asyncio.CancelledError)


def test_batches_are_counted():
    meters = Meters()

    async def work():
        batcher = Batcher(meters=meters)
        await asyncio.gather(*[batcher.predict(Model(), rows(1)) for _ in range(3)])

    asyncio.run(work())
    text = meters.text().decode()
    assert "aifactory_rows_total 3.0" in text
    assert "aifactory_batch_rows_count 3.0" in text
    assert "aifactory_queue_rows 0.0" in text
