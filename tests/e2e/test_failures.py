"""Every way in which a run can fail or be kept waiting, brought about for real: its reason, its words, and no figures.

What only a broken runner can cause is in tests/faults/test_reports.py.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.e2e.conftest import Tool
from tests.e2e.reach import Api, Body, Recorder, Sight
from tests.e2e.space import Space, condition, idle_pod, observed, of_run, outcome, results, tiny

pytestmark = pytest.mark.slow

PICTURE = {"type": "Inference", "inference": {"input": {"image": {"heightPixels": 32}}}}
LONG_TEXT = {"type": "Inference", "inference": {"input": {"text": {"inputTokens": 65}}}}
HALF_TRAINING = {"type": "Training", "training": {"input": {"text": {"inputTokens": 16}}}}
ENDLESS = {"warmupIterations": 1, "windowSeconds": 3600, "minIterations": 2}
NOWHERE = {"placement": {"nodeSelector": {"wattmark.dev/nowhere": "true"}}, "preflight": {"policy": "Off"}}
IMAGE_NODE = "wattmark.dev/test-image"  # a label that the node gets once the Pod's image is one that cannot be pulled
GATED = {"type": "Hub", "hub": {"revision": "0" * 40, "tokenSecretRef": {"name": "not-there", "key": "token"}}}
POLICY = "wattmark-test-refuses-pods"

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


def _event(words: str) -> Signal:
    def seen(space: Space, name: str) -> float:
        def refused(sight: Sight) -> bool:
            return sight.body["involvedObject"]["name"] == f"{name}-run" and words in sight.body.get("message", "")

        return space.events.wait(f"an Event of {name}-run", refused).at

    return seen


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
    "policy": Case("PodRefused", "not in this test", _event("not in this test"), condition="Running", pod=False),
    "host-memory": Case(
        "HostOutOfMemory",
        "spec.resources.memory",
        _ended,
        {"resources": {"gpusPerNode": 0, "cpu": "500m", "memory": "100Mi"}, "preflight": {"policy": "Off"}},
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
def refusing(space: Space) -> Iterator[None]:
    """A policy that refuses the Pods of one run."""
    group = "/apis/admissionregistration.k8s.io/v1"
    policies, bindings = f"{group}/validatingadmissionpolicies", f"{group}/validatingadmissionpolicybindings"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    of_policy = "object.metadata.?labels['wattmark.dev/name'].orValue('') == 'policy'"
    api_version = {"apiVersion": "admissionregistration.k8s.io/v1"}
    metadata = {"metadata": {"name": POLICY}}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "one-run", "expression": of_policy}],
        "validations": [{"expression": "false", "message": "not in this test"}],
    }
    binding = {"policyName": POLICY, "validationActions": ["Deny"]}
    for path in (bindings, policies):
        space.api.delete(f"{path}/{POLICY}")
    space.api.create(policies, {**api_version, "kind": "ValidatingAdmissionPolicy", **metadata, "spec": policy})
    space.api.create(bindings, {**api_version, "kind": "ValidatingAdmissionPolicyBinding", **metadata, "spec": binding})
    _wait_until_it_refuses(space)
    yield
    for path in (bindings, policies):
        space.api.delete(f"{path}/{POLICY}")


def _wait_until_it_refuses(space: Space) -> None:
    """A policy takes effect some time after it is created."""
    metadata = {"name": "probe", "labels": {"wattmark.dev/name": "policy"}}
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": idle_pod()}
    for _ in range(300):
        _, answer = space.api.ask("POST", f"{space.pods_path}?dryRun=All", probe)
        if "not in this test" in answer.get("message", ""):
            return
        time.sleep(0.1)
    raise AssertionError("the policy does not take effect")


@pytest.fixture(scope="module")
def node(space: Space, release: str) -> Iterator[str]:
    """The real node's path; the label that a Pod waits for is taken away in the end."""
    nodes = space.api.get("/api/v1/nodes?labelSelector=!wattmark.dev/simulated")
    assert nodes is not None
    path = f"/api/v1/nodes/{nodes['items'][0]['metadata']['name']}"
    yield path
    space.api.patch(path, {"metadata": {"labels": {IMAGE_NODE: None}}})


@pytest.fixture(scope="module")
def failing(space: Space, refusing: None, node: str) -> dict[str, Sight]:
    """Every case, started at once; the first version of each that says its reason."""
    for name, case in CASES.items():
        space.start(name, tiny(**case.spec))
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


def test_a_run_whose_pods_a_policy_refused_goes_on_without_it(space: Space, failing: dict[str, Sight]) -> None:
    group = "/apis/admissionregistration.k8s.io/v1"
    space.api.delete(f"{group}/validatingadmissionpolicybindings/{POLICY}")
    space.pod("policy")  # the Job controller tries again by itself, later each time
    assert outcome(space.end("policy")) == "Measured"


@pytest.fixture(scope="module")
def poor(api: Api, kubectl: Tool, space: Space) -> Iterator[Space]:
    """A namespace whose quota has no room for a Pod."""
    name = f"{space.namespace}-poor"
    kubectl("create", "namespace", name)
    kubectl("--namespace", name, "create", "quota", "none", "--hard=pods=0")
    Recorder(api, f"/api/v1/namespaces/{name}/resourcequotas").wait(
        "the quota is counted", lambda s: bool(s.body.get("status", {}).get("hard"))
    )
    with observed(api, name) as found:
        yield found
    kubectl("delete", "namespace", name, "--wait=false")


def test_a_run_beyond_the_quota_waits_and_goes_on_when_it_is_raised(poor: Space) -> None:
    poor.start("quota")
    told = poor.says("quota", "Running", "QuotaExceeded")
    said = condition(told.body, "Running")["message"]
    print(f"\nQuotaExceeded, {told.at - _event('exceeded quota')(poor, 'quota'):+.2f} s after its first signal: {said}")
    assert "free or raise it" in said
    assert "exceeded quota: none" in said
    poor.api.delete(f"/api/v1/namespaces/{poor.namespace}/resourcequotas/none")
    assert outcome(poor.end("quota")) == "Measured"


def _evict(space: Space, pod: str) -> None:
    """What `kubectl drain` does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    status, answer = space.api.ask("POST", f"{space.pods_path}/{pod}/eviction", eviction)
    assert status == 201, answer


def test_an_evicted_run_is_tried_again_within_its_limit(space: Space, failing: dict[str, Sight]) -> None:
    once, never = ({"warmupIterations": 1, "windowSeconds": s, "minIterations": 2} for s in (3, 60))
    space.start("evicted-once", tiny(measure=once))
    space.start("evicted-for-good", tiny(measure=never, maxInfrastructureRetries=0))
    for name in ("evicted-once", "evicted-for-good"):
        first = space.running(name).body["metadata"]["name"]
        space.says(name, "Running", "Running")
        _evict(space, first)
    failed, done = space.end("evicted-for-good"), space.end("evicted-once")
    print(f"\n{condition(failed, 'Failed')['message']}\nthe other's attempts: {done['status']['attempts']}")
    assert outcome(failed) == "Evicted"
    assert "maxInfrastructureRetries" in condition(failed, "Failed")["message"]
    assert results(failed) is None
    assert outcome(done) == "Measured"
    assert [a["outcome"] for a in done["status"]["attempts"]] == ["Evicted", "Succeeded"]
    assert all(results(s.body) is None for s in space.benchmarks.of("evicted-for-good"))
