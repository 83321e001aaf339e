"""A real Slurm comes up, is repaired, keeps its jobs and its ids, and leaves nothing behind."""

import base64
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, private
from aifactory_lab.fleet.private import daemons, processes, programs
from aifactory_lab.fleet.private.places import Places
from tests.fleet import patience, work

ROOT = Path(__file__).parents[3]
PATIENT = 90.0  # seconds
until = partial(patience.until, seconds=PATIENT)
SECRET = "token-of-the-notebook"


def ask(plant, *command: str) -> str:
    told = {**os.environ, "SLURM_CONF": str(plant.conf)}
    command = (programs.program(command[0]), *command[1:])
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def send(plant, script: str, *wishes: str) -> str:
    out = plant.folder / "%j.txt"
    return ask(plant, "sbatch", "--parsable", "-A", "vision", "-q", "spare", "-o", str(out), *wishes, "--wrap", script)


def states(plant, *jobs: str) -> dict[str, str]:
    told = (line.split() for line in ask(plant, "squeue", "-h", "-a", "-t", "all", "-o", "%A %T").splitlines())
    return {job: state for job, state in told if not jobs or job in jobs}


def silent(folder) -> list[str]:
    return [name for name, pid in private.status(folder).processes.items() if pid is None]


def remembered(plant, job: str) -> None:
    """Change a job, and wait until slurmctld has written that down, which it does every few seconds."""
    memory, word = Places(plant.folder).state / "job_state", f"remember{time.time_ns()}"
    ask(plant, "scontrol", "update", f"jobid={job}", f"comment={word}")
    until(lambda: memory.exists() and word.encode() in memory.read_bytes(), "slurmctld keeps no state")


def ours(folder: Path) -> list[psutil.Process]:
    """Every process that has to do with a folder, by its command or its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), *process.environ().values()])
        except (psutil.Error, OSError):
            continue
        if str(folder) in told and process.pid != os.getpid():
            found.append(process)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder too deep for the name of a socket."""
    return tmp_path_factory.mktemp("plants") / "a_folder_deeper_than_the_name_of_a_socket_may_be_long" / "by_far" / "f"


@pytest.fixture(scope="module")
def plant(folder):
    if missing := programs.missing():
        pytest.skip(f"no {', '.join(missing)} here: make system-deps brings them")
    os.environ["AIFACTORY_TEST_SECRET"] = SECRET
    yield private.up(folder, nodes=2, gpus_per_node=2, projects={"vision": 3, "nlp": 1}, pretend=True)
    del os.environ["AIFACTORY_TEST_SECRET"]
    run = Path(Places(folder).load()["run"])
    assert set(private.down(folder).processes.values()) == {None}
    assert ours(folder) == []
    assert not run.exists()


def test_it_is_up_says_what_it_is_and_stays_as_it_is(plant, folder):
    assert plant.state == "up"
    assert plant.words == "up: 2 nodes of 2 GPUs and 8 CPUs each (pretend GPUs: counted, nothing behind them)"
    assert (plant.pretend, plant.note) == (True, "pretend GPUs: counted, nothing behind them")
    assert private.up(folder) == private.status(folder) == plant
    quotas = ask(plant, "sacctmgr", "-n", "-P", "show", "qos", "format=name,grptres").split()
    assert {"vision-quota|gres/gpu=3", "nlp-quota|gres/gpu=1"} <= set(quotas)
    with pytest.raises(FleetError, match="a plant of 2 nodes of 2 GPUs") as caught:
        private.up(folder, nodes=3)
    assert "aifactory fleet down" in caught.value.mend


def test_a_job_gets_gpus_of_its_node(plant):
    job = send(plant, "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES", "--gres=gpu:2")
    said = plant.folder / f"{job}.txt"
    assert until(lambda: said.exists() and said.read_text().split(), "no job runs") == ["n1", "0,1"]


def test_it_listens_on_loopback_only_and_the_database_on_no_port(plant):
    listening = {}
    for name, pid in plant.processes.items():
        connections = psutil.Process(pid).net_connections(kind="inet")
        listening[name] = {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}
    assert {address.ip for addresses in listening.values() for address in addresses} == {"127.0.0.1"}
    assert {name: {port} for name, port in plant.ports.items()} == {
        name: {address.port for address in addresses} for name, addresses in listening.items() if addresses
    }
    assert listening["mariadbd"] == listening["munged"] == set()


