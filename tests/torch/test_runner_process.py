"""The runner as the kubelet sees it: environment in, termination message and exit code out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from wattmark.api.benchmarkjob import Progress
from wattmark.api.order import RunOrder
from wattmark.api.report import EXIT_CODES, EXIT_TERMINATED, REPORT_LIMIT_BYTES, Report, RunFailure
from wattmark.api.trace import TraceReport
from wattmark.estimate.traced import complete
from wattmark_runner import run

ROOT = Path(__file__).parents[2]
CONFIG = {
    "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "vocab_size": 97, "max_position_embeddings": 64,
}  # fmt: skip
# One forward pass takes minutes on any CPU, and most of them inside a single call into C.
ENDLESS = {
    "model_type": "bert", "hidden_size": 4096, "num_hidden_layers": 1, "num_attention_heads": 4,
    "intermediate_size": 16384, "vocab_size": 97, "max_position_embeddings": 512,
}  # fmt: skip


def order(config: dict[str, object], tokens: int = 8, batch: int = 2, **more: object) -> dict[str, object]:
    sample = {"text": {"inputTokens": tokens}}
    return {
        "runUid": "run-1",
        "modelId": "tiny",
        "weights": "Random",
        "config": json.dumps(config),
        "workload": {"type": "Inference", "inference": {"batchSizePerDevice": batch, "input": sample}},
        "runtime": {},
        "measure": {"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2},
        "gpus": 0,
        "runningSeconds": 120,
        "progressSeconds": 0.2,
    } | more


@contextmanager
def started(text: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(log.parent),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'runner_image'}",
        "WATTMARK_ORDER": text,
        "WATTMARK_POD_UID": "pod-1",
        "WATTMARK_REPORT_PATH": str(log),
    }
    command = [sys.executable, "-m", "wattmark_runner"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(text: str, log: Path) -> tuple[int, list[Progress], str]:
    with started(text, log) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, [Progress.model_validate_json(line) for line in out.splitlines()], err


def until_measuring(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["phase"] == "Measuring":
            return
    raise AssertionError("the runner ended before it measured")


def test_a_run_leaves_a_report_and_progress(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, progress, err = finished(json.dumps(order(CONFIG)), log)
    assert code == 0, err
    report = Report.model_validate_json(log.read_bytes())
    assert report.results is not None and report.failure is None
    assert (report.run_uid, report.pod_uid) == ("run-1", "pod-1")
    assert progress[0].phase == "Loading" and progress[-1].phase == "Measuring"
    shares = [line.percent for line in progress]
    assert shares == sorted(shares)
    assert len(err) < 4096
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]  # nothing else is written, not even in HOME


def test_a_question_is_traced_and_echoed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, progress, err = finished(json.dumps(order(CONFIG, gpus=1, question="digest-1")), log)
    assert code == 0, err
    report = TraceReport.model_validate_json(log.read_bytes())
    assert report.trace is not None and complete(report.trace)
    assert (report.run_uid, report.pod_uid, report.question) == ("run-1", "pod-1", "digest-1")
    assert progress == [] and len(log.read_bytes()) <= REPORT_LIMIT_BYTES


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"config": None, "folder": "/not/there"}, RunFailure.MODEL_NOT_LOADABLE, id="no model"),
        pytest.param({"runtime": {"precision": "fp16-mixed"}}, RunFailure.INVALID_ORDER, id="an impossible workload"),
        pytest.param({"colour": 1}, RunFailure.INVALID_ORDER, id="an order of another version"),
        pytest.param({"runningSeconds": 1}, RunFailure.RUNNING_DEADLINE_EXCEEDED, id="too long"),
    ],
)
def test_a_trace_that_fails_tells_why_and_of_which_question(
    tmp_path: Path, more: dict[str, object], reason: RunFailure
) -> None:
    log = tmp_path / "log"
    told = order(CONFIG, question="digest-1") | more
    asked = {name: value for name, value in told.items() if value is not None}
    code, _, _ = finished(json.dumps(asked), log)
    report = TraceReport.model_validate_json(log.read_bytes())
    assert report.failure is not None and report.failure.reason is reason, report
    assert (code, report.trace, report.question) == (EXIT_CODES[reason], None, "digest-1")


def test_sigterm_while_measuring_leaves_no_report(tmp_path: Path) -> None:
    # A window long enough to be met, and a warm-up, which takes a tenth of it, that is not.
    asked = order(CONFIG, measure={"warmupIterations": 1, "windowSeconds": 20, "minIterations": 2})
    with started(json.dumps(asked), tmp_path / "log") as process:
        until_measuring(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == EXIT_TERMINATED
    assert not (tmp_path / "log").exists()


def test_sigterm_inside_a_long_kernel_is_answered(tmp_path: Path) -> None:
    with started(json.dumps(order(ENDLESS, tokens=512, batch=64)), tmp_path / "log") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(8)  # into the first forward pass, or on the way to it
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == EXIT_TERMINATED
    assert not (tmp_path / "log").exists()


def test_the_deadline_ends_a_run_that_is_stuck_in_a_kernel(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, _, _ = finished(json.dumps(order(ENDLESS, tokens=512, batch=64, runningSeconds=10)), log)
    assert code == EXIT_CODES[RunFailure.RUNNING_DEADLINE_EXCEEDED]
    report = Report.model_validate_json(log.read_bytes())
    assert report.failure is not None and report.failure.reason is RunFailure.RUNNING_DEADLINE_EXCEEDED
    assert report.results is None and report.pod_uid == "pod-1"


def test_the_deadline_is_seen_between_iterations_without_a_process_of_its_own() -> None:
    body = order(CONFIG, measure={"warmupIterations": 1, "windowSeconds": 600, "minIterations": 2}, runningSeconds=2)
    report = run(RunOrder.model_validate(body))
    assert report.failure is not None and report.failure.reason is RunFailure.RUNNING_DEADLINE_EXCEEDED
    assert "2 s" in report.failure.message


@pytest.mark.parametrize(
    ("text", "uid", "words"),
    [
        pytest.param("", "", "WATTMARK_ORDER", id="no order"),
        pytest.param("{", "", "WATTMARK_ORDER", id="no JSON"),
        pytest.param(
            '{"runUid": "run-9", "colour": 1}', "run-9", "different versions", id="an order of another version"
        ),
        pytest.param('{"runUid": 7}', "", "runUid", id="a UID that is no string"),
    ],
)
def test_an_order_that_cannot_be_read(tmp_path: Path, text: str, uid: str, words: str) -> None:
    code, progress, _ = finished(text, tmp_path / "log")
    assert code == EXIT_CODES[RunFailure.INVALID_ORDER] and progress == []
    report = Report.model_validate_json((tmp_path / "log").read_bytes())
    assert report.run_uid == uid
    assert report.failure is not None and words in report.failure.message


def test_a_report_that_cannot_be_written_is_no_success(tmp_path: Path) -> None:
    code, _, err = finished("", tmp_path / "no" / "log")
    assert code == EXIT_CODES[RunFailure.RUNNER_ERROR]
    assert "cannot be written" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there() -> None:
    report = run(RunOrder.model_validate(order(CONFIG, gpus=1)))
    assert report.failure is not None and report.failure.reason is RunFailure.DEVICE_UNAVAILABLE
    assert "runtimeClassName" in report.failure.message and "device plugin" in report.failure.message


def test_device_memory_that_runs_out_in_an_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    import wattmark_runner.workloads
    from wattmark_runner.iteration import Iteration, Timing

    calls = []

    def iterate() -> Timing:
        calls.append(1)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return Timing(0.001)

    monkeypatch.setattr(wattmark_runner.workloads, "workload", lambda *_: Iteration(iterate, samples=1))
    report = run(RunOrder.model_validate(order(CONFIG)))
    assert report.failure is not None and report.failure.reason is RunFailure.DEVICE_OUT_OF_MEMORY
    assert "batchSizePerDevice" in report.failure.message and "20.00 MiB" in report.failure.message
    assert report.results is None and report.environment is not None and report.environment.device == "cpu"


def test_the_process_answers_signals_before_it_imports_what_is_slow() -> None:
    code = (
        "import sys, wattmark_runner.__main__;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'pydantic')))"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'runner_image'}"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
