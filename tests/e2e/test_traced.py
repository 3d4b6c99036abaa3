"""A need, traced in a CPU-only Pod: once for a question, by the Pod alone, and with every failure named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.fleet import node as simulated_node
from tests.cluster.install import NAMESPACE, RELEASE
from tests.e2e.conftest import Tool
from tests.e2e.reach import Api, Body, Recorder, Sight
from tests.e2e.space import OURS, TINY, Space, condition, idle_pod
from tests.e2e.test_gpu import KIND, PRODUCT

from wattmark.cli.command import main

pytestmark = pytest.mark.slow

TRACE_SECONDS = 240.0  # a Pod that loads torch, on a machine that may be busy
SIMULATED_TOO = [{"key": "wattmark.dev/simulated", "operator": "Exists"}]
INLINE = {"type": "Inline", "inline": {"config": json.dumps(TINY)}}
GATED = {"type": "Hub", "hub": {"revision": "0" * 40, "tokenSecretRef": {"name": "not-there", "key": "token"}}}


def asks(source: Body | None = None, batch: int = 2, **changes: Any) -> Body:
    """A question about a model of some thousand parameters."""
    inference = {"batchSizePerDevice": batch, "input": {"text": {"inputTokens": 16}}}
    return {
        "model": {"id": "tiny", "source": source or INLINE},
        "workload": {"type": "Inference", "inference": inference},
        "method": "Traced",
        **changes,
    }


def claimed(claim: str, path: str = "") -> Body:
    """A model on a volume."""
    where = {"claimName": claim, **({"path": path} if path else {})}
    return {"type": "PersistentVolumeClaim", "persistentVolumeClaim": where}


class Checks:
    """The namespace's ModelChecks and what their traces make, watched."""

    def __init__(self, space: Space) -> None:
        self.space, self.api = space, space.api
        self.path = f"{OURS}/namespaces/{space.namespace}/modelchecks"
        self.seen = Recorder(space.api, self.path)

    def ask(self, name: str, spec: Body) -> Body:
        body = {
            "apiVersion": "wattmark.dev/v1alpha1",
            "kind": "ModelCheck",
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.api.create(self.path, body)

    def says(self, name: str, reason: str, since: int = 0, seconds: float = TRACE_SECONDS) -> Body:
        """The first version after `since` in which Evaluated has this reason."""

        def speaks(sight: Sight) -> bool:
            named = sight.body["metadata"]["name"] == name and sight.version > since
            return named and condition(sight.body, "Evaluated").get("reason") == reason

        return self.seen.wait(f"{name} says {reason}", speaks, seconds).body

    def made(self, name: str) -> list[str]:
        """UIDs of the Jobs that were created for its traces, in their order."""
        found = [s.body["metadata"]["uid"] for s in self.space.jobs.of(f"{name}-trace") if s.kind == "ADDED"]
        return list(dict.fromkeys(found))

    def version(self, name: str) -> int:
        body = self.api.get(f"{self.path}/{name}") or {}
        return int(body["metadata"]["resourceVersion"])


@pytest.fixture(scope="module")
def checks(space: Space) -> Iterator[Checks]:
    found = Checks(space)
    yield found
    found.seen.stop()
    space.api.delete(f"/api/v1/nodes/simulated-{KIND.name}-1")


@pytest.fixture(scope="module")
def answered(checks: Checks) -> Body:
    """The first question, answered."""
    checks.ask("first", asks(placement={"tolerations": SIMULATED_TOO}))
    return checks.says("first", "Evaluated")


def test_the_need_is_that_of_wattmark_trace(
    checks: Checks, answered: Body, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "check.yaml").write_text(yaml.safe_dump({k: answered[k] for k in ("apiVersion", "kind", "spec")}))
    main(["trace", f"--file={tmp_path / 'check.yaml'}", "--output=json"])
    status = answered["status"]
    assert json.loads(capsys.readouterr().out) == status["need"]
    assert status["source"] == status["need"]["deviceBytes"]["source"] == "Traced"
    assert {kind["source"] for kind in status["nodeTypes"] if "needBytes" in kind} == {"Traced"}
    assert {missing["reason"] for missing in status["unavailable"]} == {"NotTraced"}
    assert "fallbacks" not in status or not status["fallbacks"]
    said = [condition(s.body, "Evaluated").get("reason") for s in checks.seen.of("first")]
    assert list(dict.fromkeys(said)) == [None, "Tracing", "Evaluated"]
    assert not checks.says("first", "Tracing")["status"]["nodeTypes"]


def test_the_pod_has_no_gpu_no_token_and_is_ours(checks: Checks, answered: Body) -> None:
    job = checks.api.get(f"{checks.space.jobs_path}/first-trace")
    assert job is not None and job["spec"]["ttlSecondsAfterFinished"] == 600
    assert job["metadata"]["uid"] == answered["status"]["trace"]["job"]["uid"]
    pod = next(s.body for s in checks.space.pods.all() if s.body["metadata"]["name"].startswith("first-trace-"))
    (container,) = pod["spec"]["containers"]
    assert set(container["resources"]["limits"]) == {"memory"}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["metadata"]["labels"]["wattmark.dev/kind"] == "ModelCheck"


def test_neither_a_new_node_nor_a_new_operator_traces_again(checks: Checks, answered: Body, kubectl: Tool) -> None:
    assert all(PRODUCT.product not in kind["nodeType"] for kind in answered["status"]["nodeTypes"])
    checks.api.delete(f"{checks.space.jobs_path}/first-trace", propagationPolicy="Background")
    place = ("--namespace", NAMESPACE)
    kubectl("rollout", "restart", *place, f"deployment/{RELEASE}")
    kubectl("rollout", "status", *place, f"deployment/{RELEASE}", "--timeout=120s")
    checks.api.create("/api/v1/nodes", simulated_node(KIND, 1))
    name = f"simulated-{KIND.name}-1"
    checks.api.patch(f"/api/v1/nodes/{name}/status", {"status": simulated_node(KIND, 1)["status"]})

    def knows(sight: Sight) -> bool:
        kinds = sight.body.get("status", {}).get("nodeTypes", [])
        return sight.body["metadata"]["name"] == "first" and any(PRODUCT.product in k["nodeType"] for k in kinds)

    status = checks.seen.wait("an answer that knows the new node", knows).body["status"]
    new = next(k for k in status["nodeTypes"] if PRODUCT.product in k["nodeType"])
    assert (new["source"], new["verdict"]) == ("Traced", "Fits")
    assert status["trace"] == answered["status"]["trace"] and status["need"] == answered["status"]["need"]
    assert len(checks.made("first")) == 1


def test_an_edited_question_is_traced_anew_and_an_edited_requirement_is_not(checks: Checks, answered: Body) -> None:
    checks.api.patch(f"{checks.path}/first", {"spec": {"require": "Fits"}})
    checks.seen.wait(
        "the requirement is met", lambda s: condition(s.body, "Ready").get("reason") == "RequirementMet", 30
    )
    assert len(checks.made("first")) == 1
    edited = checks.api.patch(f"{checks.path}/first", {"spec": asks(batch=16)})
    now = checks.says("first", "Evaluated", int(edited["metadata"]["resourceVersion"]))["status"]
    assert now["trace"]["questionDigest"] != answered["status"]["trace"]["questionDigest"]
    assert now["need"]["allocatedBytes"]["likely"] > answered["status"]["need"]["allocatedBytes"]["likely"]
    assert now["resolved"]["batchSizePerDevice"] == 16
    assert len(checks.made("first")) == 2


def test_auto_makes_no_pod_where_there_is_a_closed_form(checks: Checks) -> None:
    checks.ask("auto", asks(method="Auto"))
    status = checks.says("auto", "Evaluated")["status"]
    assert status["source"] == "ClosedForm" and "trace" not in status
    assert checks.made("auto") == []


def test_a_closed_form_that_is_missing_tells_the_way(checks: Checks) -> None:
    checks.ask("unread", asks(claimed("no-such-claim"), method="ClosedForm"))
    body = checks.says("unread", "Evaluated")
    assert "set spec.method to Traced or Auto" in condition(body, "Fits")["message"]
    assert checks.made("unread") == []


@pytest.fixture(scope="module")
def claim(api: Api, kubectl: Tool, namespace: str, runner_image: str) -> Iterator[str]:
    """A claim on a volume with the model in a folder, which a Pod of an administrator put on the node's disk."""
    place, elsewhere = f"/var/lib/wattmark-{namespace}", f"{namespace}-admin"
    kubectl("create", "namespace", elsewhere)
    written = f"import pathlib;p=pathlib.Path('/at/models/tiny');p.mkdir(parents=True,exist_ok=True);\
(p/'config.json').write_text({json.dumps(TINY)!r})"
    container = {
        "name": "main",
        "image": runner_image,
        "command": ["python3", "-c", written],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "disk", "mountPath": "/at"}],
    }
    disk = {"name": "disk", "hostPath": {"path": place, "type": "DirectoryOrCreate"}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [disk]}
    pods = f"/api/v1/namespaces/{elsewhere}/pods"
    api.create(pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writes"}, "spec": spec})
    kubectl("-n", elsewhere, "wait", "pod/writes", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    node = (api.get(f"{pods}/writes") or {})["spec"]["nodeName"]
    size, mode = {"storage": "1Gi"}, ["ReadWriteOnce"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": size,
            "accessModes": mode,
            "storageClassName": "",
            "hostPath": {"path": place},
            "claimRef": {"namespace": namespace, "name": "models"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
    api.create("/api/v1/persistentvolumes", volume)
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models"},
        "spec": {"accessModes": mode, "storageClassName": "", "volumeName": namespace, "resources": {"requests": size}},
    }
    api.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", wanted)
    yield "models"
    api.delete(f"/api/v1/persistentvolumes/{namespace}")
    kubectl("delete", "namespace", elsewhere, "--wait=false")


def test_a_volumes_model_is_read_by_the_pod_alone(checks: Checks, answered: Body, claim: str) -> None:
    checks.ask("volume", asks(claimed(claim, "models/tiny"), method="Auto"))
    status = checks.says("volume", "Evaluated")["status"]
    assert status["source"] == "Traced"
    assert status["parameterCount"] == answered["status"]["parameterCount"]
    assert status["need"] == answered["status"]["need"]
    assert status["resolved"]["input"]["inputTokens"] == 16


def test_what_cannot_be_loaded_is_told_and_traced_again_when_its_job_is_deleted(checks: Checks, claim: str) -> None:
    checks.ask("empty", asks(claimed(claim, "nothing/here")))
    body = checks.says("empty", "ModelNotLoadable")
    told = condition(body, "Evaluated")
    assert (told["status"], condition(body, "Stalled")["status"]) == ("False", "True")
    assert "config.json cannot be read" in told["message"]
    assert body["status"]["trace"]["failure"]["reason"] == "ModelNotLoadable"
    since = checks.version("empty")
    checks.api.delete(f"{checks.space.jobs_path}/empty-trace", propagationPolicy="Background")
    checks.says("empty", "ModelNotLoadable", since)
    assert len(checks.made("empty")) == 2


def test_a_strangers_job_is_told_of_and_not_touched(checks: Checks) -> None:
    template = {"spec": idle_pod("Never")}
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "taken-trace", "labels": {"whose": "theirs"}},
        "spec": {"suspend": True, "template": template},
    }
    before = checks.api.create(checks.space.jobs_path, theirs)
    checks.ask("taken", asks())
    body = checks.says("taken", "NameConflict")
    assert "taken-trace" in condition(body, "Evaluated")["message"]
    checks.api.patch(f"{checks.path}/taken", {"spec": {"method": "ClosedForm"}})
    checks.says("taken", "Evaluated")
    after = checks.api.get(f"{checks.space.jobs_path}/taken-trace")
    assert after is not None
    assert [after["metadata"].get(k) for k in ("uid", "generation", "labels", "ownerReferences")] == [
        before["metadata"].get(k) for k in ("uid", "generation", "labels", "ownerReferences")
    ]


WAITS = [
    pytest.param("secret", asks(GATED), "ContainerCannotStart", 'secret "not-there" not found', id="no such secret"),
    pytest.param("claim", asks(claimed("not-there")), "Unschedulable", "not-there", id="no such claim"),
]


@pytest.mark.parametrize(("name", "spec", "reason", "words"), WAITS)
def test_what_keeps_the_pod_from_running_is_told(
    checks: Checks, name: str, spec: Body, reason: str, words: str
) -> None:
    checks.ask(name, spec)
    body = checks.says(name, reason)
    assert words in condition(body, "Evaluated")["message"]
    assert condition(body, "Reconciling")["status"] == "True"
    checks.api.delete(f"{checks.path}/{name}")
    checks.space.jobs.gone(f"{name}-trace")


def test_a_quota_is_told_of_and_the_trace_goes_on_without_it(checks: Checks) -> None:
    quotas = f"/api/v1/namespaces/{checks.space.namespace}/resourcequotas"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    checks.api.create(quotas, quota)
    try:
        checks.ask("poor", asks(batch=4))
        checks.says("poor", "QuotaExceeded")
    finally:
        checks.api.delete(f"{quotas}/none")
    checks.says("poor", "Evaluated")
    assert len(checks.made("poor")) == 1