def test_nothing_secret_is_told(plant):
    places = Places(plant.folder)
    key = places.key.read_bytes()
    secrets = [key[:32], base64.b64encode(key)[:40], key.hex()[:64].encode(), SECRET.encode()]
    for log in places.logs.iterdir():
        assert not any(secret in log.read_bytes() for secret in secrets), log
    for path in (places.folder, places.key, places.conf, places.dbd, places.database, *places.logs.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "Pass" not in places.dbd.read_text()
    for pid in plant.processes.values():
        assert SECRET not in psutil.Process(pid).environ().values()


def test_what_was_killed_is_repaired_and_its_jobs_are_known(plant, folder):
    runs = send(plant, "sleep 600", "--gres=gpu:2", "-w", "n1")
    waits = send(plant, "sleep 600", "--gres=gpu:1", f"--dependency=after:{runs}+600")
    known = until(lambda: states(plant, runs, waits) == {runs: "RUNNING", waits: "PENDING"}, "no job runs")
    remembered(plant, waits)
    for names in (["slurmctld"], ["mariadbd", "n1"]):
        before = private.status(folder).processes
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        until(lambda: silent(folder) == names, "they live on")  # noqa: B023
        broken = private.status(folder)
        assert broken.words.startswith(f"broken, without {', '.join(names)}: ")
        after = private.up(folder)
        assert after.state == "up"
        kept = {name: pid for name, pid in after.processes.items() if before[name] == pid}
        assert set(kept) == set(before) - set(names)
        assert known
        assert states(plant, runs, waits) == {runs: "RUNNING", waits: "PENDING"}
    accounted = until(lambda: ask(plant, "sacct", "-n", "-X", "-P", "-j", runs, "-o", "JobID,State"), "no accounts")
    assert accounted == f"{runs}|RUNNING"


def test_after_a_power_cut_the_queue_is_there(plant, folder):
    """Every process is gone at once, and with the reboot what lay in /tmp."""
    job = send(plant, "sleep 600", "-w", "n2")
    until(lambda: states(plant, job) == {job: "RUNNING"}, "no job runs")
    remembered(plant, job)
    before = {name: state for name, state in states(plant).items() if state in {"PENDING", "RUNNING"}}
    jobs_left = processes.jobs_left(plant.conf)
    for pid in [*private.status(folder).processes.values(), *(record.pid for record in jobs_left)]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: private.status(folder).state == "down", "something lives on")
    shutil.rmtree(Places(folder).load()["run"])
    after = private.up(folder)
    assert (after.state, after.ports) == ("up", plant.ports)
    assert set(states(plant, *before)) == set(before)
    assert set(states(plant, *before).values()) <= {"PENDING", "RUNNING"}


def test_down_leaves_no_process_and_up_goes_on_where_jobs_were(plant, folder, tmp_path):
    steps = tmp_path / "steps"
    job = Fleet("slurm", folder=folder).submit(work.Steps(str(steps), 80), gpus=1, project="vision")
    until(lambda: job.attempts and steps.exists(), "the training does not begin")
    down = private.down(folder)
    assert (down.state, ours(folder)) == ("down", [])
    assert private.down(folder) == down
    assert 0 < len(steps.read_text().split()) < 80
    with ThreadPoolExecutor() as pool:  # whoever comes second finds it up
        one, other = pool.map(private.up, [folder, folder])
    assert one == other == private.status(folder)
    assert one.ports == plant.ports
    assert job.result(PATIENT) == 80
    assert steps.read_text().split() == [str(step) for step in range(80)]
    assert len(job.attempts) == 2


def test_ids_go_on_even_if_slurmctld_loses_its_memory(plant, folder):
    last = send(plant, "true")
    until(lambda: states(plant, last) == {last: "COMPLETED"}, "no job ends")
    books = ("sacct", "-n", "-X", "-P", "-S", "1970-01-02", "-o", "JobIDRaw")
    until(lambda: last in ask(plant, *books).split(), "no accounts")
    private.down(folder)
    shutil.rmtree(Places(folder).state)
    private.up(folder)
    assert int(send(plant, "true")) == int(last) + 1


