"""Every way in which a run can fail or be kept waiting, brought about for real: its reason, its words, and no figures.

What only a broken runner can cause is in tests/faults/test_reports.py, what comes between a run and its Pods in
tests/faults/test_interruptions.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.e2e.reach import Body, Sight
from tests.e2e.space import Space, condition, of_run, results, tiny

pytestmark = pytest.mark.slow

PICTURE = {"type": "Inference", "inference": {"input": {"image": {"heightPixels": 32}}}}
LONG_TEXT = {"type": "Inference", "inference": {"input": {"text": {"inputTokens": 65}}}}
HALF_TRAINING = {"type": "Training", "training": {"input": {"text": {"inputTokens": 16}}}}
ENDLESS = {"warmupIterations": 1, "windowSeconds": 3600, "minIterations": 2}
SMALL = {"gpusPerNode": 0, "cpu": "400m", "memory": "1Gi"}  # all of them have room on one node
NOWHERE = {"placement": {"nodeSelector": {"wattmark.dev/nowhere": "true"}}, "preflight": {"policy": "Off"}}
IMAGE_NODE = "wattmark.dev/test-image"  # a label that the node gets once the Pod's image is one that cannot be pulled
GATED = {"type": "Hub", "hub": {"revision": "0" * 40, "tokenSecretRef": {"name": "not-there", "key": "token"}}}

Signal = Callable[[Space, str], float]


def _created(space: Space, name: str) -> float:
    return space.benchmarks.of(name)[0].at


def _pod_says(true: Callable[[Body], bool]) -> Signal:
    def seen(space: Space, name: str) -> float:
        return space.pods.wait(f"the signal of {name}", lambda s: of_run(s, name) and true(s.body)).at

    return seen


def _waits_for(*reasons: str) -> Signal:
    return _pod_says(lambda pod: _state(pod, "waiting").get("reason") in reasons)


def _state(pod: Body, kind: str) -> Body:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return dict(statuses[0].get("state", {}).get(kind, {}))


def _phase(pod: Body, *phases: str) -> bool:
    return pod.get("status", {}).get("phase") in phases


_ended: Signal = _pod_says(lambda pod: _phase(pod, "Failed"))
_unscheduled: Signal = _pod_says(lambda pod: condition(pod, "PodScheduled").get("reason") == "Unschedulable")


def _after(seconds: float) -> Signal:
    return lambda space, name: _created(space, name) + seconds


@dataclass(frozen=True)
class Case:
    """One way to fail: what is asked for, what is said of it in which condition, and what tells of it first."""

    reason: str
    words: str
    signal: Signal
    spec: dict[str, Any] = field(default_factory=dict)
    condition: str = "Failed"  # Running: the run waits, and goes on when the cause is gone
    pod: bool = True  # whether a Pod ever exists


CASES = {
    "unknown-model": Case(
        "UnknownModel",
        "bert-base-uncased",
        _created,
        {"model": {"id": "bert-base-uncasd", "source": {"type": "Registry"}}},
        pod=False,
    ),
    "impossible-precision": Case(
        "ImpossiblePrecision", "fp16-mixed", _created, {"runtime": {"precision": "fp16-mixed"}}, pod=False
    ),
    "too-long": Case("ImpossibleInput", "64", _created, {"workload": LONG_TEXT}, pod=False),
    "picture-for-text": Case("ImpossibleInput", "image", _created, {"workload": PICTURE}, pod=False),
    "unschedulable": Case(
        "Unschedulable",
        "didn't match Pod's node affinity/selector",
        _unscheduled,
        NOWHERE,
        condition="Running",
    ),
    "no-such-image": Case(
        "ImageNotPulled",
        "image.runner",
        _waits_for("ErrImagePull", "ImagePullBackOff"),
        {"placement": {"nodeSelector": {IMAGE_NODE: "true"}}, "preflight": {"policy": "Off"}},
        condition="Running",
    ),
    "no-such-secret": Case(
        "ContainerCannotStart",
        'secret "not-there" not found',
        _waits_for("CreateContainerConfigError"),
        {"model": {"id": "tiny/gated", "source": GATED}},
        condition="Running",
    ),
    "host-memory": Case(
        "HostOutOfMemory",
        "spec.resources.memory",
        _ended,
        {"resources": {**SMALL, "memory": "100Mi"}, "preflight": {"policy": "Off"}},
    ),
    "pending-deadline": Case(
        "PendingDeadlineExceeded",
        "the scheduler says",
        _after(10),
        {**NOWHERE, "deadlines": {"pendingSeconds": 10}},
    ),
    "running-deadline": Case(
        "RunningDeadlineExceeded",
        "10 s",
        _ended,
        {"measure": ENDLESS, "deadlines": {"runningSeconds": 10}},
    ),
}


@pytest.fixture(scope="module")
def node(space: Space, release: str) -> Iterator[str]:
    """The real node's path; the label that a Pod waits for is taken away in the end."""
    nodes = space.api.get("/api/v1/nodes?labelSelector=!wattmark.dev/simulated")
    assert nodes is not None
    path = f"/api/v1/nodes/{nodes['items'][0]['metadata']['name']}"
    yield path
    space.api.patch(path, {"metadata": {"labels": {IMAGE_NODE: None}}})


@pytest.fixture(scope="module")
def failing(space: Space, node: str) -> dict[str, Sight]:
    """Every case, started at once; the first version of each that says its reason."""
    for name, case in CASES.items():
        space.start(name, tiny(**{"resources": SMALL, **case.spec}))
    pod = space.pod("no-such-image").body
    space.says("no-such-image", "Running", "Unschedulable")
    containers = [{**c, "image": "localhost/wattmark-not-there:none"} for c in pod["spec"]["containers"]]
    space.api.patch(f"{space.pods_path}/{pod['metadata']['name']}", {"spec": {"containers": containers}})
    space.api.patch(node, {"metadata": {"labels": {IMAGE_NODE: "true"}}})
    return {name: space.says(name, case.condition, case.reason) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_what_goes_wrong_has_a_reason_that_says_what_to_do(space: Space, failing: dict[str, Sight], name: str) -> None:
    case, told = CASES[name], failing[name]
    said = condition(told.body, case.condition)
    lag = told.at - case.signal(space, name)
    print(f"\n{case.reason}, {lag:+.2f} s after its first signal: {said['message']}")
    assert said["status"] == ("True" if case.condition == "Failed" else "False")
    assert case.words in said["message"]
    assert bool([s for s in space.pods.all() if of_run(s, name)]) == case.pod
    assert [results(s.body) for s in space.benchmarks.of(name)] == [None] * len(space.benchmarks.of(name))
    stalled = condition(told.body, "Stalled").get("status")
    assert stalled == ("True" if case.condition == "Failed" else None)


def test_a_run_past_its_pending_deadline_leaves_no_job(space: Space, failing: dict[str, Sight]) -> None:
    space.jobs.gone("pending-deadline-run")
