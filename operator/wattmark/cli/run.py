"""`wattmark run`: one BenchmarkJob on this machine, through the operator's own decisions and the runner itself."""

import json
import platform
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from wattmark import model_facts, preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.conditions import ConditionStatus, ConditionType
from wattmark.cli.hub_here import asks_the_hub
from wattmark.cli.local_runner import RunnerEnded, run_here
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
        ended = run_here(told, local.uid, _Shown())
        after: Plan = benchmark.decide(local.seen(status, None, local.pod(ended)), time.time(), LOCAL_RUNNER)
        assert after.status is not None  # an ended Pod always decides the run
        status = after.status
    print(printed([shown(BENCHMARK_JOB, name, status)], form))
    complete = any(c.type is ConditionType.COMPLETE and c.status is ConditionStatus.TRUE for c in status.conditions)
    return 0 if complete else 1


def _facts(spec: BenchmarkJobSpec, folder: Path | None) -> model_facts.Facts | model_facts.Refusal:
    """What is known of the model without asking anybody: from folder, registry or manifest."""
    if folder is not None:
        try:
            return model_facts.of_config(json.loads((folder / "config.json").read_text("utf-8")))
        except (OSError, ValueError) as error:
            return model_facts.unreadable(f"{folder / 'config.json'} cannot be read: {error}")
    if model_facts.wanted_of_hub(spec.model) is not None:
        print(f"wattmark: {asks_the_hub(spec.model)}", file=sys.stderr)
        return model_facts.opaque("the runner reads its configuration from the hub")
    return model_facts.facts(spec.model, None)


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

    def pod(self, process: RunnerEnded) -> SeenPod:
        """The ended process as the kubelet would tell of it."""
        return SeenPod(
            namespace="local",
            name=f"process-{process.pid}",
            uid=self.uid,
            owner_uid=self.uid,
            of_kind=BENCHMARK_JOB,
            of_name=self.name,
            created=process.started,
            node=platform.node(),
            phase="Succeeded" if process.exit_code == 0 else "Failed",
            reason="",
            message="",
            deleting=False,
            unschedulable="",
            disruption="",
            waiting_reason="",
            waiting_message="",
            running_since=None,
            ended=Ended(process.exit_code, "", process.report, process.started, time.time()),
            image_id="",
        )


class _Shown:
    """Shows progress on standard error, where it changed."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, line: str) -> None:
        """Show one line of the runner's."""
        progress = last_progress(line.encode())
        text = summary.progress_text(progress) if progress is not None else None
        if text is not None and text != self._last:
            print(f"wattmark: {text}", file=sys.stderr, flush=True)
            self._last = text
