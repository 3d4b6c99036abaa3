"""Where a run takes place: what it takes from a node, and on which nodes it may land."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from wattmark.api.schema import AS_SET, ATOMIC, Model, ObjectName, Quantity, Rule, ruled


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("each value may stand here once")
    return values


class GpuSpec(Model):
    """Which GPUs are asked for."""

    resource_name: Annotated[
        str,
        Field(
            max_length=96,
            pattern=r"^nvidia\.com/(gpu|gpu\.shared|mig-[1-9]g\.[1-9][0-9]{0,3}gb([.-][a-z]{2,8}){0,2})$",
        ),
    ] = Field(
        "nvidia.com/gpu",
        description="Extended resource that the Pod requests: nvidia.com/gpu, nvidia.com/gpu.shared or "
        "nvidia.com/mig-<profile>, for example nvidia.com/mig-1g.10gb or nvidia.com/mig-1g.10gb.me.",
    )
    products: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=63)]],
            Field(min_length=1, max_length=16),
            AfterValidator(_each_once),
            AS_SET,
        ]
        | None
    ) = Field(
        None,
        description="Accepted values of the node label nvidia.com/gpu.product, for example NVIDIA-A100-SXM4-80GB. "
        "Default: every product that fits.",
    )


class ResourcesSpec(Model):
    """What one run takes from a node."""

    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = Field(
        1,
        description="GPUs of the run, all of one node. A BenchmarkJob takes 1, or 0 to run on the CPU (device figures "
        "are then named in unavailable). A ModelCheck asks about 1 or, with a parallelism.type, about more.",
    )
    gpu: GpuSpec | None = Field(None, description="Which GPUs; without effect when gpusPerNode is 0.")
    cpu: Quantity | None = Field(
        None, description="CPU request and limit of the runner, in cores. Default: 1 requested, no limit."
    )
    memory: Quantity | None = Field(
        None, description="Host memory request and limit of the runner. Default: from the estimate of host memory."
    )


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """Which taints a toleration speaks of."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A taint that the runner Pod tolerates."""

    model_config = ruled(
        Rule(
            "!self.key.startsWith('node.kubernetes.io/') && !self.key.startsWith('node-role.kubernetes.io/')",
            "tolerations of node.kubernetes.io/ and node-role.kubernetes.io/ taints are the cluster's own",
        ),
        Rule("self.operator != 'Exists' || !has(self.value)", "a toleration with operator Exists takes no value"),
    )

    key: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="Key of the taint.")
    operator: TolerationOperator = Field(
        TolerationOperator.EQUAL, description="Equal: key and value match. Exists: the key alone matches."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="Value of the taint; with operator Equal."
    )
    effect: TaintEffect | None = Field(None, description="Effect of the taint. Default: every effect.")

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        if self.key.startswith(("node.kubernetes.io/", "node-role.kubernetes.io/")):
            raise ValueError(
                "tolerations of node.kubernetes.io/ and node-role.kubernetes.io/ taints are the cluster's own"
            )
        if self.operator is TolerationOperator.EXISTS and self.value is not None:
            raise ValueError("a toleration with operator Exists takes no value")
        return self


class PlacementSpec(Model):
    """Where the run may land."""

    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None = Field(
        None, description="Node labels that must match exactly."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=16), ATOMIC] | None = Field(
        None, description="Taints that the Pod tolerates, beside those of the GPU resource, which it always does."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the Pod.")
    runtime_class_name: ObjectName | None = Field(None, description="RuntimeClass of the Pod, for example nvidia.")
