"""`wattmark run`: one BenchmarkJob on this machine, through the operator's own decisions and the runner itself."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattmark import preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.conditions import ConditionStatus, ConditionType
from wattmark.api.order import ORDER_VARIABLE, POD_UID_VARIABLE, REPORT_PATH_VARIABLE, RunOrder
from wattmark.cli.manifest import one, printed, shown
from wattmark.decide import benchmark, summary
from wattmark.decide.plan import CreateJob, Identity, Plan, Seen
from wattmark.identity import BENCHMARK_JOB, run_name
from wattmark.manifests import Asked, Runner, order
from wattmark.observe import Ended, SeenJob, SeenPod
from wattmark.progress import last_progress

PROGRESS_SECONDS = 2.0
LOCAL_RUNNER = Runner(image="local", pull_policy="Never", pull_secrets=(), progress_seconds=PROGRESS_SECONDS)


def run(file: Path, model_folder: Path | None, form: str) -> int:
    """Run the file's BenchmarkJob and print its status; the exit code. Raises InvalidManifest."""
    name, spec = one(file, BENCHMARK_JOB, BenchmarkJobSpec)
    local = _Local(name, spec, str(uuid.uuid4()), time.time())
    facts = _facts(spec, model_folder)
    found = preflight.for_benchmark(spec, facts, None)
    before = benchmark.decide(local.seen(BenchmarkJobStatus(), found), local.began, LOCAL_RUNNER)
    assert before.status is not None  # a first decision always has something to say
    status = before.status
    if any(isinstance(action, CreateJob) for action in before.actions):
        config = None if model_folder else found.config
        told = order(Asked("local", name, local.uid, config, None, None), spec, PROGRESS_SECONDS)
        if model_folder:
            told = told.model_copy(update={"folder": str(model_folder.resolve()), "hub": None})
        pod = _run_here(told, local)
        after: Plan = benchmark.decide(local.seen(status, None, pod), time.time(), LOCAL_RUNNER)
        assert after.status is not None  # an ended Pod always decides the run
        status = after.status
    print(printed([shown(BENCHMARK_JOB, name, status)], form))
    complete = any(c.type is ConditionType.COMPLETE and c.status is ConditionStatus.TRUE for c in status.conditions)
    return 0 if complete else 1


def _facts(spec: BenchmarkJobSpec, folder: Path | None) -> preflight.Facts | preflight.Refusal:
    """What is known of the model without asking anybody: from folder, registry or manifest."""
    if folder is not None:
        try:
            return preflight.of_config(json.loads((folder / "config.json").read_text("utf-8")))
        except (OSError, ValueError) as error:
            return preflight.unreadable(f"{folder / 'config.json'} cannot be read: {error}")
    if preflight.wanted_of_hub(spec.model) is not None:
        return preflight.opaque("the runner reads its configuration from the hub")
    return preflight.facts(spec.model, None)


@dataclass(frozen=True, slots=True)
class _Local:
    """This run in the terms of the cluster: the process stands for the Pod."""

    name: str
    spec: BenchmarkJobSpec
    uid: str
    began: float

    def seen(self, status: BenchmarkJobStatus, found: preflight.Preflight | None, pod: SeenPod | None = None) -> Seen:
        """What the operator would see, before the run or after it."""
        identity = Identity("local", self.name, self.uid, 1, self.began, False)
        return Seen(identity, self.spec, status, self.job() if pod else None, (pod,) if pod else (), found)

    def job(self) -> SeenJob:
        """The Job that this process stands for."""
        return SeenJob(
            namespace="local",
            name=run_name(self.name),
            uid=self.uid,
            owner_kind=BENCHMARK_JOB,
            owner_name=self.name,
            owner_uid=self.uid,
            created=self.began,
            deleting=False,
            suspended=False,
            ttl=None,
            succeeded=False,
            failed_reason="",
            failed_message="",
            finished=False,
        )

    def pod(self, pid: int, started: float, exit_code: int, report: str) -> SeenPod:
        """The ended process as the kubelet would tell of it."""
        return SeenPod(
            namespace="local",
            name=f"process-{pid}",
            uid=self.uid,
            owner_uid=self.uid,
            benchmark=self.name,
            created=started,
            node=platform.node(),
            phase="Succeeded" if exit_code == 0 else "Failed",
            reason="",
            message="",
            deleting=False,
            unschedulable="",
            disruption="",
            waiting_reason="",
            waiting_message="",
            running_since=None,
            ended=Ended(exit_code, "", report, started, time.time()),
            image_id="",
        )


def _run_here(told: RunOrder, local: _Local) -> SeenPod:
    """Run the runner as a process of its own, as the kubelet would; progress goes to standard error."""
    with tempfile.TemporaryDirectory(prefix="wattmark-") as folder:
        report = Path(folder) / "report"
        environment: dict[str, Any] = {
            **os.environ,
            ORDER_VARIABLE: told.model_dump_json(by_alias=True, exclude_none=True),
            POD_UID_VARIABLE: local.uid,
            REPORT_PATH_VARIABLE: str(report),
        }
        started = time.time()
        with subprocess.Popen(
            [sys.executable, "-m", "wattmark_runner"], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                _show(line)
        text = report.read_text("utf-8", errors="replace") if report.exists() else ""
        code = process.returncode
        return local.pod(process.pid, started, code if code >= 0 else 128 - code, text)


def _show(line: str) -> None:
    progress = last_progress(line.encode())
    if progress is not None:
        print(f"wattmark: {summary.progress_text(progress)}", file=sys.stderr, flush=True)
