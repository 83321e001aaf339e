"""Options of workers: what a place cannot give is refused there, with the value and the mend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.cluster import Options
from aifactory_lab.device import Device, Gpu
from aifactory_lab.errors import FleetError

PAIR = Device("gpu", "2 × H100", (Gpu("H100", 80 << 30),) * 2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": 0}, "workers must be a whole number, at least 1; it is 0"),
        ({"workers": 1.5}, "it is 1.5"),
        ({"workers": True}, "it is True"),
        ({"threads": -1}, "threads must be a whole number, at least 1; it is -1"),
        ({"protocol": "smoke"}, "protocol 'smoke' is not one of tcp, ucx, ucxx"),
    ],
)
def test_what_no_place_can_give_is_refused(wrong, words):
    with pytest.raises(FleetError, match=words) as caught:
        Options(**wrong)
    assert next(iter(wrong)) in caught.value.mend


@pytest.mark.parametrize("only", [{"rmm_pool": 0.5}, {"protocol": "ucx"}, {"device_memory_limit": "10GB"}])
def test_an_option_of_gpus_is_refused_on_cpus_not_passed_over(only):
    name, value = next(iter(only.items()))
    with pytest.raises(FleetError, match=f"{name}={value!r} is for GPUs, but the workers run on CPUs: no driver"):
        Options(**only).on_cpu("no driver")


def test_options_that_mean_something_on_cpus_are_taken():
    assert "3 workers of 2 threads" in Options(workers=3, threads=2, protocol="tcp").on_cpu("no driver")
    assert "spilling is off" in Options(spill=False).on_cpu("no driver")


def test_every_option_is_refused_for_workers_that_run_already():
    for option in ({"workers": 2}, {"threads": 2}, {"spill": False}, {"memory_limit": 0}, {"folder": "/tmp"}):
        with pytest.raises(FleetError, match=r"cannot be set: the workers of tcp://a:1 are running already"):
            Options(**option).at_address("tcp://a:1")
    assert Options().at_address("tcp://a:1") == "the workers of tcp://a:1"


def test_more_workers_than_gpus_and_a_missing_ucx_are_refused(monkeypatch):
    assert "2 workers with a GPU each (2 × H100)" in Options().on_gpus(PAIR)
    with pytest.raises(FleetError, match="3 workers need as many GPUs; there are 2"):
        Options(workers=3).on_gpus(PAIR)
    monkeypatch.setattr("aifactory_lab.cluster.options.find_spec", lambda _: None)
    with pytest.raises(FleetError, match="needs distributed-ucxx, which is not installed"):
        Options(protocol="ucx").on_gpus(PAIR)


@given(cores=st.integers(1, 512), threads=st.integers(1, 64))
def test_workers_fill_the_cores_and_never_more(cores, threads):
    count = Options(threads=threads).count(cores)
    assert count >= 1
    assert count == 1 or count * threads <= cores < (count + 1) * threads


@given(threads=st.integers(1, 64), spill=st.booleans())
def test_a_worker_s_libraries_get_its_threads(threads, spill):
    settings = Options(threads=threads, spill=spill).settings()
    assert settings["distributed.nanny.pre-spawn-environ.POLARS_MAX_THREADS"] == str(threads)
    assert ("distributed.worker.memory.spill" in settings) == (not spill)
