"""The API as a user meets it: what kubectl says to manifests that are right, wrong, or changed later."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import Answer, Tool
from tests.unit.api_cases import (
    BENCHMARK,
    CHECK,
    COMMIT,
    HUB,
    INLINE,
    MODEL,
    RULES,
    SCHEMA,
    TAKEN,
    UNKNOWN_FIELDS,
    Case,
)

CRDS = Path(__file__).parents[2] / "crds"
PLURALS = {BENCHMARK: "benchmarkjobs", CHECK: "modelchecks"}
of_each_kind = pytest.mark.parametrize("kind", PLURALS)


def sentence(case: Case) -> str:
    return case.sentence


@pytest.fixture(scope="module")
def place(kubectl: Tool, release: str, namespace: str) -> str:
    """The module's namespace, on a cluster whose CRDs are those of this working tree."""
    for plural in PLURALS.values():
        committed = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
        held = json.loads(kubectl("get", "crd", f"{plural}.wattmark.dev", "-o", "json"))
        mine, theirs = (crd["spec"]["versions"][0]["schema"] for crd in (committed, held))
        assert mine == theirs, f"the cluster's {plural} are of another tree: python3 -m tests.cluster install"
    return namespace


def tried(kubectl: Tool, place: str, case: Case, *options: str) -> Answer:
    """What kubectl answers to creating it, with all checks of the API server and nothing left behind."""
    command = ("-n", place, "create", "--dry-run=server", *options, "-f", "-")
    return kubectl.ask(*command, stdin=json.dumps(case.manifest()))


@pytest.mark.parametrize("case", TAKEN, ids=sentence)
def test_taken(kubectl: Tool, place: str, case: Case) -> None:
    answer = tried(kubectl, place, case)
    assert answer.ok, answer.said


@pytest.mark.parametrize("case", RULES, ids=sentence)
def test_refused_by_a_rule_of_ours_in_these_words(kubectl: Tool, place: str, case: Case) -> None:
    answer = tried(kubectl, place, case)
    assert answer.said == f'The {case.kind} "case" is invalid: {case.refusal}\n'


@pytest.mark.parametrize("case", SCHEMA, ids=sentence)
def test_refused_by_the_schema_with_field_and_cause(kubectl: Tool, place: str, case: Case) -> None:
    answer = tried(kubectl, place, case)
    assert not answer.ok and case.refusal in answer.said
    assert answer.said.startswith(f'The {case.kind} "case" is invalid: ')


@pytest.mark.parametrize("case", UNKNOWN_FIELDS, ids=sentence)
def test_an_unknown_field_is_refused_by_kubectl_and_pruned_for_others(kubectl: Tool, place: str, case: Case) -> None:
    answer = tried(kubectl, place, case)
    assert not answer.ok and f"strict decoding error: {case.refusal}" in answer.said
    pruned = tried(kubectl, place, case, "--validate=false", "-o", "json")
    assert pruned.ok, pruned.said
    unknown = case.refusal.removeprefix('unknown field "').removesuffix('"').split(".")
    inner = json.loads(pruned.out)
    for part in unknown[:-1]:
        inner = inner[part]
    assert unknown[-1] not in inner


NAME_RULE = "metadata.name must be at most 48 characters: lower-case letters, digits and '-', beginning with a letter"
NAMES = [
    pytest.param("a", True, id="one letter"),
    pytest.param("a" * 48, True, id="48 characters"),
    pytest.param("llama-3-1", True, id="digits and hyphens"),
    pytest.param("a" * 49, False, id="49 characters"),
    pytest.param("llama-3.1", False, id="a dot, which a Service's name cannot have"),
    pytest.param("3-llama", False, id="a leading digit"),
]


@of_each_kind
@pytest.mark.parametrize(("name", "good"), NAMES)
def test_names(kubectl: Tool, place: str, kind: str, name: str, good: bool) -> None:
    answer = tried(kubectl, place, Case("", {"model": MODEL}, kind=kind, name=name))
    assert answer.ok == good, answer.said
    assert good or answer.said == f'The {kind} "{name}" is invalid: <nil>: Invalid value: {NAME_RULE}\n'


