"""Endpoints are found while they run, lost when they fail, gone when they say good-bye."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
from aifactory_lab.telemetry.sharing.announced import EndpointsSource, announce, announced
from aifactory_lab.telemetry.sources import Source


class Endpoint(Source):
    """One service, named by its address."""

    def __init__(self, url: str) -> None:
        self.key, self.url, self.closed = url, url, False

    def open(self) -> Layout:
        entity = Entity((self.url,), "service")
        return Layout((entity,), ("requests_rate", "waiting"), "measured", self.url)

    def sample(self) -> Snapshot:
        if "broken" in self.url:
            raise OSError("connection refused")
        return Snapshot.blank(self.layout, time=0.0).put(self.url, requests_rate=5.0)

    def close(self) -> None:
        self.closed = True


def until(true, seconds=30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "private"


def test_an_announcement_lasts_as_long_as_its_block(folder):
    with announce("http://a/metrics", folder), announce("http://b/metrics", folder):
        assert announced(folder) == ["http://a/metrics", "http://b/metrics"]
    assert announced(folder) == []


def test_what_a_killed_process_left_is_swept(folder):
    code = """
import sys, time
from aifactory_lab.telemetry.sharing.announced import announce
with announce("http://killed/metrics", sys.argv[1]):
    print("here", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"here\n"
    assert announced(folder) == ["http://killed/metrics"]
    child.kill()
    until(lambda: announced(folder) == [])  # before its parent has asked how it ended, too
    child.wait()
    child.stdout.close()
    assert list(folder.glob("*.json")) == []


def test_damaged_announcements_are_passed_over(folder):
    with announce("http://a/metrics", folder):
        for name, text in (("1.json", "{"), ("2.json", "[]"), ("3.json", json.dumps({"url": 1}))):
            (folder / name).write_text(text)
        assert announced(folder) == ["http://a/metrics"]


def test_a_folder_that_lets_others_in_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(TelemetryError, match="lets others in"), announce("http://a", tmp_path / "open"):
        pass


def test_endpoints_come_fail_and_go(folder):
    with EndpointsSource(Endpoint, folder=folder) as source:
        assert source.sample().layout.entities == ()
        with announce("http://a", folder), announce("http://broken", folder):
            snapshot = source.sample()
            assert snapshot.reading("http://a", "requests_rate").value == 5.0
            assert str(snapshot.reading("http://a", "waiting")) == "unsupported"
            assert str(snapshot.reading("http://broken", "requests_rate")) == "lost"
            assert snapshot.notes == ("connection refused",)
            assert source.sample().layout is snapshot.layout, "nothing changed: the sampler keeps its ring"
        assert source.sample().layout.entities == ()


def test_a_given_address_is_read_unannounced(folder):
    with EndpointsSource(Endpoint, given=["http://given"], folder=folder) as source:
        assert [entity.id for entity in source.sample().layout.entities] == ["http://given"]
