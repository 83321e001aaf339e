"""What the twin's tests share: measurements that others published, where somebody put them."""

import pytest

from aifactory_lab.datasets import places
from tests.datasets.test_cards import stores


@pytest.fixture(params=stores(), ids=str)
def measurements(request, monkeypatch):
    """Each folder that measurements may lie in, named by ``$AIFACTORY_DATA``."""
    monkeypatch.setenv(places.VARIABLE, str(request.param))
    return request.param
