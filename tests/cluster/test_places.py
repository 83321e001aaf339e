"""Real workers: started, told, killed, stopped; addresses that answer and those that do not."""

import os
import signal
import socket
import time

import polars as pl
import psutil
import pytest

from aifactory_lab import cluster, device
from aifactory_lab.errors import DeviceError, FleetError


@pytest.fixture(scope="module")
def pair():
    with cluster.start("cpu", workers=2, memory_limit="2GB") as here:
        yield here


def square(x: int) -> tuple[int, int, str]:
    return x * x, pl.thread_pool_size(), os.environ["OMP_NUM_THREADS"]


def test_workers_compute_and_are_told_with_their_processes(pair):
    assert [value for value, _, _ in pair.client.gather(pair.client.map(square, range(4)))] == [0, 1, 4, 9]
    told = pair.workers
    assert told.columns == ["name", "address", "threads", "memory", "device", "pid"]
    assert told["name"].to_list() == ["0", "1"]
    assert set(told["memory"]) == {2_000_000_000}
    assert all(psutil.pid_exists(pid) for pid in told["pid"])
    assert "2 workers of 1 threads, no GPU (cpu was asked for by argument)" in repr(pair)


def test_a_worker_s_libraries_use_its_threads_not_the_whole_machine(pair):
    _, polars, openmp = pair.client.submit(square, 3).result()
    assert (polars, openmp) == (1, "1")


def test_everything_listens_on_this_machine_only(pair):
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in processes for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_a_killed_worker_comes_back_and_its_task_is_run_again(pair):
    before = dict(pair.workers.select("name", "pid").iter_rows())
    running = pair.client.map(slow, range(4))
    time.sleep(0.3)
    os.kill(before["0"], signal.SIGKILL)
    assert pair.client.gather(running) == [0, 1, 2, 3]
    pair.client.wait_for_workers(2, timeout=60)
    after = dict(pair.workers.select("name", "pid").iter_rows())
    assert after["0"] != before["0"]
    assert after["1"] == before["1"]


def slow(x: int) -> int:
    time.sleep(0.5)
    return x


def test_stopping_leaves_no_process(tmp_path):
    here = cluster.start("cpu", workers=1, folder=tmp_path)
    pids = here.workers["pid"].to_list()
    here.stop()
    here.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_an_address_and_a_scheduler_file_lead_to_the_same_workers_which_go_on_afterwards(pair, tmp_path):
    address, file = pair.client.scheduler.address, tmp_path / "scheduler.json"
    pair.client.write_scheduler_file(str(file))
    for where in (address, str(file)):
        with cluster.start(where) as there:
            assert there.workers["pid"].to_list() == pair.workers["pid"].to_list()
            assert there.reason == f"the workers of {where}"
    assert pair.client.submit(pow, 2, 3).result() == 8


def test_a_dead_address_is_said_with_the_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(FleetError, match=f"no Dask scheduler answers at {address}") as caught:
        cluster.start(address)
    assert "cluster.start()" in caught.value.mend


@pytest.mark.parametrize("where", ["moon", "no/such/file.json"])
def test_a_place_that_is_none_is_answered_with_those_that_are(where):
    with pytest.raises(FleetError, match="is neither auto, cpu, gpu, an address"):
        cluster.start(where)


def test_a_file_that_is_no_scheduler_s_is_refused(tmp_path):
    (tmp_path / "scheduler.json").write_text("{}")
    with pytest.raises(FleetError, match="was not written by a Dask scheduler"):
        cluster.start(str(tmp_path / "scheduler.json"))


@pytest.mark.skipif(device.probe().gpus != (), reason="there is a GPU here")
def test_gpus_that_are_not_there_are_refused_and_auto_says_why_it_took_cpus():
    with pytest.raises(DeviceError, match="a GPU was asked for by argument, but"):
        cluster.start("gpu")
    with cluster.start(workers=1) as here:
        assert device.current().reason in here.reason
