"""The CustomResourceDefinitions, generated from the API models: `python -m wattmark.crds` writes them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.api.schema import GROUP, OWN_NAME, OWN_NAME_LENGTH, OWN_NAME_MESSAGE, VERSION

NAME_RULE = {
    # The name is part of a Job's, a Service's and a label's value; a dot or a leading digit breaks the Service.
    "rule": f"self.metadata.name.size() <= {OWN_NAME_LENGTH} && self.metadata.name.matches('{OWN_NAME}')",
    "message": OWN_NAME_MESSAGE,
}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    priority: int = 0
    type: str = "string"


@dataclass(frozen=True)
class Kind:
    """One kind of the API and how it is shown."""

    kind: str
    plural: str
    short: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    description: str


AGE = Column("Age", ".metadata.creationTimestamp", type="date")

KINDS: tuple[Kind, ...] = (
    Kind(
        "BenchmarkJob",
        "benchmarkjobs",
        "wbj",
        BenchmarkJobSpec,
        BenchmarkJobStatus,
        (
            Column("Phase", ".status.phase"),
            Column("Model", ".spec.model.id"),
            Column("GPU", ".status.summary.gpu"),
            Column("Progress", ".status.summary.progress"),
            Column("Throughput", ".status.summary.throughput"),
            Column("P99", ".status.summary.p99"),
            Column("PeakMemory", ".status.summary.peakMemory"),
            Column("Energy", ".status.summary.energy"),
            Column("Valid", ".status.summary.valid"),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", 1),
            Column("Node", ".status.environment.node", 1),
            Column("GPU-Seconds", ".status.gpuSeconds", 1, "number"),
            AGE,
        ),
        "A BenchmarkJob runs a model on the cluster and holds in its status what it really did: throughput, latency, "
        "memory and energy, each with its unit and definition.",
    ),
    Kind(
        "ModelCheck",
        "modelchecks",
        "wmc",
        ModelCheckSpec,
        ModelCheckStatus,
        (
            Column("Model", ".spec.model.id"),
            Column("Verdict", ".status.summary.verdict"),
            Column("Need", ".status.summary.need"),
            Column("Best", ".status.summary.bestNodeType"),
            Column("Fits", ".status.summary.fits"),
            Column("Source", ".status.source"),
            Column("Headroom", ".status.summary.headroom", 1),
            Column("Reason", ".status.conditions[?(@.type=='Fits')].reason", 1),
            AGE,
        ),
        "A ModelCheck asks whether a model, with a workload and a precision, fits the GPUs of this cluster: on which "
        "node "
        "types, and with how much memory to spare.",
    ),
)


class Structural(GenerateJsonSchema):
    """JSON Schema as a CRD wants it: no null branches, no titles, no references, closed by pruning."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Optional means absent, never null."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Titles are noise in `kubectl explain`."""
        return False

    def encode_default(self, dft: Any) -> Any:
        """Defaults as a user would write them: what nested defaults fill in is left to them."""
        if isinstance(dft, BaseModel):
            return dft.model_dump(by_alias=True, exclude_defaults=True, exclude_none=True, mode="json")
        return super().encode_default(dft)


def inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Replace references by what they mean and drop what the API server's schemas do not know."""
    if isinstance(node, list):
        return [inlined(item, definitions) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rsplit("/", 1)[-1]]
        return inlined({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "properties" in node:
        properties = {name: inlined(child, definitions) for name, child in node["properties"].items()}
        rest = {k: v for k, v in node.items() if k not in ("properties", "title", "additionalProperties", "default")}
        return {**inlined(rest, definitions), **_default(node), "properties": properties}
    return {
        **{k: inlined(v, definitions) for k, v in node.items() if k not in ("title", "default")},
        **_default(node),
        **({"format": "int64"} if node.get("type") == "integer" else {}),
    }


def _default(node: Mapping[str, Any]) -> dict[str, Any]:
    """A default, unless it only says that an optional field or list is absent."""
    value = node.get("default")
    return {} if value is None or value == [] else {"default": value}


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of one model."""
    schema = model.model_json_schema(by_alias=True, schema_generator=Structural, mode="validation")
    definitions = schema.pop("$defs", {})
    result: dict[str, Any] = inlined(schema, definitions)
    return result


def in_whole_parts(status: dict[str, Any]) -> dict[str, Any]:
    """The status's schema, with each part, and each item of a list, owned as a whole.

    One writer writes it. Without this the API server keeps in metadata.managedFields who wrote each single figure:
    as much again as the status itself, and a quarter of the time that its write takes.
    """
    for part in status["properties"].values():
        whole = part.get("items", part)
        if whole["type"] == "object":
            whole["x-kubernetes-map-type"] = "atomic"
    return status


def crd(kind: Kind) -> dict[str, Any]:
    """One CustomResourceDefinition."""
    columns = [
        {"name": c.name, "type": c.type, "jsonPath": c.path, **({"priority": c.priority} if c.priority else {})}
        for c in kind.columns
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "wattmark", "app.kubernetes.io/part-of": "wattmark"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["wattmark"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": kind.description,
                            "required": ["spec"],
                            "x-kubernetes-validations": [NAME_RULE],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": structural(kind.spec),
                                "status": in_whole_parts(structural(kind.status)),
                            },
                        }
                    },
                }
            ],
        },
    }


def render(kind: Kind) -> str:
    """The committed YAML of one CRD."""
    header = "# Generated from operator/wattmark/api by `make generate`; a test compares them.\n"
    return header + yaml.safe_dump(crd(kind), sort_keys=False, width=120, allow_unicode=True)


def render_for_chart(kind: Kind) -> str:
    """The same inside the chart, which cannot read a folder above it: kept on uninstall, upgraded with the release."""
    body = crd(kind)
    body["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    text = yaml.safe_dump(body, sort_keys=False, width=120, allow_unicode=True)
    header = "{{- /* Generated from operator/wattmark/api by `make generate`; a test compares them. */}}\n"
    return f"{header}{{{{- if .Values.crds.install }}}}\n{text}{{{{- end }}}}\n"


def outputs(root: Path) -> dict[Path, str]:
    """Every generated file below the repository's root, with its content."""
    return {
        path: text
        for kind in KINDS
        for path, text in (
            (root / "crds" / f"{kind.plural}.yaml", render(kind)),
            (root / "helm" / "wattmark" / "templates" / f"crds-{kind.plural}.yaml", render_for_chart(kind)),
        )
    }


def main() -> int:
    """Write the generated files below the current folder."""
    for path, text in outputs(Path.cwd()).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
