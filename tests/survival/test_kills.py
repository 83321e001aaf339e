"""The campaign of kills keeps its own promises; `python -m tests.benchmarks kill` runs it."""

from tests.survival import killing
from tests.survival.killing import Kill, Spoken

SEED = 5
SAID = Spoken([(1.0, "etl …"), (3.0, "  etl: 5 rows"), (3.5, "train …"), (9.0, "  train: 5 rows")])


def test_moments_are_drawn_in_the_order_of_the_run_and_from_the_seed():
    kills = killing.plan(SAID, 50, SEED)
    assert kills == killing.plan(SAID, 50, SEED) != killing.plan(SAID, 50, SEED + 1)
    order = list(SAID.gaps())
    assert [order.index(kill.after) for kill in kills] == sorted(order.index(kill.after) for kill in kills)
    assert {kill.after for kill in kills} == {"start", "etl", "after etl", "train"}
    assert all(0 <= kill.seconds <= SAID.gaps()[kill.after] for kill in kills)
    assert {kill.whole for kill in kills} == {True, False}


def test_a_killed_run_is_told_from_one_that_ended_and_its_children_are_found(tmp_path):
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    words = f"{child}; print('etl …', flush=True); import time; time.sleep(60)"
    command = [killing.python("base64")[0], "-c", words]
    spoken = killing.run(command, tmp_path / "whole", Kill("etl", 0.0, whole=True))
    assert (spoken.code, spoken.last) == (-9, "etl")
    assert killing.gone(tmp_path / "whole") == []
    spoken = killing.run(command, tmp_path / "alone", Kill("etl", 0.0, whole=False), wait=False)
    assert spoken.code == -9
    assert len(killing.gone(tmp_path / "alone", seconds=0.0)) == 1, "who lives on is named, and ended"
    assert killing.left(tmp_path / "alone") == []
