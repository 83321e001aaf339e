"""Every reader keeps its promise: for good documents, for cut and broken ones, and for those that once broke it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.contract import REFUSED
from tests.fuzz.mutations import documents
from tests.fuzz.regressions import FOUND
from tests.fuzz.targets import everywhere

TARGETS = [target for _, target in everywhere()]
EXAMPLES = 60
every = pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])


@every
def test_good_documents_are_read(target):
    for seed in target.seeds:
        assert target.ask(seed) is not REFUSED


@every
def test_whatever_comes_is_read_or_refused_in_words(target):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(documents(target.seeds, target.words))
    def keeps_its_promise(document):
        target.ask(document)

    keeps_its_promise()


@every
def test_cut_anywhere(target):
    for seed in target.seeds:
        step = max(1, len(seed) // 40)
        for end in range(0, len(seed), step):
            target.ask(seed[:end])


@given(st.binary())
@settings(derandomize=True, max_examples=30, database=None, deadline=None)
@every
def test_noise(target, data):
    target.ask(data)


NAMED = {target.name: target for target in TARGETS}
CASES = [(name, what, data) for name, cases in FOUND.items() for what, data in cases]


@pytest.mark.parametrize(
    ("name", "data"), [(name, data) for name, _, data in CASES], ids=[f"{n}: {w}" for n, w, _ in CASES]
)
def test_what_once_broke_it(name, data):
    NAMED[name].ask(data)
