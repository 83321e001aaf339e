"""The jobs that lessons send: a training that goes on is the training that was never stopped."""

import pytest

from aifactory_lab.fleet import Fleet, examples


def test_a_training_goes_on_from_any_step_to_the_same_loss(tmp_path):
    whole = examples.Training(tmp_path / "whole", steps=8, seconds=0.0)
    loss = whole()
    for step in (1, 5, 8):
        folder = tmp_path / str(step)
        examples.Training(folder, steps=step, seconds=0.0)()
        again = examples.Training(folder, steps=8, seconds=0.0)
        assert again() == loss
        assert again.steps_done() == [*range(8)]


def test_what_is_to_run_after_a_preemption_is_the_same_training(tmp_path):
    training = examples.Training(tmp_path / "a", steps=2, seconds=0.0)
    training()
    assert training.checkpoint().result() == training()
    assert training.steps_done() == [0, 1]


@pytest.mark.parametrize(("call", "args", "gives"), [("hold", (0.0,), "done"), ("note", ("first",), "first")])
def test_they_run_as_jobs(tmp_path, call, args, gives):
    words = (str(tmp_path / "lines"), *args) if call == "note" else args
    assert Fleet("inline", folder=tmp_path).submit(getattr(examples, call), *words).result() == gives
