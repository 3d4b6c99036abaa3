"""Manifests that the API takes and refuses, with the words of each refusal; told to pydantic and to the API server."""

import json
from dataclasses import dataclass, field
from typing import Any

BENCHMARK, CHECK = "BenchmarkJob", "ModelCheck"
MODEL = {"id": "gpt2"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"type": "Hub", "hub": {"revision": COMMIT}}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}
INLINE = {"type": "Inline", "inline": {"config": "{}"}}


@dataclass(frozen=True)
class Case:
    """One manifest. `refusal` is what kubectl prints after "is invalid: ", empty for what is taken."""

    sentence: str
    spec: dict[str, Any]
    refusal: str = ""
    kind: str = BENCHMARK
    name: str = "case"
    metadata: dict[str, Any] = field(default_factory=dict)

    def manifest(self) -> dict[str, Any]:
        """The whole object."""
        return {
            "apiVersion": "wattmark.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name, **self.metadata},
            "spec": self.spec,
        }


def taken(sentence: str, kind: str = BENCHMARK, **spec: Any) -> Case:
    return Case(sentence, {"model": MODEL, **spec}, kind=kind)


def refused(sentence: str, refusal: str, kind: str = BENCHMARK, **spec: Any) -> Case:
    return Case(sentence, {"model": MODEL, **spec}, refusal, kind)


def modelled(sentence: str, refusal: str = "", **model: Any) -> Case:
    return Case(sentence, {"model": {**MODEL, **model}}, refusal)


def tolerating(sentence: str, refusal: str = "", **toleration: Any) -> Case:
    return Case(sentence, {"model": MODEL, "placement": {"tolerations": [{"key": "team", **toleration}]}}, refusal)


def sized(sentence: str, refusal: str = "", **resources: Any) -> Case:
    return Case(sentence, {"model": MODEL, "resources": resources}, refusal)


def sharing(sentence: str, gpus: int, refusal: str = "", *, trained: bool = False, **parallelism: Any) -> Case:
    workload = {"type": "Training", "training": {}} if trained else {"type": "Inference", "inference": {}}
    spec = {"workload": workload, "resources": {"gpusPerNode": gpus}, "parallelism": parallelism}
    return Case(sentence, {"model": MODEL, **spec}, refusal, CHECK)


def inferring(sentence: str, refusal: str = "", **inference: Any) -> Case:
    return Case(sentence, {"model": MODEL, "workload": {"type": "Inference", "inference": inference}}, refusal)


def at(field_path: str, words: str) -> str:
    return f"spec.{field_path}: Invalid value: {words}"


def body(field_path: str, words: str) -> str:
    return f"spec.{field_path} in body {words}"


ONE_GPU = "spec.resources.gpusPerNode is at most 1: a BenchmarkJob runs on one GPU; a ModelCheck asks about several"
SEVERAL_TOGETHER = (
    "spec.resources.gpusPerNode above 1 goes with a spec.parallelism.type other than None (training: FSDP, ZeRO1 or "
    "DDP; inference: TensorParallel), and only with it"
)
TRAINS = "spec.parallelism.type DDP, ZeRO1 and FSDP are for training; for inference on several GPUs use TensorParallel"
INFERS = "spec.parallelism.type TensorParallel is for inference; for training on several GPUs use FSDP, ZeRO1 or DDP"
FSDP_ALONE = "parallelism.fsdp goes with parallelism.type FSDP, and only with it"
NOT_A_QUANTITY = 'must be a quantity above zero, for example 4, "500m" or "16Gi"'

