"""Which jobs go within the quota: never more than has room, never a gap before them."""

from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.fleet.slurm.lanes import split

NEEDS = st.lists(st.integers(0, 8), max_size=30)


@given(NEEDS, st.integers(-4, 20))
def test_what_goes_within_the_quota_has_room_there(needs, room):
    inside, outside = split(needs, room)
    assert inside + outside == len(needs)
    assert sum(needs[:inside]) <= max(0, room)
    assert outside == 0 or sum(needs[: inside + 1]) > room


@given(NEEDS, st.integers(-4, 20), st.integers(1, 5))
def test_a_bounded_map_stays_together(needs, room, at_most):
    inside, outside = split(needs, room, at_most=at_most)
    assert {inside, outside} <= {0, len(needs)}
    assert inside + outside == len(needs)
    if inside:
        assert sum(sorted(needs)[-at_most:]) <= max(0, room)