# Every optional field of the first level, written out.
WRITTEN: dict[str, Any] = {
    "model": {"id": "gpt2", "source": HUB},
    "workload": {"type": "Inference", "inference": {"batchSizePerDevice": 4}},
    "runtime": {"precision": "bf16"},
    "resources": {"gpusPerNode": 1, "gpu": {"products": ["NVIDIA-L4"]}, "cpu": 4},
    "placement": {"nodeSelector": {"zone": "a"}},
    "measure": {"profile": "Smoke", "windowSeconds": 20},
    "preflight": {"policy": "Warn"},
    "deadlines": {"pendingSeconds": 600, "runningSeconds": 600},
    "maxInfrastructureRetries": 1,
    "suspend": True,
    "ttlSecondsAfterFinished": 60,
}
PLAIN: dict[str, Any] = {"model": MODEL, "suspend": True}


@pytest.fixture(scope="module")
def held(kubectl: Tool, place: str) -> Iterator[str]:
    """Two suspended BenchmarkJobs and a ModelCheck: one with every field, the others with the least."""
    for case in (
        Case("", WRITTEN, name="written"),
        Case("", PLAIN, name="plain"),
        Case("", {"model": MODEL}, kind=CHECK, name="question"),
    ):
        kubectl("-n", place, "create", "-f", "-", stdin=json.dumps(case.manifest()))
    yield place


def fixed(field: str) -> str:
    return f"{field} cannot be changed: a measurement is of one spec. Create a BenchmarkJob with another name"


CHANGES = [
    pytest.param("written", {"model": {"id": "gpt2-xl"}}, "spec.model", id="the model's id"),
    pytest.param("written", {"model": {"source": None}}, "spec.model", id="the model's source, removed"),
    pytest.param("plain", {"model": {"source": INLINE}}, "spec.model", id="the model's source, added"),
    pytest.param("written", {"model": {"source": {"hub": {"revision": COMMIT[::-1]}}}}, "spec.model", id="the commit"),
    pytest.param("plain", {"model": {"weights": "Pretrained"}}, "spec.model", id="the weights"),
    pytest.param("written", {"workload": {"inference": {"batchSizePerDevice": 5}}}, "spec.workload", id="the batch"),
    pytest.param("written", {"workload": None}, "spec.workload", id="the workload, removed"),
    pytest.param(
        "plain", {"workload": {"inference": {"input": {"text": {}}}}}, "spec.workload", id="the workload's input, added"
    ),
    pytest.param("written", {"runtime": {"precision": "fp32"}}, "spec.runtime", id="the precision"),
    pytest.param("written", {"runtime": {"precision": None}}, "spec.runtime", id="the precision, removed"),
    pytest.param("plain", {"runtime": {"precision": "bf16"}}, "spec.runtime", id="the precision, added"),
    pytest.param("written", {"resources": {"gpusPerNode": 0, "gpu": None}}, "spec.resources", id="the GPUs"),
    pytest.param("written", {"resources": {"cpu": None}}, "spec.resources", id="the CPUs, removed"),
    pytest.param("plain", {"resources": {"memory": "1Gi"}}, "spec.resources", id="the memory, added"),
    pytest.param("written", {"placement": {"nodeSelector": {"zone": "b"}}}, "spec.placement", id="the place"),
    pytest.param("written", {"placement": {"nodeSelector": None}}, "spec.placement", id="the place, removed"),
    pytest.param("plain", {"placement": {"priorityClassName": "low"}}, "spec.placement", id="the priority, added"),
    pytest.param("written", {"measure": {"profile": "Standard"}}, "spec.measure", id="the profile"),
    pytest.param("written", {"measure": {"windowSeconds": None}}, "spec.measure", id="the window, removed"),
    pytest.param("plain", {"measure": {"windowSeconds": 20}}, "spec.measure", id="the window, added"),
    pytest.param("written", {"preflight": {"policy": "Off"}}, "spec.preflight", id="the policy"),
    pytest.param("plain", {"preflight": {"policy": "Off"}}, "spec.preflight", id="the policy, a default before"),
    pytest.param(
        "written", {"deadlines": {"runningSeconds": 700}}, "spec.deadlines.runningSeconds", id="the running deadline"
    ),
    pytest.param(
        "written", {"deadlines": None}, "spec.deadlines.runningSeconds", id="the deadlines, back to their defaults"
    ),
    pytest.param("written", {"maxInfrastructureRetries": 2}, "spec.maxInfrastructureRetries", id="the retries"),
    pytest.param("written", {"suspend": False}, "", id="suspend may change"),
    pytest.param("plain", {"suspend": None}, "", id="suspend may be removed"),
    pytest.param("written", {"ttlSecondsAfterFinished": 120}, "", id="the time to live may change"),
    pytest.param("written", {"ttlSecondsAfterFinished": None}, "", id="the time to live may be removed"),
    pytest.param("plain", {"ttlSecondsAfterFinished": 0}, "", id="the time to live may be added"),
    pytest.param("written", {"deadlines": {"pendingSeconds": 700}}, "", id="the pending deadline may change"),
    pytest.param("plain", {"deadlines": {"pendingSeconds": 10}}, "", id="the pending deadline may be given"),
    pytest.param("plain", {"runtime": {"attention": "Auto"}}, "", id="a default may be written out"),
]


