"""Who may start runs, write figures and enter runs, asked of the real API server as different users."""

import json
from typing import Any

import pytest
from tests.e2e.conftest import OPERATOR_USER, Tool

JOB_CONTROLLER = "system:serviceaccount:kube-system:job-controller"
LABEL = {"wattmark.dev/kind": "BenchmarkJob"}
MARKED_JOB = "the label wattmark.dev/kind marks the Jobs of"
MARKED_POD = "the label wattmark.dev/kind marks the Pods of benchmark runs and traces"
STATUS_IS_THE_OPERATORS = f"is written by {OPERATOR_USER} alone"
NO_PODS = "may not create Pods in namespace"
NO_SECRET = "may not get Secret hub-token in namespace"

# runs: may create BenchmarkJobs and nothing else. editor: the built-in role edit.
# reader: edit without Secrets, plus the status subresource granted by mistake.
ROLES = {
    "runs": [{"apiGroups": ["wattmark.dev"], "resources": ["*"], "verbs": ["*"]}],
    "reader": [
        {"apiGroups": ["wattmark.dev"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods", "pods/ephemeralcontainers"], "verbs": ["*"]},
    ],
}


def _object(api: str, kind: str, name: str, labels: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": labels or {}}, **body}


def _benchmark(name: str, *, token: bool = False, suspend: bool = True) -> dict[str, Any]:
    model: dict[str, Any] = {"id": "gpt2"}
    if token:
        hub = {"revision": "0" * 40, "tokenSecretRef": {"name": "hub-token", "key": "token"}}
        model["source"] = {"type": "Hub", "hub": hub}
    return _object("wattmark.dev/v1alpha1", "BenchmarkJob", name, spec={"model": model, "suspend": suspend})


def _check(name: str, method: str, *, token: bool = False) -> dict[str, Any]:
    spec = {"model": _benchmark(name, token=token)["spec"]["model"], "method": method}
    return _object("wattmark.dev/v1alpha1", "ModelCheck", name, spec=spec)


def _pod_spec(policy: str) -> dict[str, Any]:
    """A Pod that the restricted standard accepts and no node takes."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "restartPolicy": policy,
        "nodeSelector": {"wattmark.dev/nowhere": "true"},
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "main", "image": "nowhere.invalid/none", "securityContext": security}],
    }


def _pod(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return _object("v1", "Pod", name, labels, spec=_pod_spec("Always"))


def _job(name: str, labels: dict[str, str] | None = None, pods: dict[str, str] | None = None) -> dict[str, Any]:
    template = {"metadata": {"labels": pods or {}}, "spec": _pod_spec("Never")}
    return _object("batch/v1", "Job", name, labels, spec={"suspend": True, "template": template})


CREATIONS = [
    pytest.param("runs", _benchmark("a"), NO_PODS, id="a user who may not create Pods may not start a run"),
    pytest.param("editor", _benchmark("a"), None, id="the built-in role edit may"),
    pytest.param("reader", _benchmark("a"), None, id="so may one who may create Pods and not read Secrets"),
    pytest.param(
        "reader", _benchmark("a", token=True), NO_SECRET, id="but not with a token that the author may not read"
    ),
    pytest.param("editor", _benchmark("a", token=True), None, id="who may read Secrets may name one"),
    pytest.param("runs", _check("a", "ClosedForm"), None, id="a question that makes no Pod is anybody's"),
    pytest.param("runs", _check("a", "Traced"), NO_PODS, id="a question that is traced makes one"),
    pytest.param("runs", _check("a", "Auto"), NO_PODS, id="or may make one"),
    pytest.param("editor", _check("a", "Traced"), None, id="the built-in role edit may have it traced"),
    pytest.param("reader", _check("a", "Traced", token=True), NO_SECRET, id="but not with a token of somebody else's"),
    pytest.param("editor", _job("a-run", LABEL), MARKED_JOB, id="no user creates a Job with our label"),
    pytest.param("editor", _job("a-run", pods=LABEL), MARKED_JOB, id="nor one whose Pods would carry it"),
    pytest.param("editor", _job("a-run"), None, id="a Job without it is nobody's business"),
    pytest.param(OPERATOR_USER, _job("a-run", LABEL, LABEL), None, id="the operator creates labelled Jobs"),
    pytest.param("editor", _pod("a", LABEL), MARKED_POD, id="no user creates a Pod with our label"),
    pytest.param(OPERATOR_USER, _pod("a"), "pods is forbidden", id="the operator creates no Pods at all"),
    pytest.param("editor", _pod("a"), None, id="a Pod without the label is nobody's business"),
    pytest.param(JOB_CONTROLLER, _pod("a", LABEL), None, id="the Job controller creates labelled Pods"),
]


@pytest.fixture(scope="module")
def tenants(kubectl: Tool, release: str, namespace: str) -> str:
    """The namespace with its users, and one object of each kind to work on."""
    kubectl("-n", namespace, "create", "rolebinding", "editor", "--clusterrole=edit", "--user=editor")
    for user, rules in ROLES.items():
        role = _object("rbac.authorization.k8s.io/v1", "Role", user, rules=rules)
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(role))
        kubectl("-n", namespace, "create", "rolebinding", user, f"--role={user}", f"--user={user}")
    # kubectl reads what it patches; the operator patches without reading.
    kubectl("-n", namespace, "create", "role", "read-status", "--verb=get", "--resource=benchmarkjobs/status")
    kubectl("-n", namespace, "create", "rolebinding", "read-status", "--role=read-status", f"--user={OPERATOR_USER}")
    for manifest in (_benchmark("held"), _check("asked", "ClosedForm"), _pod("plain"), _job("plain")):
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(manifest))
    marked = json.dumps(_pod("marked", LABEL))
    kubectl("-n", namespace, f"--as={JOB_CONTROLLER}", "create", "-f", "-", stdin=marked)
    return namespace


@pytest.mark.parametrize(("user", "manifest", "refusal"), CREATIONS)
def test_creating(kubectl: Tool, tenants: str, user: str, manifest: dict[str, Any], refusal: str | None) -> None:
    command = ("-n", tenants, f"--as={user}", "create", "--dry-run=server", "-f", "-")
    answer = kubectl.ask(*command, stdin=json.dumps(manifest))
    assert answer.ok == (refusal is None), answer.said
    assert refusal is None or refusal in answer.said


RESUME = {"spec": {"suspend": False}}
TRACE = {"spec": {"method": "Traced"}}
FIGURES = {"status": {"phase": "Completed"}}
MARKED = {"metadata": {"labels": LABEL}}
MARKED_TEMPLATE = {"spec": {"template": MARKED}}
OTHER = {"metadata": {"labels": {"colour": "blue"}}}

PATCHES = [
    pytest.param("runs", "benchmarkjob/held", RESUME, "", NO_PODS, id="resuming a run is starting it"),
    pytest.param("runs", "benchmarkjob/held", OTHER, "", None, id="a label on a BenchmarkJob starts nothing"),
    pytest.param("editor", "benchmarkjob/held", RESUME, "", None, id="an editor may resume"),
    pytest.param("runs", "modelcheck/asked", TRACE, "", NO_PODS, id="a question that is to be traced makes a Pod"),
    pytest.param("editor", "modelcheck/asked", TRACE, "", None, id="which an editor may"),
    pytest.param("runs", "modelcheck/asked", OTHER, "", None, id="a label on a ModelCheck makes none"),
    pytest.param(
        "reader", "benchmarkjob/held", FIGURES, "status", STATUS_IS_THE_OPERATORS, id="no user writes figures"
    ),
    pytest.param(
        "editor", "benchmarkjob/held", FIGURES, "status", "benchmarkjobs/status", id="edit does not hold the status"
    ),
    pytest.param(OPERATOR_USER, "benchmarkjob/held", FIGURES, "status", None, id="the operator writes figures"),
    pytest.param(OPERATOR_USER, "benchmarkjob/held", RESUME, "", "is forbidden", id="the operator writes no spec"),
    pytest.param("editor", "job/plain", MARKED, "", MARKED_JOB, id="our label cannot be added to a Job later"),
    pytest.param("editor", "job/plain", MARKED_TEMPLATE, "", MARKED_JOB, id="nor to the Pods of a suspended Job"),
    pytest.param("editor", "job/plain", OTHER, "", None, id="other labels can"),
    pytest.param("editor", "pod/plain", MARKED, "", MARKED_POD, id="our label cannot be added to a Pod later"),
    pytest.param("editor", "pod/plain", OTHER, "", None, id="other labels can, on Pods"),
    pytest.param("editor", "pod/marked", OTHER, "", None, id="a labelled Pod takes updates as ever"),
]


@pytest.mark.parametrize(("user", "target", "patch", "subresource", "refusal"), PATCHES)
def test_changing(
    kubectl: Tool, tenants: str, user: str, target: str, patch: dict[str, Any], subresource: str, refusal: str | None
) -> None:
    command = [
        "-n",
        tenants,
        f"--as={user}",
        "patch",
        target,
        "--type=merge",
        "--dry-run=server",
        f"-p={json.dumps(patch)}",
    ]
    answer = kubectl.ask(*command, *([f"--subresource={subresource}"] if subresource else []))
    assert answer.ok == (refusal is None), answer.said
    assert refusal is None or refusal in answer.said


@pytest.mark.parametrize(
    ("pod", "refusal"),
    [
        pytest.param("marked", MARKED_POD, id="no ephemeral container enters a run"),
        pytest.param("plain", None, id="other Pods may be debugged"),
    ],
)
def test_entering(kubectl: Tool, tenants: str, pod: str, refusal: str | None) -> None:
    command = ("-n", tenants, "--as=reader", "debug", pod, "--image=nowhere.invalid/none", "--profile=restricted")
    answer = kubectl.ask(*command)
    assert answer.ok == (refusal is None), answer.said
    assert refusal is None or refusal in answer.said
