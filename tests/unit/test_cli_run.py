"""`wattmark run`: what is decided before a runner is started; tests/torch starts one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wattmark.cli import local_runner
from wattmark.cli.command import main
from wattmark.models import lookup

ROOT = Path(__file__).parents[2]
HEAD = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "BenchmarkJob", "metadata": {"name": "a"}}


def ran(folder: Path, spec: dict[str, Any], *arguments: str) -> int:
    (folder / "job.json").write_text(json.dumps({**HEAD, "spec": spec}), encoding="utf-8")
    return main(["run", "-f", str(folder / "job.json"), *arguments, "-o", "json"])


ON_CPU = {"resources": {"gpusPerNode": 0}}
REFUSED = [
    pytest.param({"model": {"id": "x", "source": {"type": "Registry"}}}, "UnknownModel", id="an unknown model"),
    pytest.param(
        {"model": {"id": "gpt2"}, "runtime": {"precision": "fp16-mixed"}}, "ImpossiblePrecision", id="a wrong precision"
    ),
    pytest.param(
        {"model": {"id": "gpt2"}, "workload": {"type": "Inference", "inference": {"input": {"image": {}}}}},
        "ImpossibleInput",
        id="an input that the model does not take",
    ),
]


@pytest.mark.parametrize(("spec", "reason"), REFUSED)
def test_what_cannot_be_run_fails_at_once_as_on_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: dict[str, Any], reason: str
) -> None:
    assert ran(tmp_path, {**ON_CPU, **spec}) == 1
    said = capsys.readouterr()
    status = json.loads(said.out)["status"]
    failed = {c["type"]: c["reason"] for c in status["conditions"] if c["status"] == "True"}
    assert failed["Failed"] == reason and status["phase"] == "Failed" and "results" not in status
    assert said.err == ""


def test_a_suspended_run_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(tmp_path, {"model": {"id": "gpt2"}, **ON_CPU, "suspend": True}) == 1
    assert json.loads(capsys.readouterr().out)["status"]["phase"] == "Suspended"


def test_a_folder_without_a_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(tmp_path, {"model": {"id": "mine"}, **ON_CPU}, "--model-folder", str(tmp_path)) == 1
    assert "config.json cannot be read" in capsys.readouterr().out


def test_packages_that_are_missing_are_named_with_what_installs_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_runner, "find_spec", lambda name: None if name in ("torch", "peft") else object())
    assert ran(tmp_path, {"model": {"id": "gpt2"}, **ON_CPU}) == 2
    said = capsys.readouterr().err
    assert "torch, peft not installed" in said and "pip install 'wattmark[runner]'" in said


# Stands for the runner: reports where it is told to, or waits until it is ended.
STAND_IN = """
import json, os, sys, time
print(json.dumps({"phase": "Measuring", "percent": 1}), flush=True)
order = json.loads(os.environ["WATTMARK_ORDER"])
if order["modelId"] == "waits":
    open(os.environ["WAITS_HERE"], "w").write(str(os.getpid()))
    time.sleep(60)
text = {"long": "x" * 5000, "nothing": ""}.get(order["modelId"], "{}")
if text:
    os.write(os.open(os.environ["WATTMARK_REPORT_PATH"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), text.encode())
"""


@pytest.fixture
def standing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wattmark_runner.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(local_runner, "find_spec", lambda _: object())
    monkeypatch.setenv("WAITS_HERE", str(tmp_path / "waits"))
    return tmp_path


def asked(model: str) -> dict[str, Any]:
    known = lookup("bert-tiny")
    assert known is not None
    inline = {"config": json.dumps(dict(known.config))}
    return {"model": {"id": model, "source": {"type": "Inline", "inline": inline}}, **ON_CPU}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param("nothing", "NoReport", id="none"),
        pytest.param("long", "ReportTooLarge", id="one that is too long"),
        pytest.param("other", "ReportMalformed", id="one that is none"),
    ],
)
def test_a_report_that_cannot_be_used(
    standing_in: Path, capsys: pytest.CaptureFixture[str], model: str, reason: str
) -> None:
    assert ran(standing_in, asked(model)) == 1
    said = capsys.readouterr()
    assert said.err == "wattmark: 1 % measuring\n"
    conditions = {c["type"]: c["reason"] for c in json.loads(said.out)["status"]["conditions"]}
    assert conditions["Failed"] == reason


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda v: str(int(v))
)
def test_a_signal_ends_the_runner_as_well_and_says_little(standing_in: Path, number: signal.Signals, code: int) -> None:
    (standing_in / "job.json").write_text(json.dumps({**HEAD, "spec": asked("waits")}))
    command = (
        "import sys; from wattmark.cli import command, local_runner; local_runner.find_spec = lambda _: object();"
        "sys.exit(command.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(standing_in), str(ROOT / "operator")))}
    process = subprocess.Popen(
        [sys.executable, "-c", command, "run", "-f", str(standing_in / "job.json")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A script's background command ignores Ctrl-C, and so would this process.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    waits, give_up = standing_in / "waits", time.monotonic() + 60
    while not (waits.exists() and waits.read_text()) and time.monotonic() < give_up:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == "" and "Traceback" not in err
    assert not Path(f"/proc/{waits.read_text()}").exists()


def test_without_the_command_lines_own_packages_they_are_named() -> None:
    code = (
        "import sys; sys.modules['yaml'] = None; from wattmark.cli import main; sys.argv[1:] = ['run', '-f', 'x'];"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "pip install 'wattmark[cli]'" in done.stderr and "Traceback" not in done.stderr
