"""What the boards' tests share: comms that keep what was sent, sources that are scripted, one browser."""

import threading
import time

import comm
import pytest
from comm.base_comm import BaseComm

from aifactory_lab.telemetry import Layout, Snapshot, Source, samplers
from tests.telemetry.conftest import make_driver  # noqa: F401 - a fixture
from tests.widgets import plant
from tests.widgets.page import launched


class Kept(BaseComm):
    """A comm without a wire: what would be published is kept."""

    published: list[dict]

    def publish_msg(self, _msg_type, data=None, buffers=None, **_keys):
        if not hasattr(self, "published"):
            self.published = []
        content = (data or {}).get("content")
        if content is not None:
            self.published.append({"content": content, "buffers": list(buffers or [])})

    def messages(self, kind: str) -> list[dict]:
        return [m["content"] for m in getattr(self, "published", []) if m["content"].get("k") == kind]

    def buffers(self, kind: str) -> list[list[bytes]]:
        return [m["buffers"] for m in getattr(self, "published", []) if m["content"].get("k") == kind]

    def say(self, **content) -> None:
        """Speak as the page does."""
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture(autouse=True)
def comms(monkeypatch):
    made: list[Kept] = []

    def create(*args, **keywords):
        made.append(Kept(*args, **keywords))
        return made[-1]

    monkeypatch.setattr(comm, "create_comm", create)
    return made


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    for sampler in samplers():
        sampler.close()
    assert [t.name for t in threading.enumerate() if t.name.startswith("aifactory-sampler")] == []


class Scripted(Source):
    """GPUs that are read as fast as asked, from the scripted plant."""

    period = 0.05

    def __init__(self, layout: Layout, key: str = "scripted") -> None:
        self.key, self._layout, self.second, self.fault = key, layout, 0, ""

    def open(self) -> Layout:
        return self._layout

    def sample(self) -> Snapshot:
        if self.fault:
            raise OSError(self.fault)
        self.second += 1
        return plant.gpu_snapshot(self._layout, float(self.second))

    def facts(self):
        return plant.gpu_facts(self._layout)


@pytest.fixture
def scripted():
    return lambda count=8, key="scripted": Scripted(plant.gpu_layout(count), key)


def until(true, seconds: float = 10.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")  # a browser kept open would leave its event loop running under other tests
def browser(chromium):
    with launched(chromium) as found:
        yield found
