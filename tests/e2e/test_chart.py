"""The chart on a real API server: what it renders, and what install, upgrade and uninstall leave behind."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.install import NAMESPACE, RELEASE, chart_values
from tests.cluster.paths import ROOT
from tests.cluster.targets import Access
from tests.e2e.conftest import OPERATOR_USER, Tool

from wattmark.settings import from_environment

CHART = ROOT / "helm" / "wattmark"
OURS = f"app.kubernetes.io/instance={RELEASE}"
OTHER = "other"
WAIT = ("--wait", "--timeout", "120s")
SMALL_RUN = {
    "apiVersion": "wattmark.dev/v1alpha1",
    "kind": "BenchmarkJob",
    "metadata": {"name": "small"},
    "spec": {
        "model": {"id": "bert-tiny"},
        "resources": {"gpusPerNode": 0},
        "measure": {"profile": "Smoke", "windowSeconds": 1},
    },
}
KINDS = (
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,"
    "deployments,replicasets,pods,serviceaccounts,roles,rolebindings,networkpolicies,secrets,configmaps"
)


def _set(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


IMAGES = {"image.operator.repository": "registry.test/operator", "image.runner.repository": "registry.test/runner"}


def _render(helm: Tool, release: str = RELEASE, namespace: str = NAMESPACE, **values: str) -> list[dict[str, Any]]:
    named = {name.replace("__", "."): value for name, value in values.items()}
    text = helm("template", release, str(CHART), "--namespace", namespace, *_set(IMAGES | named))
    return [document for document in yaml.safe_load_all(text) if document]


def _only(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def test_the_chart_passes_helms_own_linter(helm: Tool) -> None:
    helm("lint", "--strict", str(CHART), *_set(IMAGES))


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        pytest.param({}, "image.operator.repository is not set", id="an image must be named"),
        pytest.param({"replicas": "2"}, "replicas", id="a value that is not there"),
        pytest.param({"scope": "galaxy"}, "/scope", id="a value that is none of those allowed"),
        pytest.param({"assumedNodeTypes[0].product": "L4"}, "missing property 'gpus'", id="GPUs without their number"),
        pytest.param({"image.runner.digest": "sha256:beef"}, "/image/runner/digest", id="a digest that is none"),
    ],
)
def test_values_that_mean_nothing_are_refused(helm: Tool, values: dict[str, str], refusal: str) -> None:
    answer = helm.ask("template", RELEASE, str(CHART), *_set((IMAGES | values) if values else {}))
    assert not answer.ok
    assert refusal in answer.said


def test_a_digest_wins_over_a_tag(helm: Tool) -> None:
    digest = "sha256:" + "0" * 64
    pod = _only(_render(helm, image__operator__digest=digest, image__operator__tag="x"), "Deployment")["spec"][
        "template"
    ]
    assert pod["spec"]["containers"][0]["image"] == f"registry.test/operator@{digest}"


def test_one_namespace_takes_a_role_and_no_rights_elsewhere(helm: Tool) -> None:
    documents = _render(helm, scope="namespace", nodes__read="false", userRoles__aggregate="false")
    assert [d["metadata"]["name"] for d in documents if d["kind"].startswith("ClusterRole")] == []
    assert _only(documents, "Role")["metadata"]["namespace"] == NAMESPACE
    container = _only(documents, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert environment["WATTMARK_NAMESPACE"] == NAMESPACE
    assert environment["WATTMARK_READ_ALL_PODS"] == "false"


def test_namespaces_whose_runs_teach_all_are_such_as_the_operator_reads(helm: Tool) -> None:
    values = {"evidenceNamespaces[0]": "perf", "evidenceNamespaces[1]": "lab"}
    container = _only(_render(helm, **values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    read = from_environment({variable["name"]: variable.get("value", "") for variable in container["env"]})
    assert read.evidence_namespaces == ("perf", "lab")


def test_assumed_node_types_are_such_as_the_operator_reads(helm: Tool) -> None:
    values = {"assumedNodeTypes[0].product": "H100-SXM", "assumedNodeTypes[0].gpus": "8"}
    container = _only(_render(helm, **values), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    read = from_environment({variable["name"]: variable.get("value", "") for variable in container["env"]})
    assert [(one.product.name, one.gpus) for one in read.assumed_node_types] == [("NVIDIA-H100-80GB-HBM3", 8)]


def test_two_releases_share_no_name(helm: Tool) -> None:
    def names(release: str, namespace: str) -> set[tuple[str, str, str]]:
        documents = _render(helm, release, namespace, crds__install="false")
        return {(d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]) for d in documents}

    one = names("a-wattmark", "b")
    assert not one & names("a", "wattmark-b")
    assert not one & names("a-wattmark", "c")


FORBIDDEN = (
    "get secrets",
    "create pods",
    "create pods/exec",
    "create pods/attach",
    "create serviceaccounts/token",
    "create roles.rbac.authorization.k8s.io",
    "create rolebindings.rbac.authorization.k8s.io",
    "impersonate users",
    "update nodes",
    "update benchmarkjobs.wattmark.dev",
    "patch benchmarkjobs.wattmark.dev",
    "delete benchmarkjobs.wattmark.dev",
    "get pods",
    "patch events",
    "patch customresourcedefinitions.apiextensions.k8s.io",
)
GRANTED = (
    "watch benchmarkjobs.wattmark.dev",
    "watch modelchecks.wattmark.dev",
    "patch benchmarkjobs.wattmark.dev --subresource=status",
    "patch modelchecks.wattmark.dev --subresource=status",
    "create jobs.batch",
    "patch jobs.batch",
    "delete jobs.batch",
    "watch pods",
    "get pods --subresource=log",
    "create events",
    "list events",
    "watch nodes",
    "watch resourceslices.resource.k8s.io",
)


@pytest.mark.parametrize(
    ("right", "answer"), [*((right, "no") for right in FORBIDDEN), *((right, "yes") for right in GRANTED)]
)
def test_the_operator_may_what_it_does_and_no_more(kubectl: Tool, release: str, right: str, answer: str) -> None:
    asked = kubectl.ask("auth", "can-i", *right.split(), "--all-namespaces", f"--as={OPERATOR_USER}")
    assert asked.out.strip() == answer, asked.said


@pytest.fixture
def installed(helm: Tool, release: str, namespace: str) -> Iterator[list[str]]:
    """The release, brought back at the end as it was; yields the helm arguments that carry its values."""
    values = json.loads(helm("get", "values", release, "--namespace", NAMESPACE, "--output", "json")) or {}
    arguments = ["--namespace", NAMESPACE, "--values", "-"]
    saved = json.dumps(values)
    yield [*arguments, saved]
    helm("uninstall", OTHER, "--namespace", namespace, "--ignore-not-found", *WAIT)
    helm("upgrade", "--install", release, str(CHART), *arguments, "--take-ownership", *WAIT, stdin=saved)


def _with_another_column(folder: Path) -> Path:
    """A copy of the chart whose CRD has a printer column more."""
    chart = folder / "wattmark"
    shutil.copytree(CHART, chart)
    crd = chart / "templates" / "crds-modelchecks.yaml"
    text = crd.read_text(encoding="utf-8")
    column = "    additionalPrinterColumns:\n    - name: Added\n      type: string\n      jsonPath: .metadata.uid\n"
    assert "    additionalPrinterColumns:\n" in text
    crd.write_text(text.replace("    additionalPrinterColumns:\n", column), encoding="utf-8")
    return chart


def _leftovers(kubectl: Tool) -> list[str]:
    return kubectl("get", KINDS, "--all-namespaces", f"--selector={OURS}", "--output=name").split()


def _check(name: str) -> str:
    spec = {"model": {"id": "gpt2"}}
    body = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "ModelCheck", "metadata": {"name": name}, "spec": spec}
    return json.dumps(body)


def test_a_release_lives_and_goes_and_its_crds_stay(
    kubectl: Tool, helm: Tool, installed: list[str], namespace: str, tmp_path: Path
) -> None:
    *arguments, values = installed
    kubectl("--namespace", namespace, "create", "--filename", "-", stdin=_check("kept"))
    kept = ("--namespace", namespace, "get", "modelchecks.wattmark.dev/kept", "--output=jsonpath={.metadata.uid}")
    uid = kubectl(*kept)

    changed = str(_with_another_column(tmp_path))
    # On a cluster in use somebody may have applied the CRDs by hand; docs/operations.md names the flag.
    helm("upgrade", RELEASE, changed, *arguments, "--force-conflicts", *WAIT, stdin=values)
    assert uid in kubectl("--namespace", namespace, "get", "modelchecks.wattmark.dev"), "an upgrade changes the CRD"

    helm("uninstall", RELEASE, "--namespace", NAMESPACE, *WAIT)
    gone = ("wait", "--for=delete", "--timeout=60s", f"--selector={OURS}", "--namespace", NAMESPACE)
    kubectl(*gone, "deployments,replicasets,pods")  # Pods take a moment longer than Helm waits
    assert _leftovers(kubectl) == []
    assert kubectl(*kept) == uid, "the CRDs and their objects stay on purpose"


def test_one_namespace_has_an_operator_of_its_own(
    kubectl: Tool, helm: Tool, installed: list[str], namespace: str, access: Access
) -> None:
    """With a Role only, under the restricted standard, a run comes to figures; kept CRDs change their release."""
    helm("uninstall", RELEASE, "--namespace", NAMESPACE, *WAIT)
    command = ("install", OTHER, str(CHART), "--namespace", namespace)
    values = _set(chart_values(access) | {"scope": "namespace"})
    refused = helm.ask(*command, *values)
    assert not refused.ok
    assert "invalid ownership metadata" in refused.said
    helm(*command, *values, "--take-ownership", *WAIT)
    kubectl("--namespace", namespace, "create", "--filename", "-", stdin=json.dumps(SMALL_RUN))
    waiting = ("wait", "--for=condition=Complete", "--timeout=120s", "benchmarkjob.wattmark.dev/small")
    kubectl("--namespace", namespace, *waiting)
    helm("uninstall", OTHER, "--namespace", namespace, *WAIT)