def test_ids_go_on_behind_the_jobs_whose_files_are_here(tmp_path):
    places = Places(tmp_path)
    assert daemons.last_with_files(places) == 0
    places.jobs.mkdir(parents=True)
    for name in ("7_order.json", "4000_7_order.json", "90_attempts.jsonl", "12345.sh", "notes_99999"):
        (places.jobs / name).touch()
    assert daemons.last_with_files(places) == 4000


@pytest.mark.usefixtures("plant")
def test_what_does_not_start_is_taken_down_again_with_the_line_that_says_why(tmp_path):
    private.status(tmp_path)
    places = Places(tmp_path)
    places.make()
    places.key.write_bytes(b"too short")
    places.key.chmod(0o600)
    with pytest.raises(FleetError, match=r"munged ended at once: munged: Error: .*[Kk]ey") as caught:
        private.up(tmp_path, nodes=1, gpus_per_node=1, pretend=True)
    assert caught.value.mend == f"less {places.log('munged')}"
    assert set(private.status(tmp_path).processes.values()) == {None}
    assert ours(tmp_path) == []


def test_a_stranger_with_our_number_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        file = tmp_path / "n1"
        boot = processes.boot()
        for told in (
            f"{stranger.pid} 1 {boot}",
            f"{stranger.pid} 1 another-boot",
            "nonsense",
            "",
            f"{2**22 + 1} 1 {boot}",
        ):
            file.write_text(told)
            assert processes.recorded(file) is None
        processes.stop([processes.Record(stranger.pid, 1, boot)], 0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_missing_packages_are_named_with_the_line_that_installs_them(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "PATH", str(tmp_path))
    with pytest.raises(FleetError, match="slurm-wlm, slurmdbd, munge, mariadb-server") as caught:
        private.up(tmp_path, pretend=True)
    assert caught.value.mend.startswith("make system-deps  # or: ")
    assert caught.value.mend.endswith("--no-install-recommends slurm-wlm slurmdbd munge mariadb-server")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def newcomer():
    """Name of an ordinary user, made for this test where we may make one; else ourselves."""
    if os.geteuid():
        yield ""
        return
    name = f"factory{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True)


@pytest.mark.usefixtures("plant")
def test_an_ordinary_user_has_one_too(newcomer):
    code = """
        import subprocess, sys, time
        from aifactory_lab.fleet import Fleet, private
        plant = private.up(sys.argv[1], nodes=1, gpus_per_node=2, projects={"nlp": 2}, pretend=True)
        try:
            job = ["sbatch", "--wait", "-A", "nlp", "-q", "nlp-quota", "--gres=gpu:1", "-o", f"{plant.folder}/out.txt"]
            told = {"SLURM_CONF": str(plant.conf), "PATH": "/usr/bin:/bin"}
            subprocess.run([*job, "--wrap", "id -un; echo $CUDA_VISIBLE_DEVICES"], env=told, check=True)
        finally:
            print(plant.state, private.down(plant.folder).state)
    """
    home = Path(tempfile.mkdtemp(prefix="fleet"))  # pytest's own folders are closed to others
    try:
        become = ["setpriv", f"--reuid={newcomer}", f"--regid={newcomer}", "--clear-groups"] if newcomer else []
        if newcomer:
            shutil.chown(home, newcomer, newcomer)
            if subprocess.run(
                [*become, sys.executable, "-c", ""], cwd=ROOT, capture_output=True, check=False
            ).returncode:
                pytest.skip(f"{sys.executable} is closed to other users of this machine: chmod o+x its folders")
        told = {"HOME": str(home), "USER": "root", "PATH": "/usr/bin:/bin"} if newcomer else dict(os.environ)
        command = [*become, sys.executable, "-c", textwrap.dedent(code), str(home)]
        done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=240, check=False)
        assert done.stdout.split()[-2:] == ["up", "down"], done.stderr
        assert (home / "out.txt").read_text().split() == [newcomer or psutil.Process().username(), "0"]
        assert (home / "slurm" / "slurm.conf").stat().st_uid == home.stat().st_uid
        assert ours(home) == []
    finally:
        shutil.rmtree(home)
