"""What comes between a run and its Pods: a policy that refuses them, a quota without room, an eviction.

The Pods are real and their runner is a stand-in: none of this reaches what it would measure.
"""

import time
from collections.abc import Iterator

import pytest
from tests.e2e.conftest import Tool
from tests.e2e.reach import Recorder, Sight
from tests.e2e.space import Space, condition, idle_pod, of_run, outcome, results
from tests.faults.operators import Operator
from tests.faults.runs import standing_in

pytestmark = pytest.mark.slow

GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICIES, BINDINGS = f"{GROUP}/validatingadmissionpolicies", f"{GROUP}/validatingadmissionpolicybindings"
POLICY = "wattmark-test-refuses-pods"
REFUSED = "not in this test"


@pytest.fixture(scope="module", autouse=True)
def started(operator: Operator) -> None:
    operator.start()


@pytest.fixture
def refusing(space: Space) -> Iterator[None]:
    """A policy that refuses the Pods of one run."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    of_policy = "object.metadata.?labels['wattmark.dev/name'].orValue('') == 'policy'"
    api_version = {"apiVersion": "admissionregistration.k8s.io/v1"}
    metadata = {"metadata": {"name": POLICY}}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "one-run", "expression": of_policy}],
        "validations": [{"expression": "false", "message": REFUSED}],
    }
    binding = {"policyName": POLICY, "validationActions": ["Deny"]}
    _forget_policy(space)
    space.api.create(POLICIES, {**api_version, "kind": "ValidatingAdmissionPolicy", **metadata, "spec": policy})
    space.api.create(BINDINGS, {**api_version, "kind": "ValidatingAdmissionPolicyBinding", **metadata, "spec": binding})
    _wait_until_it_refuses(space)
    yield
    _forget_policy(space)


def _forget_policy(space: Space) -> None:
    for path in (BINDINGS, POLICIES):
        space.api.delete(f"{path}/{POLICY}")


def _wait_until_it_refuses(space: Space) -> None:
    """A policy takes effect some time after it is created."""
    metadata = {"name": "probe", "labels": {"wattmark.dev/name": "policy"}}
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": idle_pod()}
    for _ in range(300):
        _, answer = space.api.ask("POST", f"{space.pods_path}?dryRun=All", probe)
        if REFUSED in answer.get("message", ""):
            return
        time.sleep(0.1)
    raise AssertionError("the policy does not take effect")


def _refused(space: Space, name: str, words: str) -> Sight:
    """The Event in which the Job controller says that it may not create a Pod."""

    def tells(sight: Sight) -> bool:
        return sight.body["involvedObject"]["name"] == f"{name}-run" and words in sight.body.get("message", "")

    return space.events.wait(f"an Event of {name}-run", tells)


def test_a_run_whose_pods_a_policy_refuses_waits_and_goes_on_without_it(space: Space, refusing: None) -> None:
    space.start("policy", standing_in("good"))
    told = space.says("policy", "Running", "PodRefused")
    said = condition(told.body, "Running")["message"]
    print(f"\nPodRefused, {told.at - _refused(space, 'policy', REFUSED).at:+.2f} s after its first signal: {said}")
    assert REFUSED in said
    assert [s for s in space.pods.all() if of_run(s, "policy")] == []
    _forget_policy(space)
    space.pod("policy")  # the Job controller tries again by itself, later each time
    assert outcome(space.end("policy")) == "Measured"


@pytest.fixture
def full(space: Space, kubectl: Tool) -> str:
    """The path of a quota that has no room for a Pod."""
    kubectl("--namespace", space.namespace, "create", "quota", "none", "--hard=pods=0")
    path = f"/api/v1/namespaces/{space.namespace}/resourcequotas"
    recorder = Recorder(space.api, path)
    recorder.wait("the quota is counted", lambda s: bool(s.body.get("status", {}).get("hard")))
    recorder.stop()
    return f"{path}/none"


def test_a_run_beyond_the_quota_waits_and_goes_on_when_it_is_raised(space: Space, full: str) -> None:
    space.start("quota", standing_in("good"))
    told = space.says("quota", "Running", "QuotaExceeded")
    said = condition(told.body, "Running")["message"]
    lag = told.at - _refused(space, "quota", "exceeded quota").at
    print(f"\nQuotaExceeded, {lag:+.2f} s after its first signal: {said}")
    assert "free or raise it" in said
    assert "exceeded quota: none" in said
    space.api.delete(full)
    assert outcome(space.end("quota")) == "Measured"


def _evict(space: Space, pod: str) -> None:
    """What `kubectl drain` does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    status, answer = space.api.ask("POST", f"{space.pods_path}/{pod}/eviction", eviction)
    assert status == 201, answer


def test_an_evicted_run_is_tried_again_within_its_limit(space: Space) -> None:
    space.start("evicted-once", standing_in("good.6"))
    space.start("evicted-for-good", standing_in("good.60", maxInfrastructureRetries=0))
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