@pytest.mark.parametrize(("name", "change", "field"), CHANGES)
def test_what_may_be_changed_of_a_measurement(
    kubectl: Tool, held: str, name: str, change: dict[str, Any], field: str
) -> None:
    patch = json.dumps({"spec": change})
    answer = kubectl.ask("-n", held, "patch", "benchmarkjob", name, "--type=merge", "--dry-run=server", "-p", patch)
    assert answer.ok == (not field), answer.said
    assert not field or answer.said == f'The BenchmarkJob "{name}" is invalid: spec: Invalid value: {fixed(field)}\n'


def test_a_manifest_may_be_applied_again_unchanged(kubectl: Tool, held: str) -> None:
    for name, spec in (("written", WRITTEN), ("plain", PLAIN)):
        manifest = json.dumps(Case("", spec, name=name).manifest())
        assert kubectl.ask("-n", held, "apply", "--dry-run=server", "-f", "-", stdin=manifest).ok


def test_a_question_may_be_edited(kubectl: Tool, held: str) -> None:
    change = {"model": {"id": "gpt2-xl"}, "runtime": {"precision": "fp16"}, "require": "Fits"}
    patch = json.dumps({"spec": change})
    answer = kubectl.ask("-n", held, "patch", "modelcheck", "question", "--type=merge", "--dry-run=server", "-p", patch)
    assert answer.ok, answer.said


def described(schema: dict[str, Any], name: str = "") -> Iterator[str]:
    """The lines that kubectl explain prints for each field of a schema: its name, and a word of its description."""
    for child, node in schema.get("properties", {}).items():
        path = f"{name}.{child}".lstrip(".")
        yield path
        yield from described(node.get("items", node), path)


@of_each_kind
def test_explain_lists_every_field(kubectl: Tool, place: str, kind: str) -> None:
    crd = yaml.safe_load((CRDS / f"{PLURALS[kind]}.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    told = kubectl("explain", PLURALS[kind], "--recursive")
    names = [line.split("\t")[0].strip() for line in told.splitlines()]
    for path in described(schema):
        assert path.rsplit(".", 1)[-1] in names, path


@of_each_kind
def test_explain_describes_every_level(kubectl: Tool, place: str, kind: str) -> None:
    crd = yaml.safe_load((CRDS / f"{PLURALS[kind]}.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parents = [p for p in described(schema) if any(q.startswith(f"{p}.") for q in described(schema))]
    for path in ["", *(f".{p}" for p in parents)]:
        told = kubectl("explain", f"{PLURALS[kind]}{path}")
        assert "<empty>" not in told and "<no description>" not in told, path


COLUMNS = {
    BENCHMARK: [
        *("NAME", "PHASE", "MODEL", "GPU", "PROGRESS", "THROUGHPUT", "P99", "PEAKMEMORY", "ENERGY", "VALID"),
        *("REASON", "NODE", "GPU-SECONDS", "AGE"),
    ],
    CHECK: ["NAME", "MODEL", "VERDICT", "NEED", "BEST", "FITS", "SOURCE", "HEADROOM", "REASON", "AGE"],
}
ONLY_WIDE = {"REASON", "NODE", "GPU-SECONDS", "HEADROOM"}


@of_each_kind
def test_columns(kubectl: Tool, held: str, kind: str) -> None:
    wide = kubectl("-n", held, "get", PLURALS[kind], "-o", "wide").splitlines()[0].split()
    narrow = kubectl("-n", held, "get", PLURALS[kind]).splitlines()[0].split()
    assert wide == COLUMNS[kind]
    assert narrow == [name for name in COLUMNS[kind] if name not in ONLY_WIDE]


@of_each_kind
def test_the_kind_is_established_and_structural(kubectl: Tool, place: str, kind: str) -> None:
    crd = json.loads(kubectl("get", "crd", f"{PLURALS[kind]}.wattmark.dev", "-o", "json"))
    conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("name", ["wbj", "wmc", "wattmark", "benchmarkjobs.wattmark.dev", "modelchecks.wattmark.dev"])
def test_short_names_and_category(kubectl: Tool, place: str, name: str) -> None:
    assert kubectl.ask("-n", place, "get", name).ok
