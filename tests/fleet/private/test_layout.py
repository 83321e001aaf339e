"""How large a plant becomes: from what is asked, what was kept, and what is here."""

import socket

import pytest

from aifactory_lab import device
from aifactory_lab.device import Device, Gpu
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.private import configuration, layout
from aifactory_lab.fleet.private.places import LONGEST, Places, free_ports


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine with as many GPUs as one likes: their device files, and what the driver says."""

    def put(files: list[int], seen: int) -> None:
        for number in files:
            (tmp_path / f"nvidia{number}").touch()
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(layout, "DEVICES", tmp_path)
        found = Device("gpu", "a test", tuple(Gpu("H100", 80 << 30) for _ in range(seen)))
        monkeypatch.setattr(device, "current", lambda **_: found)

    return put


def test_a_machine_without_gpus_pretends_and_says_so(gpus):
    gpus([], 0)
    chosen = layout.chosen(None)
    assert chosen.size == (4, 2, 8, True)
    assert chosen.projects == {"vision": 4, "nlp": 4}
    assert "pretend GPUs: counted, nothing behind them" in chosen.words


def test_real_gpus_are_one_node_in_cudas_order(gpus, tmp_path):
    gpus([10, 2, 1, 0], 4)
    chosen = layout.chosen(None)
    assert (chosen.nodes, chosen.gpus_per_node, chosen.pretend) == (1, 4, False)
    assert [path.name for path in chosen.files(tmp_path)] == ["nvidia0", "nvidia1", "nvidia2", "nvidia10"]
    assert "pretend" not in chosen.words
    places = Places(tmp_path / "fleet")
    places.make()
    configuration.write(places, chosen, free_ports(["slurmctld", "slurmdbd", "n1"], {}), tmp_path)
    assert f"Name=gpu File={tmp_path}/nvidia10\n" in places.gres.read_text()
    assert "Gres=gpu:4,shard:16" in places.conf.read_text()
    assert layout.chosen(None, nodes=2, gpus_per_node=2).pretend
    with pytest.raises(FleetError, match="the real GPUs of one machine are one node's, not 2 nodes'"):
        layout.chosen(None, nodes=2, gpus_per_node=2, pretend=False)
    with pytest.raises(FleetError, match="5 real GPUs asked for; Slurm can hand out 4 here"):
        layout.chosen(None, gpus_per_node=5, pretend=False)


def test_hidden_gpus_are_not_handed_out(gpus):
    gpus([0, 1, 2, 3], 2)
    assert layout.chosen(None).pretend


def test_what_was_kept_holds_until_something_else_is_asked_for():
    first = layout.chosen(None, nodes=3, gpus_per_node=2, projects={"a": 1}, pretend=True)
    assert layout.chosen(first) == first
    assert layout.chosen(first, projects={"b": 6}).projects == {"b": 6}
    assert layout.chosen(first, nodes=1).size == (1, 2, 8, True)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"nodes": 0}, "nodes must be 1 or more; it is 0"),
        ({"gpus_per_node": 1.5}, "gpus_per_node must be 1 or more; it is 1.5"),
        ({"cpus_per_node": -1}, "cpus_per_node must be 1 or more"),
        ({"nodes": 1000}, "at most 64"),
        ({"projects": {"a b": 1}}, "project 'a b'"),
        ({"projects": {"a;rm": 1}}, "project 'a;rm'"),
        ({"projects": {"vision": 9}}, "project vision cannot claim 9 of 8 GPUs"),
        ({"projects": {"vision": -1}}, "cannot claim -1"),
    ],
    ids=str,
)
def test_a_size_that_makes_no_sense_is_refused_with_one_that_does(asked, says):
    with pytest.raises(FleetError, match=says) as caught:
        layout.chosen(None, pretend=True, **asked)
    assert caught.value.mend.startswith("private.up(")


@pytest.mark.parametrize("name", ["a b", "50%", 'quo"te', "a,b", "a#b", "n[1-2]"])
def test_a_folder_whose_name_means_something_to_slurm_is_refused(tmp_path, name):
    with pytest.raises(FleetError, match="has a meaning in its configuration") as caught:
        Places(tmp_path / name).make()
    assert "AIFACTORY_FLEET" in caught.value.mend


def test_a_kept_plant_that_cannot_be_read_is_named(tmp_path):
    places = Places(tmp_path)
    places.make()
    for wrong in ("", "{", "[]", '{"layout": {}}', '{"layout": {"nodes": 1}}'):
        places.kept.write_text(wrong)
        with pytest.raises(FleetError, match=r"plant\.json cannot be read"):
            places.load()


def test_sockets_keep_a_name_that_the_kernel_takes(tmp_path):
    deep = Places(tmp_path / ("d" * 100))
    deep.make()
    run = deep.run()
    assert len(str(run)) <= LONGEST
    assert run.stat().st_mode & 0o077 == 0
    assert deep.run(str(run)) == run
    run.rmdir()  # a reboot empties /tmp
    again = deep.run(str(run))
    assert again != run
    again.rmdir()


def test_ports_are_free_and_kept():
    ports = free_ports(["a", "b", "c"], {})
    assert len(set(ports.values())) == 3
    assert free_ports(["a", "b", "c"], ports) == ports
    with socket.create_server(("127.0.0.1", ports["b"])):
        moved = free_ports(["a", "b", "c"], ports)
        assert moved["b"] != ports["b"]
        assert (moved["a"], moved["c"]) == (ports["a"], ports["c"])
        assert free_ports(["a", "b", "c"], ports, busy=["b"]) == ports