TAKEN = [
    taken("a model's id alone"),
    taken("a question about it", CHECK),
    taken("every field of the first level", workload={"type": "Training", "training": {"optimizer": "SGD"}}),
    taken("a probe of one layer", workload={"type": "Analysis", "analysis": {"kind": "ConceptAnalysis", "layer": 1}}),
    taken("an analysis of all layers", CHECK, workload={"type": "Analysis", "analysis": {"kind": "LayerAnalysis"}}),
    inferring("a static cache", cache="Static"),
    taken("training with its defaults", workload={"type": "Training", "training": {}}),
    taken(
        "training in less memory",
        workload={
            "type": "Training",
            "training": {
                "optimizer": "Adafactor",
                "gradientCheckpointing": "Full",
                "gradientAccumulationSteps": 1024,
            },
        },
    ),
    taken("adapters by default", workload={"type": "Training", "training": {"lora": {}}}),
    taken(
        "adapters of attention",
        workload={"type": "Training", "training": {"lora": {"rank": 64, "targets": "Attention"}}},
    ),
    taken("a run on the CPU", resources={"gpusPerNode": 0}),
    taken("precision and attention", runtime={"precision": "bf16-mixed", "attention": "Eager"}),
    taken("all that is measured by hand", measure={"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2}),
    taken("no preflight", preflight={"policy": "Off"}),
    taken("a run that may be adapted", preflight={"policy": "Adapt"}),
    taken("one deadline of two", deadlines={"pendingSeconds": 10}),
    taken("a time to live of nothing", ttlSecondsAfterFinished=0),
    taken("suspended from the start", suspend=True),
    taken("no retries", maxInfrastructureRetries=0),
    taken("a requirement", CHECK, require="FitsNow"),
    taken("a question about int8", CHECK, runtime={"quantization": {"type": "BitsAndBytesInt8"}}),
    taken(
        "a question about QLoRA",
        CHECK,
        workload={"type": "Training", "training": {"lora": {}, "optimizer": "AdamW8Bit"}},
        runtime={"quantization": {"type": "BitsAndBytesNF4", "bitsAndBytesNF4": {"doubleQuantization": True}}},
    ),
    taken("a question about Lion", CHECK, workload={"type": "Training", "training": {"optimizer": "Lion"}}),
    taken("a run of what is not quantized", runtime={"quantization": {"type": "None"}}),
    taken("a method", CHECK, method="Traced"),
    sharing("one GPU, and nobody to share it with", 1, type="None"),
    sharing("the most GPUs", 16, type="TensorParallel"),
    sharing("replicas", 2, trained=True, type="DDP"),
    sharing("replicas with divided states", 3, trained=True, type="ZeRO1"),
    sharing("everything divided", 8, trained=True, type="FSDP"),
    sharing("gradients and states divided", 8, trained=True, type="FSDP", fsdp={"strategy": "ShardGradOp"}),
    sharing("everything divided, by its defaults", 8, trained=True, type="FSDP", fsdp={}),
    taken(
        "a place", placement={"nodeSelector": {"zone": "a"}, "priorityClassName": "low", "runtimeClassName": "nvidia"}
    ),
    modelled("a hub id of two parts", id="meta-llama/Llama-3.1-8B"),
    modelled("pretrained weights from wherever the id leads", weights="Pretrained"),
    modelled("pretrained weights from a hub", weights="Pretrained", source=HUB),
    modelled("pretrained weights from a volume", weights="Pretrained", source=VOLUME),
    modelled("a configuration in the manifest", source=INLINE),
    modelled("the registry by name", source={"type": "Registry"}),
    modelled(
        "a token for a gated model",
        source={"type": "Hub", "hub": {"revision": COMMIT, "tokenSecretRef": {"name": "hub", "key": "token"}}},
    ),
    inferring("a prefill alone", input={"text": {"inputTokens": 2048, "outputTokens": 0}}),
    inferring("a sound", batchSizePerDevice=1, input={"audio": {"seconds": 30}, "text": {"outputTokens": 64}}),
    inferring("an image", batchSizePerDevice=1, input={"image": {"heightPixels": 224, "widthPixels": 224}}),
    tolerating("a taint by its key", operator="Exists"),
    tolerating("a taint by key and value", value="ml", effect="NoSchedule"),
    sized("CPU and memory as numbers", cpu=4, memory=17179869184),
    sized("CPU and memory as strings", cpu="500m", memory="16Gi"),
    sized("a fraction of a core", cpu="0.5"),
    sized("memory with an exponent", memory="16e9"),
    sized("a slice of a GPU", gpu={"resourceName": "nvidia.com/mig-1g.10gb"}),
    sized("a slice with media extensions", gpu={"resourceName": "nvidia.com/mig-1g.10gb.me"}),
    sized("the whole of a large GPU as a slice", gpu={"resourceName": "nvidia.com/mig-7g.141gb"}),
    sized("a shared GPU", gpu={"resourceName": "nvidia.com/gpu.shared"}),
    sized("certain products", gpu={"products": ["NVIDIA-L4", "NVIDIA-A100-SXM4-80GB"]}),
]

# Rules of our own, which a schema cannot hold.
RULES = [
    Case(
        "a trace of several GPUs",
        {
            "model": MODEL,
            "method": "Traced",
            "resources": {"gpusPerNode": 2},
            "parallelism": {"type": "TensorParallel"},
        },
        "spec: Invalid value: spec.method Traced is of one GPU: with spec.resources.gpusPerNode above 1 leave "
        "spec.method out",
        CHECK,
    ),
    refused(
        "a trace of quantized weights",
        "spec: Invalid value: spec.method Traced is of weights as they are: with spec.runtime.quantization leave "
        "spec.method out",
        CHECK,
        method="Traced",
        runtime={"quantization": {"type": "BitsAndBytesInt8"}},
    ),
    refused(
        "a trace of an optimizer that is only estimated",
        "spec: Invalid value: spec.method Traced takes PyTorch's own optimizers: with spec.workload.training.optimizer "
        "AdamW8Bit or Lion leave spec.method out",
        CHECK,
        method="Traced",
        workload={"type": "Training", "training": {"optimizer": "Lion"}},
    ),
    modelled(
        "a hub without its commit",
        at("model.source", "source.hub goes with source.type Hub, and only with it"),
        source={"type": "Hub"},
    ),
    modelled(
        "a hub's commit beside the registry",
        at("model.source", "source.hub goes with source.type Hub, and only with it"),
        source={"type": "Registry", "hub": {"revision": COMMIT}},
    ),
    modelled(
        "a volume without its name",
        at(
            "model.source",
            "source.persistentVolumeClaim goes with source.type PersistentVolumeClaim, and only with it",
        ),
        source={"type": "PersistentVolumeClaim"},
    ),
    modelled(
        "inline without a configuration",
        at("model.source", "source.inline goes with source.type Inline, and only with it"),
        source={"type": "Inline"},
    ),
    modelled(
        "a volume beside inline",
        at(
            "model.source",
            "source.persistentVolumeClaim goes with source.type PersistentVolumeClaim, and only with it",
        ),
        source={**INLINE, "persistentVolumeClaim": {"claimName": "models"}},
    ),
    modelled(
        "inline beside a volume",
        at("model.source", "source.inline goes with source.type Inline, and only with it"),
        source={**VOLUME, "inline": {"config": "{}"}},
    ),
    modelled(
        "weights that nothing holds",
        at("model", "weights Pretrained needs a source that holds weights: Hub or PersistentVolumeClaim, not Inline"),
        weights="Pretrained",
        source=INLINE,
    ),
    refused(
        "inference without its shape",
        at("workload", "workload.inference goes with workload.type Inference, and only with it"),
        workload={"type": "Inference"},
    ),
    refused(
        "training without its shape",
        at("workload", "workload.training goes with workload.type Training, and only with it"),
        workload={"type": "Training"},
    ),
    refused(
        "inference beside training",
        at("workload", "workload.inference goes with workload.type Inference, and only with it"),
        workload={"type": "Training", "training": {}, "inference": {}},
    ),
    refused(
        "training beside inference",
        at("workload", "workload.training goes with workload.type Training, and only with it"),
        workload={"type": "Inference", "inference": {}, "training": {}},
    ),
    refused(
        "an analysis without its shape",
        at("workload", "workload.analysis goes with workload.type Analysis, and only with it"),
        workload={"type": "Analysis"},
    ),
    refused(
        "an analysis beside inference",
        at("workload", "workload.analysis goes with workload.type Analysis, and only with it"),
        workload={"type": "Inference", "inference": {}, "analysis": {"kind": "LayerAnalysis"}},
    ),
    refused(
        "a layer of an analysis that reads all",
        at("workload.analysis", "analysis.layer goes with kind ConceptAnalysis, and only with it"),
        workload={"type": "Analysis", "analysis": {"kind": "LayerAnalysis", "layer": 1}},
    ),
    refused(
        "a GPU's kind without a GPU",
        "spec: Invalid value: spec.resources.gpu goes with gpusPerNode 1; remove it, or ask for a GPU",
        resources={"gpusPerNode": 0, "gpu": {}},
    ),
    refused(
        "a question about no GPU",
        "spec: Invalid value: spec.resources.gpusPerNode must be at least 1: the question is about GPUs",
        CHECK,
        resources={"gpusPerNode": 0},
    ),
    refused(
        "NF4's options beside int8",
        at("runtime.quantization", "quantization.bitsAndBytesNF4 goes with quantization.type BitsAndBytesNF4"),
        CHECK,
        runtime={"quantization": {"type": "BitsAndBytesInt8", "bitsAndBytesNF4": {}}},
    ),
    refused(
        "quantized matrices that are trained",
        "spec: Invalid value: spec.workload.training.lora goes with spec.runtime.quantization: quantized matrices "
        "cannot be trained themselves",
        CHECK,
        workload={"type": "Training", "training": {}},
        runtime={"quantization": {"type": "BitsAndBytesNF4"}},
    ),
    refused(
        "a run of a quantized model",
        "spec: Invalid value: spec.runtime.quantization must be None: a ModelCheck estimates quantized models, the "
        "runner does not run them",
        runtime={"quantization": {"type": "BitsAndBytesInt8"}},
    ),
    *(
        refused(
            f"a run with {optimizer}",
            "spec: Invalid value: spec.workload.training.optimizer must not be AdamW8Bit or Lion: a ModelCheck "
            "estimates them, the runner does not run them",
            workload={"type": "Training", "training": {"optimizer": optimizer}},
        )
        for optimizer in ("AdamW8Bit", "Lion")
    ),
    refused("a run on two GPUs", f"spec: Invalid value: {ONE_GPU}", resources={"gpusPerNode": 2}),
    refused(
        "two GPUs that share nothing",
        f"spec: Invalid value: {SEVERAL_TOGETHER}",
        CHECK,
        resources={"gpusPerNode": 2},
    ),
    sharing("nobody to share with", 1, f"spec: Invalid value: {SEVERAL_TOGETHER}", type="TensorParallel"),
    sharing("replicas for inference", 2, f"spec: Invalid value: {TRAINS}", type="DDP"),
    sharing("divided states for inference", 2, f"spec: Invalid value: {TRAINS}", type="ZeRO1"),
    sharing("shards for inference", 2, f"spec: Invalid value: {TRAINS}", type="FSDP"),
    sharing("divided heads in training", 2, f"spec: Invalid value: {INFERS}", trained=True, type="TensorParallel"),
    sharing("options of another kind", 2, at("parallelism", FSDP_ALONE), trained=True, type="DDP", fsdp={}),
    tolerating(
        "a taint of the node's life cycle",
        at(
            "placement.tolerations[0]",
            "tolerations of node.kubernetes.io/ and node-role.kubernetes.io/ taints are the cluster's own",
        ),
        key="node.kubernetes.io/not-ready",
        operator="Exists",
    ),
    tolerating(
        "a taint of the control plane",
        at(
            "placement.tolerations[0]",
            "tolerations of node.kubernetes.io/ and node-role.kubernetes.io/ taints are the cluster's own",
        ),
        key="node-role.kubernetes.io/control-plane",
        operator="Exists",
    ),
    tolerating(
        "a value that is not compared",
        at("placement.tolerations[0]", "a toleration with operator Exists takes no value"),
        operator="Exists",
        value="ml",
    ),
    *(
        sized(sentence, at("resources.memory", f"{json.dumps(value)}: {NOT_A_QUANTITY}"), memory=value)
        for sentence, value in {
            "no memory at all": 0,
            "no memory, as a string": "0Gi",
            "negative memory": -1,
            "memory in words": "plenty",
            "memory with an unknown suffix": "1ki",
            "memory with a sign": "+1Gi",
            "memory without digits before the point": ".5Gi",
            "memory in billionths": "1n",
        }.items()
    ),
]

# What the schema alone refuses: field and cause.
SCHEMA = [
    Case("no model", {}, "spec.model: Required value"),
    Case("a model without an id", {"model": {}}, "spec.model.id: Required value"),
    modelled("an empty id", body("model.id", "should be at least 1 chars long"), id=""),
    modelled("an id with a space", body("model.id", "should match '"), id="my model"),
    modelled("an id that climbs out", body("model.id", "should match '"), id="../../etc/passwd"),
    modelled("an id that is a URL", body("model.id", "should match '"), id="https://hub/x"),
    modelled("an id of 97 characters", "spec.model.id: Too long: may not be more than 96 bytes", id="m" * 97),
    modelled("an id that is a number", body("model.id", "must be of type string"), id=5),
    modelled("weights of another kind", "spec.model.weights: Unsupported value: ", weights="Quantized"),
    modelled(
        "a branch in place of a commit",
        body("model.source.hub.revision", "should match '"),
        source={"type": "Hub", "hub": {"revision": "main"}},
    ),
    modelled("a source of another kind", "spec.model.source.type: Unsupported value: ", source={"type": "S3"}),
    modelled(
        "a path that climbs out of the volume",
        body("model.source.persistentVolumeClaim.path", "should match '"),
        source={"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "m", "path": "../x"}},
    ),
    modelled(
        "a configuration of 17 KiB",
        "spec.model.source.inline.config: Too long: may not be more than 16384 bytes",
        source={"type": "Inline", "inline": {"config": " " * 16385}},
    ),
    modelled(
        "a Secret's name in capitals",
        body("model.source.hub.tokenSecretRef.name", "should match '"),
        source={"type": "Hub", "hub": {"revision": COMMIT, "tokenSecretRef": {"name": "Hub", "key": "token"}}},
    ),
    refused("a workload without a type", "spec.workload.type: Required value", workload={"inference": {}}),
    refused("a workload of another kind", "spec.workload.type: Unsupported value: ", workload={"type": "Serving"}),
    inferring(
        "an empty batch",
        body("workload.inference.batchSizePerDevice", "should be greater than or equal to 1"),
        batchSizePerDevice=0,
    ),
    inferring(
        "a batch beyond all memory",
        body("workload.inference.batchSizePerDevice", "should be less than or equal to 65536"),
        batchSizePerDevice=65537,
    ),
    inferring(
        "half a sample", body("workload.inference.batchSizePerDevice", "must be of type int64"), batchSizePerDevice=0.5
    ),
    inferring(
        "a batch in quotes",
        body("workload.inference.batchSizePerDevice", "must be of type integer"),
        batchSizePerDevice="8",
    ),
    inferring(
        "a batch that is a switch",
        body("workload.inference.batchSizePerDevice", "must be of type int64"),
        batchSizePerDevice=True,
    ),
    inferring(
        "no input tokens",
        body("workload.inference.input.text.inputTokens", "should be greater than or equal to 1"),
        input={"text": {"inputTokens": 0}},
    ),
    inferring(
        "fewer than no output tokens",
        body("workload.inference.input.text.outputTokens", "should be greater than or equal to 0"),
        input={"text": {"outputTokens": -1}},
    ),
    inferring(
        "an image without height",
        body("workload.inference.input.image.heightPixels", "should be greater than or equal to 1"),
        input={"image": {"heightPixels": 0}},
    ),
    inferring(
        "a sound without length",
        body("workload.inference.input.audio.seconds", "should be greater than or equal to 1"),
        input={"audio": {"seconds": 0}},
    ),
    refused(
        "another optimizer",
        "spec.workload.training.optimizer: Unsupported value: ",
        workload={"type": "Training", "training": {"optimizer": "Muon"}},
    ),
    refused(
        "an adapter without width",
        body("workload.training.lora.rank", "should be greater than or equal to 1"),
        workload={"type": "Training", "training": {"lora": {"rank": 0}}},
    ),
    refused(
        "adapters of other matrices",
        "spec.workload.training.lora.targets: Unsupported value: ",
        workload={"type": "Training", "training": {"lora": {"targets": "Embeddings"}}},
    ),
    refused(
        "some checkpointing",
        "spec.workload.training.gradientCheckpointing: Unsupported value: ",
        workload={"type": "Training", "training": {"gradientCheckpointing": "Selective"}},
    ),
    refused(
        "a step of no pass",
        body("workload.training.gradientAccumulationSteps", "should be greater than or equal to 1"),
        workload={"type": "Training", "training": {"gradientAccumulationSteps": 0}},
    ),
    refused(
        "an analysis of nothing",
        "spec.workload.analysis.kind: Required value",
        workload={"type": "Analysis", "analysis": {}},
    ),
    refused(
        "another analysis",
        "spec.workload.analysis.kind: Unsupported value: ",
        workload={"type": "Analysis", "analysis": {"kind": "Attribution"}},
    ),
    refused(
        "the layer before the first",
        body("workload.analysis.layer", "should be greater than or equal to 1"),
        workload={"type": "Analysis", "analysis": {"kind": "ConceptAnalysis", "layer": 0}},
    ),
    inferring("another cache", "spec.workload.inference.cache: Unsupported value: ", cache="Paged"),
    refused(
        "another quantization",
        "spec.runtime.quantization.type: Unsupported value: ",
        CHECK,
        runtime={"quantization": {"type": "GPTQ"}},
    ),
    refused(
        "a quantization without a type", "spec.runtime.quantization.type: Required value", runtime={"quantization": {}}
    ),
    refused("another precision", "spec.runtime.precision: Unsupported value: ", runtime={"precision": "fp8"}),
    refused("another attention", "spec.runtime.attention: Unsupported value: ", runtime={"attention": "Flash"}),
    sized("17 GPUs", body("resources.gpusPerNode", "should be less than or equal to 16"), gpusPerNode=17),
    sized("fewer than no GPUs", body("resources.gpusPerNode", "should be greater than or equal to 0"), gpusPerNode=-1),
    sized(
        "a resource that is no GPU",
        body("resources.gpu.resourceName", "should match '"),
        gpu={"resourceName": "example.com/fpga"},
    ),
    sized(
        "another vendor's GPU",
        body("resources.gpu.resourceName", "should match '"),
        gpu={"resourceName": "amd.com/gpu"},
    ),
    sized("no product at all", body("resources.gpu.products", "should have at least 1 items"), gpu={"products": []}),
    sized("17 products", "spec.resources.gpu.products: Too many: ", gpu={"products": [f"p{i}" for i in range(17)]}),
    sized("one product twice", "spec.resources.gpu.products[1]: Duplicate value: ", gpu={"products": ["a", "a"]}),
    sized(
        "an empty product", body("resources.gpu.products[0]", "should be at least 1 chars long"), gpu={"products": [""]}
    ),
    sized("memory in 33 characters", "spec.resources.memory: Too long: may not be more than 32 bytes", memory="1" * 33),
    sized("memory as a fraction", body("resources.memory", "must be of type integer,string"), memory=1.5),
    sized("memory as a switch", body("resources.memory", "must be of type integer,string"), memory=True),
    tolerating(
        "a toleration without a key", body("placement.tolerations[0].key", "should be at least 1 chars long"), key=""
    ),
    tolerating(
        "a toleration by another operator", "spec.placement.tolerations[0].operator: Unsupported value: ", operator="Gt"
    ),
    tolerating(
        "a toleration of another effect", "spec.placement.tolerations[0].effect: Unsupported value: ", effect="Sleep"
    ),
    refused(
        "17 tolerations",
        "spec.placement.tolerations: Too many: ",
        placement={"tolerations": [{"key": f"k{i}"} for i in range(17)]},
    ),
    refused(
        "17 node labels",
        "spec.placement.nodeSelector: Too many: ",
        placement={"nodeSelector": {f"k{i}": "v" for i in range(17)}},
    ),
    refused(
        "a node label's value of 64 characters",
        "spec.placement.nodeSelector.zone: Too long: may not be more than 63 bytes",
        placement={"nodeSelector": {"zone": "z" * 64}},
    ),
    refused(
        "a node label that is a number",
        body("placement.nodeSelector.zone", "must be of type string"),
        placement={"nodeSelector": {"zone": 1}},
    ),
    refused("another profile", "spec.measure.profile: Unsupported value: ", measure={"profile": "Quick"}),
    refused(
        "no warm-up",
        body("measure.warmupIterations", "should be greater than or equal to 1"),
        measure={"warmupIterations": 0},
    ),
    refused(
        "a window without length",
        body("measure.windowSeconds", "should be greater than or equal to 1"),
        measure={"windowSeconds": 0},
    ),
    refused(
        "one iteration",
        body("measure.minIterations", "should be greater than or equal to 2"),
        measure={"minIterations": 1},
    ),
    refused("another policy", "spec.preflight.policy: Unsupported value: ", preflight={"policy": "Guess"}),
    refused(
        "a deadline of nine seconds",
        body("deadlines.runningSeconds", "should be greater than or equal to 10"),
        deadlines={"runningSeconds": 9},
    ),
    refused(
        "a deadline of more than a week",
        body("deadlines.pendingSeconds", "should be less than or equal to 604800"),
        deadlines={"pendingSeconds": 604801},
    ),
    refused(
        "eleven retries",
        body("maxInfrastructureRetries", "should be less than or equal to 10"),
        maxInfrastructureRetries=11,
    ),
    refused(
        "fewer than no retries",
        body("maxInfrastructureRetries", "should be greater than or equal to 0"),
        maxInfrastructureRetries=-1,
    ),
    refused(
        "a negative time to live",
        body("ttlSecondsAfterFinished", "should be greater than or equal to 0"),
        ttlSecondsAfterFinished=-1,
    ),
    refused(
        "a time to live in words",
        body("ttlSecondsAfterFinished", "must be of type integer"),
        ttlSecondsAfterFinished="1h",
    ),
    refused("suspended in words", body("suspend", "must be of type boolean"), suspend="yes"),
    sharing("another way to share", 2, "spec.parallelism.type: Unsupported value: ", type="Pipeline"),
    sharing(
        "another strategy",
        2,
        "spec.parallelism.fsdp.strategy: Unsupported value: ",
        trained=True,
        type="FSDP",
        fsdp={"strategy": "HybridShard"},
    ),
    refused("another requirement", "spec.require: Unsupported value: ", CHECK, require="Maybe"),
    refused("another method", "spec.method: Unsupported value: ", CHECK, method="Guess"),
]

# Refused by kubectl's own strictness; another client is warned and the field is pruned.
UNKNOWN_FIELDS = [
    refused("an unknown field of spec", 'unknown field "spec.podTemplate"', podTemplate={}),
    modelled("an unknown field below", 'unknown field "spec.model.trustRemoteCode"', trustRemoteCode=True),
    refused("a field in snake case", 'unknown field "spec.max_infrastructure_retries"', max_infrastructure_retries=1),
    refused("a question's field in a BenchmarkJob", 'unknown field "spec.parallelism"', parallelism={}),
    refused("a BenchmarkJob's field in a question", 'unknown field "spec.suspend"', CHECK, suspend=True),
]
