"""Manifests from files: what is found in them, and words for what cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.cli.manifest import InvalidManifest, documents, one, printed, shown

HEAD = "apiVersion: wattmark.dev/v1alpha1\nkind: BenchmarkJob\nmetadata: {name: bert}\n"
WHOLE = f"{HEAD}spec: {{model: {{id: bert-base-uncased}}}}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_only_object_of_a_kind_is_found_among_others(tmp_path: Path) -> None:
    name, spec = one(written(tmp_path, f"kind: Namespace\n---\n---\n{WHOLE}"), "BenchmarkJob", BenchmarkJobSpec)
    assert (name, spec.model.id) == ("bert", "bert-base-uncased")


FORMS = [
    pytest.param("kind: A\n---\nkind: B\n", id="several documents"),
    pytest.param("kind: List\nitems: [{kind: A}, {kind: B}]\n", id="a List, as kubectl get prints it"),
    pytest.param('{"kind": "List", "items": [{"kind": "A"}, {"kind": "B"}]}', id="JSON"),
]


@pytest.mark.parametrize("text", FORMS)
def test_documents(tmp_path: Path, text: str) -> None:
    assert [d["kind"] for d in documents(written(tmp_path, text))] == ["A", "B"]


BROKEN = [
    pytest.param("a: [", "is not YAML", id="no YAML"),
    pytest.param("just words", "not an object", id="no object"),
    pytest.param("kind: List\nitems: [words]", "not an object", id="a List of something else"),
    pytest.param("kind: Other", "exactly one BenchmarkJob, and holds 0", id="none of the kind"),
    pytest.param(f"{WHOLE}---\n{WHOLE}", "exactly one BenchmarkJob, and holds 2", id="two of the kind"),
    pytest.param(WHOLE.replace("v1alpha1", "v1"), "apiVersion must be wattmark.dev/v1alpha1", id="another version"),
    pytest.param(f"{HEAD}spec: {{}}", "spec.model: Field required", id="a field that is missing"),
    pytest.param(
        f"{WHOLE}  ".replace("}}", "}, speed: 1}"),
        "spec.speed: no such field; there are deadlines, ",
        id="a field that is unknown",
    ),
    pytest.param(HEAD, "spec.model: Field required", id="no spec"),
    pytest.param(f"{HEAD}spec: words", "spec: Input should be an object", id="a spec of words"),
    pytest.param(f"{HEAD}spec: &s {{model: *s}}", "Circular reference", id="a spec within itself"),
    pytest.param("[" * 20_000, "is not YAML", id="a bottomless list"),
    pytest.param(f"{HEAD}spec: {{model: {{id: a}}, model: {{id: b}}}}", "'model' is there twice", id="a field twice"),
    pytest.param(WHOLE.replace("{name: bert}", "[bert]"), "metadata.name must be", id="metadata of another kind"),
    pytest.param(WHOLE.replace("name: bert", "name: 7"), "metadata.name must be", id="a name that is a number"),
    pytest.param(
        WHOLE.replace("name: bert", "name: ../Bert"), "metadata.name must be", id="a name as no cluster takes it"
    ),
    pytest.param(
        WHOLE.replace("name: bert", f"name: {'b' * 49}"), "at most 48 characters", id="a name that is too long"
    ),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidManifest) as invalid:
        one(path, "BenchmarkJob", BenchmarkJobSpec)
    assert words in str(invalid.value) and str(path) in str(invalid.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match=r"nothing\.yaml cannot be read: No such file"):
        documents(tmp_path / "nothing.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidManifest, match="is not YAML"):
        documents(path)


@pytest.mark.parametrize(("form", "load"), [("yaml", yaml.safe_load), ("json", json.loads)], ids=["yaml", "json"])
def test_what_is_printed_is_an_object_with_its_status(form: str, load: Callable[[str], Any]) -> None:
    found = load(printed([shown("BenchmarkJob", "bert", BenchmarkJobStatus(observed_generation=1))], form))
    assert found["kind"] == "BenchmarkJob" and found["metadata"] == {"name": "bert"}
    assert found["status"]["observedGeneration"] == 1 and "spec" not in found


@pytest.mark.parametrize(("form", "load"), [("yaml", yaml.safe_load), ("json", json.loads)], ids=["yaml", "json"])
def test_several_are_a_list(form: str, load: Callable[[str], Any]) -> None:
    status = BenchmarkJobStatus(observed_generation=1)
    found = load(printed([shown("BenchmarkJob", name, status) for name in ("a", "b")], form))
    assert found["kind"] == "List" and [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]
