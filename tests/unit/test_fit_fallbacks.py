"""What is offered where it does not fit: ranked, within bounds, and with it the spec fits."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_writing import KEYS, VALUES
from tests.unit.test_writing import applied as by_the_rfc

from wattmark.api.answers import Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.fallback import Change, Fallback
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fit.fallbacks import applied, with_patch
from wattmark.fleet.nodes import Member, NodeType, Offer, SeenNode, cpu_type
from wattmark.model_facts import facts
from wattmark.preflight import Answer, Fleet, for_benchmark, for_check

GIB = 1 << 30
L4 = Offer("nvidia.com/gpu", 1, "NVIDIA-L4", 23034 << 20, "label", (8, 9), False, "580")
GPUS = {
    "t4": replace(L4, product="Tesla-T4", memory_bytes=15 * GIB, capability=(7, 5)),
    "l4": L4,
    "a100": replace(L4, product="NVIDIA-A100-SXM4-80GB", memory_bytes=80 * GIB, capability=(8, 0)),
    "slice": replace(L4, product="A100-MIG-1g.10gb", memory_bytes=10 * GIB, resource="nvidia.com/mig-1g.10gb"),
    "shared": replace(L4, shared=True),
    "node": replace(L4, product="NVIDIA-A100-SXM4-80GB", memory_bytes=80 * GIB, capability=(8, 0), count=8),
    "silent": replace(L4, memory_bytes=None, memory_from="no label"),
}


def fleet(*names: str, **offers: Offer) -> Fleet:
    found = {**{name: GPUS[name] for name in names}, **offers}
    nodes = {n: SeenNode(n, {}, (), True, False, False, "amd64", 500 * GIB, 1000 * GIB, (o,)) for n, o in found.items()}
    kinds = tuple(NodeType(n, o, False, (Member(nodes[n], o.count),)) for n, o in found.items())
    return Fleet(kinds, cpu_type(nodes.values()))


def ask(nodes: Fleet, spec: ModelCheckSpec) -> Answer:
    return for_check(spec, facts(spec.model, None), nodes)


def check(model: str = "meta-llama/Llama-3.1-8B", **spec: Any) -> ModelCheckSpec:
    return ModelCheckSpec.read({"model": {"id": model}, **spec})


def inference(batch: int, tokens: int, generated: int = 64, **runtime: str) -> dict[str, Any]:
    text = {"inputTokens": tokens, "outputTokens": generated}
    shape = {"batchSizePerDevice": batch, "input": {"text": text}}
    return {"workload": {"type": "Inference", "inference": shape}, "runtime": runtime}


def training(batch: int, tokens: int, **runtime: str) -> dict[str, Any]:
    shape = {"batchSizePerDevice": batch, "input": {"text": {"inputTokens": tokens}}}
    return {"workload": {"type": "Training", "training": shape}, "runtime": runtime}


OFFERED: list[Any] = [
    pytest.param(("l4",), check(), [], id="what fits needs nothing"),
    pytest.param(("t4", "a100"), check(**inference(1, 512)), [], id="nor what fits on one type of two"),
    pytest.param(("silent",), check(**inference(512, 8192)), [], id="where it is not known, there is nothing to mend"),
    pytest.param((), check(), [], id="no nodes"),
    pytest.param(
        ("l4",), check(**inference(64, 2048)), ["BatchSize", "InputLength", "Model"], id="a batch that is too large"
    ),
    pytest.param(
        ("l4",), check(**inference(1, 512, precision="fp32")), ["Precision", "Model"], id="too wide a precision"
    ),
    pytest.param(
        ("t4",), check("gpt2", **inference(1, 512)), ["Precision"], id="a precision that the GPU does not have"
    ),
    pytest.param(
        ("l4",),
        check("gpt2", **training(32, 1024, attention="Eager")),
        [
            "Attention GradientCheckpointing GradientAccumulation",
            "GradientAccumulation",
            "Attention GradientCheckpointing BatchSize",
            "BatchSize",
        ],
        id="training: the same samples in more passes, before fewer samples",
    ),
    pytest.param(
        ("l4",),
        check("gpt2", **inference(120, 900, attention="Eager", precision="fp32")),
        ["Attention", "BatchSize", "Precision", "InputLength"],
        id="scores that are kept: the change that changes no result comes first",
    ),
    pytest.param(
        ("slice",), check("gpt2"), ["NodeType"], id="slices, where whole GPUs are asked for and none is there"
    ),
    pytest.param(
        ("l4", "a100"),
        check("gpt2", resources={"gpu": {"products": ["NVIDIA-L40S"]}}),
        ["NodeType"],
        id="a product that the cluster does not have",
    ),
    pytest.param(
        ("shared",), check(**inference(1, 512)), [], id="a shared GPU with the room: only others stand against it"
    ),
    pytest.param(
        ("shared",), check(**inference(64, 2048)), ["BatchSize", "InputLength", "Model"], id="one without the room"
    ),
    pytest.param(
        ("a100",),
        check(**training(8, 2048)),
        [
            "FusedOptimizer GradientCheckpointing Precision GradientAccumulation",
            "FusedOptimizer GradientCheckpointing Precision BatchSize",
        ],
        id="only several changes together",
    ),
    pytest.param(
        ("l4",),
        check(**training(1, 512)),
        ["GradientCheckpointing Precision Adapters", "Quantization Adapters"],
        id="far too large to be trained: adapters, beside narrower or quantized matrices",
    ),
    pytest.param(
        ("slice",),
        check("Qwen/Qwen2.5-7B", resources={"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}}, **inference(1, 512)),
        ["Quantization"],
        id="weights that are too large",
    ),
    pytest.param(
        ("l4",),
        check(
            workload={"type": "Training", "training": {"lora": {}, "batchSizePerDevice": 1}},
            runtime={"precision": "fp16-mixed", "quantization": {"type": "BitsAndBytesNF4"}},
        ),
        [],
        id="QLoRA fits",
    ),
    pytest.param(
        ("l4",),
        check("gpt2-medium", **training(24, 512)),
        ["GradientCheckpointing", "GradientAccumulation"],
        id="activations that need not be kept",
    ),
    pytest.param(
        ("a100",),
        check("microsoft/resnet-152", workload={"type": "Training", "training": {"batchSizePerDevice": 4096}}),
        ["GradientAccumulation", "BatchSize"],
        id="batch norm: more passes are another result",
    ),
    pytest.param(
        ("a100", "node"),
        check("meta-llama/Llama-3.1-70B", **inference(1, 512)),
        ["Sharding", "Quantization", "Model"],
        id="a model that is larger than any GPU",
    ),
    pytest.param(
        ("node",),
        check("meta-llama/Llama-3.1-8B", **training(1, 2048)),
        ["Sharding", "FusedOptimizer Precision"],
        id="training that is larger than any GPU",
    ),
]


def named(found: tuple[Fallback, ...]) -> list[str]:
    return [" ".join(change.value for change in fallback.changes) for fallback in found]


@pytest.mark.parametrize(("names", "spec", "changes"), OFFERED)
def test_what_is_offered(names: tuple[str, ...], spec: ModelCheckSpec, changes: list[str]) -> None:
    found = ask(fleet(*names), spec).fallbacks
    assert named(found)[: len(changes)] == changes, named(found)
    assert bool(found) == bool(changes)


def test_pairs_are_tried_where_what_helps_alone_is_one_change_found_again() -> None:
    spec = training(8, 512)
    spec["workload"]["training"] |= {"gradientCheckpointing": "Full", "lora": {}}
    found = ask(fleet("l4"), check(**spec)).fallbacks
    assert any({Change.QUANTIZATION, Change.PRECISION} <= set(fallback.changes) for fallback in found), named(found)


def test_words_compare_with_what_was_asked_for() -> None:
    found = [f for f in ask(fleet("a100"), check(**training(8, 512))).fallbacks if Change.OPTIMIZER in f.changes]
    assert found and all("instead of AdamW:" in fallback.message for fallback in found), [f.message for f in found]
    shared = {"parallelism": {"type": "DDP"}, "resources": {"gpusPerNode": 8}}
    found = list(ask(fleet("node"), check(**training(8, 512), **shared)).fallbacks)
    assert any("FSDP on the same 8 GPUs; " in fallback.message for fallback in found), [f.message for f in found]
    to_16 = ask(fleet("a100"), check("google/gemma-2-9b", **inference(8, 8000, precision="bf16"))).fallbacks
    narrower = [f.message for f in to_16 if Change.PRECISION in f.changes]
    assert narrower and not any("faster" in message.partition("fp16 instead")[2] for message in narrower), narrower


def test_where_no_gpu_has_tf32_what_it_rounds_is_offered_first() -> None:
    first = ask(fleet("t4"), check("gpt2", **inference(1, 512, precision="tf32"))).fallbacks[0]
    assert first.patch == '{"spec":{"runtime":{"precision":"fp32"}}}'
    assert first.message == "fp32 instead of tf32: as exact or more, on any GPU"


def test_one_sample_is_no_samples() -> None:
    found = ask(
        fleet(small=replace(L4, memory_bytes=6 * GIB)), check("gpt2-medium", **training(8, 1024, precision="bf16"))
    )
    said = [f.message for f in found.fallbacks if Change.GRADIENT_ACCUMULATION in f.changes]
    assert said and "8 passes of 1 sample instead of 1 of 8" in said[0], [f.message for f in found.fallbacks]


def test_a_fallback_says_what_it_saves_and_what_it_costs() -> None:
    spec = check("gpt2", **inference(120, 900, attention="Eager", precision="fp32"))
    first, second, *_ = ask(fleet("l4"), spec).fallbacks
    assert first.patch == '{"spec":{"runtime":{"attention":"Auto"}}}'
    assert (first.rank, first.changes_result, first.node_type) == (1, False, "l4")
    assert first.saved_bytes is not None and first.saved_bytes > GIB
    assert "scores are not kept" in first.message
    assert second.changes_result and "less throughput" in second.message


def test_the_batch_that_is_offered_is_the_largest() -> None:
    spec = check(**inference(64, 2048))
    answer = ask(fleet("l4"), spec)
    batch = with_patch(spec, answer.fallbacks[0].patch).workload.shape.batch_size_per_device
    assert batch == answer.node_types[0].largest_batch_size_per_device
    assert ask(fleet("l4"), check(**inference(batch, 2048))).node_types[0].verdict is Verdict.FITS
    assert ask(fleet("l4"), check(**inference(batch + 1, 2048))).node_types[0].verdict is not Verdict.FITS


def test_as_few_gpus_as_fit() -> None:
    spec = check("meta-llama/Llama-3.1-70B", **inference(1, 512))
    first = ask(fleet("node"), spec).fallbacks[0]
    assert json.loads(first.patch) == {
        "spec": {"resources": {"gpusPerNode": 2}, "parallelism": {"type": "TensorParallel"}}
    }
    assert first.changes_result and "TensorParallel on 2 GPUs of a node instead of 1" in first.message
    trained = check("meta-llama/Llama-3.1-8B", **training(1, 2048))
    first = ask(fleet("node"), trained).fallbacks[0]
    gpus = with_patch(trained, first.patch).resources.gpus_per_node
    fewer = [n for n in (2, 4, 8) if n < gpus]
    for n in fewer:
        raw = applied(trained.wire(), applied(json.loads(first.patch)["spec"], {"resources": {"gpusPerNode": n}}))
        assert ask(fleet("node"), ModelCheckSpec.read(raw)).node_types[0].verdict is not Verdict.FITS


def test_more_passes_take_the_same_samples() -> None:
    spec = check("gpt2", **training(32, 1024, precision="fp16-mixed"))
    shapes = [with_patch(spec, found.patch).workload.training for found in ask(fleet("t4"), spec).fallbacks]
    split = [shape for shape in shapes if shape is not None and shape.gradient_accumulation_steps > 1]
    assert split and all(s.batch_size_per_device * s.gradient_accumulation_steps == 32 for s in split)


def test_a_run_on_the_cpu_is_given_more_memory_or_less_to_do() -> None:
    tight = {"resources": {"gpusPerNode": 0, "memory": "256Mi"}}
    job = BenchmarkJobSpec.read({"model": {"id": "gpt2"}, **tight})
    found = for_benchmark(job, facts(job.model, None), fleet("l4"))
    assert (found.fits, named(found.fallbacks)) == (False, ["HostMemory"])
    assert with_patch(job, found.fallbacks[0].patch).resources.memory != "256Mi"
    eager = {"runtime": {"attention": "Eager"}, "resources": {"gpusPerNode": 0, "memory": "1500Mi"}}
    shape = {"batchSizePerDevice": 16, "input": {"text": {"inputTokens": 960, "outputTokens": 0}}}
    job = BenchmarkJobSpec.read(
        {"model": {"id": "gpt2"}, **eager, "workload": {"type": "Inference", "inference": shape}}
    )
    found = for_benchmark(job, facts(job.model, None), fleet("l4"))
    assert found.fallbacks[0].changes_result is False
    large = {"workload": {"type": "Inference", "inference": {"batchSizePerDevice": 60000}}}
    job = BenchmarkJobSpec.read({"model": {"id": "gpt2"}, **large, "resources": {"gpusPerNode": 0}})
    found = for_benchmark(job, facts(job.model, None), fleet("l4"))
    assert (found.fits, named(found.fallbacks)[0]) == (False, "BatchSize")


def test_a_run_is_offered_only_what_its_runner_runs() -> None:
    job = BenchmarkJobSpec.read({"model": {"id": "meta-llama/Llama-3.1-8B"}, **training(1, 512)})
    found = for_benchmark(job, facts(job.model, None), fleet("l4", "a100")).fallbacks
    assert [with_patch(job, fallback.patch) for fallback in found]
    changes = {change for fallback in found for change in fallback.changes}
    assert Change.ADAPTERS in changes and not changes & {Change.QUANTIZATION, Change.OPTIMIZER_STATES}


IDLE = [
    pytest.param(
        "l4", check("gpt2", **training(64, 1024)), Change.FUSED_OPTIMIZER,
        id="temporaries of a step, where activations decide",
    ),
    pytest.param(
        "a100", check("google/gemma-2-2b", **training(64, 512, attention="Eager", precision="bf16")), Change.ATTENTION,
        id="scores of a layer that is computed again, where logits decide",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spec", "idle"), IDLE)
def test_what_saves_nothing_at_the_peak_is_not_offered(name: str, spec: ModelCheckSpec, idle: Change) -> None:
    found = ask(fleet(name), spec).fallbacks
    assert any(len(fallback.changes) > 1 for fallback in found)
    assert all(idle not in fallback.changes for fallback in found), named(found)


def test_what_is_offered_beside_another_change_saves_something() -> None:
    spec = check("meta-llama/Llama-3.1-8B", **training(16, 512))
    nodes = fleet("a100")
    found = [f for f in ask(nodes, spec).fallbacks if Change.FUSED_OPTIMIZER in f.changes]
    assert found
    for fallback in found:
        patch = json.loads(fallback.patch)
        del patch["spec"]["workload"]["training"]["optimizer"]
        (without,) = ask(nodes, with_patch(spec, json.dumps(patch))).node_types
        assert without.need_bytes is not None and without.need_bytes.high > fallback.need_bytes.high


def test_another_product_saves_nothing_by_itself() -> None:
    spec = check("gpt2", resources={"gpu": {"products": ["NVIDIA-L40S"]}})
    (found,) = ask(fleet("l4"), spec).fallbacks
    assert found.saved_bytes is None and found.changes_result


MODELS = ("gpt2", "gpt2-xl", "meta-llama/Llama-3.1-70B", "Qwen/Qwen2.5-7B", "bert-large-uncased", "t5-large")
IMAGES = ("microsoft/resnet-152", "google/vit-large-patch16-224")
BATCHES = st.sampled_from([1, 3, 8, 64, 500, 4096])


@st.composite
def specs(draw: st.DrawFn) -> ModelCheckSpec:
    model = draw(st.sampled_from(MODELS + IMAGES))
    kind = draw(st.sampled_from(["Inference", "Training"]))
    shape: dict[str, Any] = {"batchSizePerDevice": draw(BATCHES)}
    if model in MODELS and draw(st.booleans()):
        shape["input"] = {"text": {"inputTokens": draw(st.integers(1, 512))}}
    if kind == "Training":
        shape["optimizer"] = draw(st.sampled_from(["AdamW", "Adafactor", "SGD", "AdamW8Bit", "Lion"]))
        shape["gradientAccumulationSteps"] = draw(st.sampled_from([1, 3]))
    fitting = ["fp32", "tf32", "bf16"] + (["bf16-mixed", "fp16-mixed"] if kind == "Training" else ["fp16"])
    runtime: dict[str, Any] = {
        "precision": draw(st.sampled_from(fitting)),
        "attention": draw(st.sampled_from(["Auto", "Eager"])),
    }
    if model in MODELS and kind == "Training" and draw(st.booleans()):
        shape["lora"] = {"rank": draw(st.sampled_from([1, 16]))}
    if runtime["precision"] not in ("fp32", "tf32") and (kind == "Inference" or "lora" in shape):
        how = draw(st.sampled_from(["None", "BitsAndBytesInt8", "BitsAndBytesNF4"]))
        runtime["quantization"] = {"type": how}
    return check(model, workload={"type": kind, kind.lower(): shape}, runtime=runtime)


@settings(max_examples=40, deadline=None)
@given(specs(), st.integers(2, 200), st.sampled_from([1, 1, 2, 3, 8, 16]), st.sampled_from(sorted(GPUS)))
def test_with_the_patch_it_fits(spec: ModelCheckSpec, gib: int, count: int, beside: str) -> None:
    nodes = fleet(beside, drawn=replace(L4, memory_bytes=gib * GIB, count=count))
    answer = ask(nodes, spec)
    ranks = [fallback.rank for fallback in answer.fallbacks]
    assert ranks == list(range(1, len(ranks) + 1))
    assert [f.changes_result for f in answer.fallbacks] == sorted(f.changes_result for f in answer.fallbacks)
    for fallback in answer.fallbacks:
        after = ask(nodes, with_patch(spec, fallback.patch))
        (there,) = (kind for kind in after.node_types if kind.node_type == fallback.node_type)
        assert there.verdict is Verdict.FITS or there.reason == "SharedGpu", fallback
        assert there.need_bytes == fallback.need_bytes and fallback.need_bytes.high <= (there.offered_bytes or 0)
        assert after.fallbacks == ()
        assert len(fallback.patch) <= 512 and len(fallback.message) <= 512


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES | st.none()))
def test_a_patch_is_applied_as_the_api_server_applies_it(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = json.dumps(target)
    assert applied(target, patch) == by_the_rfc(target, patch)
    assert json.dumps(target) == before
