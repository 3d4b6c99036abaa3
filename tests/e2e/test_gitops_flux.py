"""Flux's health expressions, evaluated by the API server's CEL on statuses that it accepts: each has one answer."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.paths import ROOT
from tests.e2e.conftest import OPERATOR_USER, Tool

FLUX = ROOT / "docs" / "gitops" / "flux-kustomization.yaml"
ANSWERS = ("inProgress", "failed", "current")
SPEC = {"model": {"id": "gpt2"}}


def _in_admission(expression: str) -> str:
    """The expression as an admission policy takes it: Flux has the object's fields as variables of their own."""
    return expression.replace("metadata.generation", "object.metadata.generation").replace(
        "status.?", "object.status.?"
    )


def _policy(name: str, namespace: str, check: dict[str, str]) -> list[dict[str, Any]]:
    """A policy that refuses every status of a kind and says which of Flux's expressions hold for it."""
    holding = " + ".join(f"({_in_admission(check[answer])} ? '[{answer}]' : '')" for answer in ANSWERS)
    rule = {
        "apiGroups": ["wattmark.dev"],
        "apiVersions": ["v1alpha1"],
        "resources": [f"{check['kind'].lower()}s/status"],
        "operations": ["UPDATE"],
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "messageExpression": f"'Flux sees ' + {holding}"}],
    }
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"ValidatingAdmissionPolicy{suffix}",
            "metadata": {"name": name},
            "spec": body,
        }
        for suffix, body in (("", spec), ("Binding", binding))
    ]


def _seen(kubectl: Tool, namespace: str, kind: str, generation: int, conditions: dict[str, str]) -> str:
    """What Flux would make of these conditions: the answer in the policy's refusal, or why there is none yet."""
    listed = [
        {
            "type": name,
            "status": status,
            "reason": "InProgress",
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for name, status in conditions.items()
    ]
    patch = json.dumps({"status": {"observedGeneration": generation, "conditions": listed}})
    command = ("patch", kind.lower(), "asked", "--subresource=status", "--type=merge", "--dry-run=server", "-p", patch)
    return kubectl.ask("-n", namespace, f"--as={OPERATOR_USER}", *command).said.rpartition("Flux sees ")[2].strip()


@pytest.fixture(scope="module")
def asked(kubectl: Tool, release: str, namespace: str) -> Iterator[str]:
    """A namespace with an object of each kind, whose statuses meet the policies."""
    statuses = "--resource=benchmarkjobs/status,modelchecks/status"
    kubectl("-n", namespace, "create", "role", "statuses", "--verb=get,patch", statuses)
    kubectl("-n", namespace, "create", "rolebinding", "statuses", "--role=statuses", f"--user={OPERATOR_USER}")
    made = []
    for check in yaml.safe_load(FLUX.read_text(encoding="utf-8"))["spec"]["healthCheckExprs"]:
        kind = check["kind"]
        spec = {**SPEC, "suspend": True} if kind == "BenchmarkJob" else SPEC
        mine = {"apiVersion": check["apiVersion"], "kind": kind, "metadata": {"name": "asked"}, "spec": spec}
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(mine))
        made += _policy(f"flux-{kind.lower()}.{namespace}", namespace, check)
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    kubectl("create", "-f", "-", stdin=everything)
    for kind in ("BenchmarkJob", "ModelCheck"):
        while not _seen(kubectl, namespace, kind, 1, {}).startswith("["):  # a new policy takes about a second to act
            time.sleep(0.2)
    yield namespace
    kubectl("delete", "-f", "-", stdin=everything)


@pytest.mark.parametrize("kind", ["BenchmarkJob", "ModelCheck"])
@pytest.mark.parametrize(
    ("generation", "conditions", "answer"),
    [
        pytest.param(1, {}, "inProgress", id="no condition yet"),
        pytest.param(1, {"Ready": "False", "Reconciling": "True"}, "inProgress", id="work going on"),
        pytest.param(0, {"Ready": "True"}, "inProgress", id="an older generation that was ready"),
        pytest.param(1, {"Ready": "True"}, "current", id="ready"),
        pytest.param(1, {"Ready": "False", "Stalled": "True"}, "failed", id="stalled"),
    ],
)
def test_flux(kubectl: Tool, asked: str, kind: str, generation: int, conditions: dict[str, str], answer: str) -> None:
    assert _seen(kubectl, asked, kind, generation, conditions) == f"[{answer}]"
