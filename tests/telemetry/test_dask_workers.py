"""A Dask cluster as a source: real worker processes, busy, stopped, killed, joining and leaving."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import numpy as np
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.dask.answers import METRICS, NAME
from aifactory_lab.telemetry.dask.workers import DaskSource, _plugin
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import Sampler
from tests.telemetry.driver import FakeDriver
from tests.telemetry.scripted import wait_for

PERIOD = 0.1


@contextmanager
def cluster(workers=2, **options):
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 2, "memory_limit": "1GiB", "dashboard_address": ":0", **options}
    with LocalCluster(n_workers=workers, **options) as local, Client(local) as client:
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # where the workers of this test meet
        with cluster() as client:
            yield client


@pytest.fixture
def sampler(client):
    client.wait_for_workers(2)
    with Sampler(DaskSource(client), period=PERIOD) as sampler:
        wait_for(lambda: column(sampler, "worker 0") == column(sampler, "worker 1") == State.VALUE)
        yield sampler


def column(sampler, name, metric="memory_used"):
    """The state of one metric of an entity by its last name; `None` if there is no such entity."""
    if (latest := sampler.latest) is None:
        return None
    found = [entity.id for entity in latest.layout.entities if entity.path[-1] == name]
    return latest.reading(found[0], metric).state if found else None


def value(sampler, name, metric):
    latest = sampler.latest
    return next(latest.reading(e.id, metric).value for e in latest.layout.entities if e.path[-1] == name)


def pids(client):
    """The process of each worker by name."""
    info = client.scheduler_info(n_workers=-1)["workers"]
    return {info[address]["name"]: pid for address, pid in client.run(os.getpid).items()}


def test_every_worker_is_a_row(client, sampler):
    layout = sampler.layout
    assert [entity.kind for entity in layout.entities] == ["worker", "worker"]
    assert [entity.path[-1] for entity in layout.entities] == ["worker 0", "worker 1"]
    assert layout.entities[0].path[:2] == ("this site", "this rack")
    assert layout.entities[0].name == "Dask worker, 2 threads"
    assert set(layout.metrics) == set(METRICS)
    assert (layout.origin, client.scheduler.address in layout.label) == ("measured", True)
    latest = sampler.latest
    assert (latest.states == State.VALUE).all()
    assert (latest.column("memory_total") == 2**30).all()
    assert (latest.column("memory_used") > 1e6).all()
    wait_for(lambda: len(sampler.facts) == 2)
    details = sampler.facts[layout.entities[0].id].details
    assert details["threads"] == "2"
    assert details["address"].startswith("tcp://")


def test_a_worker_that_computes_on_all_threads_does_not_stall_the_rows(client, sampler, tmp_path):
    def spin(number, stop):
        while not stop.exists():
            number = (number * 1_103_515_245 + 12_345) % 2**31
        return number

    tasks = client.map(spin, range(6), stop=tmp_path / "stop", pure=False)
    try:
        wait_for(lambda: value(sampler, "worker 0", "running") == value(sampler, "worker 1", "running") == 2)
        wait_for(lambda: value(sampler, "worker 0", "busy") > 0)
        before = client.scheduler_info(n_workers=-1)["workers"]
        samples = sampler.cost.samples
        wait_for(lambda: sampler.cost.samples >= samples + 15)
        wait_for(lambda: heard_since(client, before))
        wait_for(lambda: column(sampler, "worker 0") == column(sampler, "worker 1") == State.VALUE)
        assert value(sampler, "worker 0", "running") == 2, "they still compute"
    finally:
        (tmp_path / "stop").touch()
    client.gather(tasks)
    wait_for(lambda: value(sampler, "worker 0", "running") == 0)


def heard_since(client, before):
    after = client.scheduler_info(n_workers=-1)["workers"]
    return all(after[address]["last_seen"] > before[address]["last_seen"] for address in before)


def test_a_worker_that_stands_still_is_stale_alone(client, sampler):
    stopped = pids(client)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        wait_for(lambda: (column(sampler, "worker 0"), column(sampler, "worker 1")) == (State.STALE, State.VALUE))
        assert "no heartbeat" in sampler.latest.notes[0]
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_for(lambda: column(sampler, "worker 0") == State.VALUE)


def test_a_dead_worker_is_lost_alone_until_it_is_back(client, sampler):
    layout = sampler.layout
    os.kill(pids(client)[1], signal.SIGKILL)
    wait_for(lambda: (column(sampler, "worker 0"), column(sampler, "worker 1")) == (State.VALUE, State.LOST))
    assert sampler.latest.notes == (f"{layout.entities[1].id} is gone",)
    wait_for(lambda: column(sampler, "worker 1") == State.VALUE, seconds=60)
    assert sampler.layout is layout, "the nanny brought it back into its row"


def test_workers_join_and_leave(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with cluster(1, threads_per_worker=1) as client, Sampler(DaskSource(client), period=PERIOD) as sampler:
        wait_for(lambda: column(sampler, "worker 0") == State.VALUE)
        client.cluster.scale(2)
        wait_for(lambda: column(sampler, "worker 1") == State.VALUE, seconds=60)
        client.cluster.scale(1)
        wait_for(lambda: len(sampler.layout.entities) == 1)
        left = sampler.layout.entities[0].id
        assert sampler.latest.reading(left, "memory_used").state == State.VALUE
        assert np.isfinite(sampler.ring.history().series(left, "memory_used")[1]).any(), "history moved along"


def test_a_closed_client_is_said(client):
    from distributed import Client

    with Client(client.scheduler.address, set_as_default=False) as other:
        sampler = Sampler(DaskSource(other, gpus=False), period=PERIOD)
        wait_for(lambda: column(sampler, "worker 0") == State.VALUE)
    wait_for(lambda: column(sampler, "worker 0") == column(sampler, "worker 1") == State.LOST)
    assert "is closed" in sampler.latest.notes[0]
    sampler.close()


def test_nobody_answers():
    with pytest.raises(TelemetryError, match=r"scheduler tcp://127.0.0.1:1 does not answer"):
        _ = DaskSource("tcp://127.0.0.1:1", timeout=0.3).layout


def test_an_address_is_enough_and_nothing_is_left(client):
    address, before = client.scheduler.address, len(client.scheduler_info()["workers"])
    with DaskSource(address, gpus=False, site="lab", racks={"127.0.0.1": "rack 7"}) as source:
        snapshot = source.sample()
        assert len(snapshot.layout.entities) == before
        assert snapshot.layout.entities[0].path == ("lab", "rack 7", "127.0.0.1", "worker 0")
        own = source._own
    assert own.status == "closed"
    assert client.status == "running"


def test_the_plugin_is_taken_off_again(client):
    def plugins(dask_worker):
        return NAME in dask_worker.plugins, NAME in dask_worker.metrics

    def threads():
        import threading

        return [thread.name for thread in threading.enumerate()]

    client.wait_for_workers(2)
    with DaskSource(client) as source:
        source.sample()
        assert "aifactory-gpu-reports" in str(client.run(threads))
        assert set(client.run(plugins).values()) == {(True, True)}
        with DaskSource(client):
            pass  # another viewer, who takes it off when he goes …
        source._install_due = 0.001
        wait_for(lambda: source.sample() and set(client.run(plugins).values()) == {(True, True)})  # … and it is back
    assert set(client.run(plugins).values()) == {(False, False)}
    wait_for(lambda: "aifactory" not in str(client.run(threads)))


def test_a_client_on_the_notebooks_loop_is_left_alone(client):
    from distributed import Client

    async def notebook():
        async with Client(client.scheduler.address, asynchronous=True, set_as_default=False) as own:
            source = DaskSource(own, gpus=False)
            sampler = Sampler(source, period=PERIOD)
            time.sleep(1.0)
            samples = sampler.cost.samples
            assert source._own is not own
            sampler.close()
            return samples, sampler.ring.history()

    samples, history = asyncio.run(notebook())
    assert samples >= 3
    assert (history.states == State.VALUE).all()


def test_a_worker_without_this_package_starts_all_the_same():
    from distributed.protocol.pickle import dumps

    code = (
        "import sys; sys.modules['aifactory_lab'] = None\n"
        "from distributed.protocol.pickle import loads\n"
        "plugin = loads(sys.stdin.buffer.read())\n"
        "class Worker: metrics = {}\n"
        "plugin.setup(Worker)\n"
        f"print(Worker.metrics[{NAME!r}](Worker)['words'])\n"
        "plugin.teardown(Worker)\n"
        "print(Worker.metrics)"
    )
    plugin = dumps(_plugin("tcp://nowhere"))
    done = subprocess.run([sys.executable, "-c", code], input=plugin, capture_output=True, check=True)
    words, left = done.stdout.decode().splitlines()
    assert words.startswith("aifactory_lab is not installed on the worker")
    assert left == "{}"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Four GPUs for the processes that are born from now on; this one has none."""
    if not (shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("no C compiler here to build the stand-in for NVIDIA's library (make system-deps brings gcc)")
    driver = FakeDriver(tmp_path, 4)
    for name, text in driver.environment().items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return driver


def test_the_gpus_of_a_node_are_rows_once_and_outlive_the_worker_that_tells_them(driver):
    driver.gpu(1).update(power_mw=350_000)
    with cluster(2, threads_per_worker=1) as client, Sampler(DaskSource(client), period=PERIOD) as sampler:
        wait_for(lambda: column(sampler, "gpu 3", "power") == State.VALUE)
        wait_for(lambda: column(sampler, "worker 1") == State.VALUE)
        entities = sampler.layout.entities
        assert [entity.path[-1] for entity in entities] == [*(f"gpu {i}" for i in range(4)), "worker 0", "worker 1"]
        assert len({entity.uid for entity in entities}) == 6
        assert value(sampler, "gpu 1", "power") == 350.0
        assert column(sampler, "gpu 1", "running") == column(sampler, "worker 0", "power") == State.UNSUPPORTED
        wait_for(lambda: sampler.facts.get(entities[0].id) and len(speakers(sampler)) == 1)
        with urlopen(client.dashboard_link.replace("/status", "/json/identity.json")) as answer:
            assert b"NVIDIA H100" in answer.read(), "what Dask tells as JSON still can be told"
        driver.lose(2)
        wait_for(lambda: column(sampler, "gpu 2", "power") == State.LOST)
        assert column(sampler, "gpu 1", "power") == State.VALUE
        # the worker that tells the GPUs dies: the other one tells them, new values too
        speaker = speakers(sampler)[0]
        os.kill(pids(client)[speaker], signal.SIGKILL)
        driver.gpu(1).update(power_mw=450_000)
        wait_for(lambda: value(sampler, "gpu 1", "power") == 450.0)
        assert speakers(sampler) != [speaker]


def speakers(sampler):
    """The names of the workers that tell GPUs."""
    workers = [entity for entity in sampler.layout.entities if entity.kind == "worker"]
    told = {entity.uid: sampler.facts.get(entity.id) for entity in workers}
    return [int(name) for name, facts in told.items() if facts and "GPUs" not in facts.details]
