"""Small fleets of real nodes, and questions that tests of preflight put to them."""

from typing import Any

from tests.unit.test_fleet_nodes import A100, EIGHT, node

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fleet.nodes import read_node
from wattmark.model_facts import facts
from wattmark.preflight import Fleet, Preflight, fleet, for_benchmark

GPT2 = {"id": "gpt2"}
LLAMA = {"id": "meta-llama/Llama-3.1-8B"}
FP16 = {"runtime": {"precision": "fp16"}}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}


def cluster(*bodies: dict[str, Any]) -> Fleet:
    return fleet([read_node(body) for body in bodies], ())


T4 = {
    **A100,
    "nvidia.com/gpu.product": "Tesla-T4",
    "nvidia.com/gpu.memory": "15360",
    "nvidia.com/gpu.compute.major": "7",
    "nvidia.com/gpu.compute.minor": "5",
}
LARGE, SMALL = node(A100, EIGHT, "large"), node(T4, EIGHT, "small")
NO_GPU = node({"kubernetes.io/arch": "amd64"}, {"cpu": "4", "memory": "16Gi"}, "cpu")


def before(nodes: Fleet | None, **spec: Any) -> Preflight:
    read = BenchmarkJobSpec.read({"model": GPT2, **spec})
    return for_benchmark(read, facts(read.model, None), nodes)


def asked(method: str, **fields: Any) -> ModelCheckSpec:
    return ModelCheckSpec.read({"model": GPT2, "method": method, **fields})


XLS_R = {"id": "facebook/wav2vec2-xls-r-300m"}
ON_VOLUME = {"id": "mine", "source": VOLUME}
UNLISTED = {"id": "mine", "source": {"type": "Inline", "inline": {"config": '{"model_type": "opt"}'}}}
UNET = {"id": "unet"}
