"""The doctor: sees what is here, says what is missing, and gives the command that mends it."""

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from aifactory_lab import device, doctor
from aifactory_lab.cli import app
from aifactory_lab.device import Gpu, Probe


def found(what: str) -> doctor.Finding:
    return next(f for f in doctor.checkup().findings if f.what == what)


def test_healthy_here_and_every_gap_has_a_mend():
    checkup = doctor.checkup()
    assert checkup.healthy
    assert all(f.mend for f in checkup.findings if f.state != "ok")
    assert {"python", "cores", "memory", "disk", "packages", "cuda driver", "engine"} <= {
        f.what for f in checkup.findings
    }


def test_engine_carries_its_reason(monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert "because: cpu was asked for by AIFACTORY_DEVICE" in found("engine").found


def test_absent_gpu_that_is_asked_for_is_a_gap(monkeypatch):
    monkeypatch.setattr(device, "probe", lambda: Probe(obstacle="no CUDA driver (libcuda.so.1 not found)"))
    monkeypatch.setenv(device.VARIABLE, "gpu")
    finding = found("engine")
    assert finding.state == "gap"
    assert finding.mend == "export AIFACTORY_DEVICE=cpu"
    assert not doctor.checkup().healthy


def test_gpu_without_rapids_names_the_install_line(monkeypatch):
    monkeypatch.setattr(device, "probe", lambda: Probe((Gpu("NVIDIA H200", 150 << 30),), driver="13.0"))
    findings = doctor.checkup().findings
    assert any(f.found == "NVIDIA H200, 150 GiB" for f in findings)
    missing = [f for f in findings if f.found == "not installed"]
    assert missing
    assert all("aifactory-lab[gpu]" in f.mend for f in missing)


def test_wrong_version_and_absent_package():
    wrong = doctor._package(Requirement("polars<1.0"), "")
    assert wrong is not None
    assert "but <1.0 is asked for" in wrong.found
    absent = doctor._package(Requirement("no-such-package>=1"), "")
    assert absent is not None
    assert (absent.state, absent.mend) == ("gap", "pip install 'no-such-package>=1'")


def test_text_and_html_say_the_same():
    checkup = doctor.Checkup((doctor.Finding("disk", "1 GiB <full>", "gap", "rm -r old"),))
    assert "[--] disk" in str(checkup)
    assert "→ rm -r old" in str(checkup)
    assert "1 GiB &lt;full&gt;" in checkup._repr_html_()


def test_slurm_that_does_not_answer_is_a_note_with_the_line_that_starts_one(monkeypatch, tmp_path):
    monkeypatch.setenv("AIFACTORY_FLEET", str(tmp_path))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    finding = found("slurm")
    assert (finding.state, finding.found[:12]) == ("note", "none answers")
    assert finding.mend.endswith("aifactory fleet up")


def test_command_line_exit_codes(monkeypatch):
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    monkeypatch.setenv(device.VARIABLE, "quantum")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "unknown device 'quantum'" in " ".join(result.output.split())


def test_help_names_every_command():
    output = CliRunner().invoke(app, ["--help"]).output
    for command in ("run", "doctor", "datasets", "fleet", "gpu-check"):
        assert command in output


@pytest.mark.parametrize("folder", ["nowhere"])
def test_disk_of_a_missing_folder_is_an_error_of_the_caller(folder):
    with pytest.raises(FileNotFoundError):
        doctor.checkup(folder)


def test_links_are_told_where_they_were_measured_and_the_doctor_measures_none(tmp_path, monkeypatch):
    from aifactory_lab import links

    monkeypatch.setenv("AIFACTORY_WORKSPACE", str(tmp_path / "run"))
    assert (found("links").state, found("links").mend) == ("note", "aifactory links")
    assert not (tmp_path / "run" / "links.json").exists()
    (tmp_path / "run").mkdir(exist_ok=True)
    copy = links.measure(tmp_path / "run", parts=("copy",), size=4 << 20, passes=1).rate("memory_copy")
    assert found("links").found == f"{copy / 1e9:.3g} GB/s memory, one thread"
