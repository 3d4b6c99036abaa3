"""What is asked of a model: the parts of `spec` that ModelCheck and BenchmarkJob share."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from wattmark.api.schema import Model, ObjectName, Rule, ruled


class Weights(StrEnum):
    """Where a model's weights come from."""

    RANDOM = "Random"
    PRETRAINED = "Pretrained"


class SourceType(StrEnum):
    """Where a model's configuration (and pretrained weights) are read."""

    REGISTRY = "Registry"
    HUB = "Hub"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    INLINE = "Inline"


class WorkloadType(StrEnum):
    """What is done with the model."""

    INFERENCE = "Inference"
    TRAINING = "Training"


class Precision(StrEnum):
    """The numeric format of weights and arithmetic."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"
    FP16 = "fp16"
    BF16_MIXED = "bf16-mixed"
    FP16_MIXED = "fp16-mixed"


class Attention(StrEnum):
    """Which attention implementation of transformers runs."""

    AUTO = "Auto"
    EAGER = "Eager"
    SDPA = "SDPA"


class Optimizer(StrEnum):
    """The optimizer of a training step."""

    ADAMW = "AdamW"
    ADAMW_FUSED = "AdamWFused"
    ADAFACTOR = "Adafactor"
    SGD = "SGD"
    SGD_MOMENTUM = "SGDMomentum"


class GradientCheckpointing(StrEnum):
    """Which activations are computed again in the backward pass instead of being kept."""

    NONE = "None"
    FULL = "Full"


class LoraTargets(StrEnum):
    """Which matrices of the layers get adapters."""

    ALL_LINEAR = "AllLinear"
    ATTENTION = "Attention"


class LoraSpec(Model):
    """Low-rank adapters beside frozen matrices (arXiv 2106.09685), as peft makes them."""

    rank: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="Inner width of an adapter's two matrices.")
    targets: LoraTargets = Field(
        LoraTargets.ALL_LINEAR,
        description="AllLinear: every linear layer within the transformer layers. Attention: those of attention alone. "
        "Embeddings, output projection and classifiers stay frozen, without adapters.",
    )


class SecretKeyRef(Model):
    """One key of a Secret in the object's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="Key within the Secret whose value is used."
    )


class HubSource(Model):
    """A model repository on the Hugging Face hub."""

    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", max_length=40)] = Field(
        description="Commit of the model repository, 40 hexadecimal digits. A branch is refused: it moves."
    )
    token_secret_ref: SecretKeyRef | None = Field(
        None, description="Secret with a hub access token, for gated models. Only the runner Pod reads it."
    )


class ClaimSource(Model):
    """A folder with config.json and safetensors on a PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim, in the same namespace.")
    path: Annotated[
        str, Field(max_length=255, pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)?$")
    ] = Field("", description="Folder within the volume that holds config.json; empty for its root.")


class InlineSource(Model):
    """The model's configuration, in the manifest itself."""

    config: Annotated[str, Field(min_length=2, max_length=16384)] = Field(
        description="The model's config.json as a string: JSON in the form transformers writes it."
    )


class ModelSource(Model):
    """Where the model's configuration and pretrained weights come from."""

    model_config = ruled(
        Rule("(self.type == 'Hub') == has(self.hub)", "source.hub goes with source.type Hub, and only with it"),
        Rule(
            "(self.type == 'PersistentVolumeClaim') == has(self.persistentVolumeClaim)",
            "source.persistentVolumeClaim goes with source.type PersistentVolumeClaim, and only with it",
        ),
        Rule(
            "(self.type == 'Inline') == has(self.inline)",
            "source.inline goes with source.type Inline, and only with it",
        ),
    )

    type: SourceType = Field(
        description="Registry: the built-in registry of known models. Hub: the Hugging Face hub at a fixed commit. "
        "PersistentVolumeClaim: a folder of a volume. Inline: the configuration given here."
    )
    hub: HubSource | None = Field(None, description="The hub repository's revision; with type Hub.")
    persistent_volume_claim: ClaimSource | None = Field(
        None, description="The volume; with type PersistentVolumeClaim."
    )
    inline: InlineSource | None = Field(None, description="The configuration; with type Inline.")

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        for kind, member, name in (
            (SourceType.HUB, self.hub, "hub"),
            (SourceType.PERSISTENT_VOLUME_CLAIM, self.persistent_volume_claim, "persistentVolumeClaim"),
            (SourceType.INLINE, self.inline, "inline"),
        ):
            if (self.type is kind) != (member is not None):
                raise ValueError(f"source.{name} goes with source.type {kind.value}, and only with it")
        return self


MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"


class ModelSpec(Model):
    """Which model."""

    model_config = ruled(
        Rule(
            "self.weights != 'Pretrained' || !has(self.source) || self.source.type != 'Inline'",
            "weights Pretrained needs a source that holds weights: Hub or PersistentVolumeClaim, not Inline",
        )
    )

    id: Annotated[str, Field(min_length=1, max_length=96, pattern=MODEL_ID)] = Field(
        description="A name that the registry knows (bert-base-uncased, gpt2, meta-llama/Llama-3.1-8B), or a hub id. "
        "With source.type Inline or PersistentVolumeClaim: a name of your choice."
    )
    weights: Weights = Field(
        Weights.RANDOM,
        description="Random: weights are initialised at random and nothing is downloaded; speed and memory do not "
        "depend on their values, energy hardly does. Pretrained: safetensors are loaded; no other format, no remote "
        "code.",
    )
    source: ModelSource | None = Field(
        None, description="Where the configuration comes from. Default: the registry if it knows the id, else the hub."
    )

    @model_validator(mode="after")
    def _weights_have_a_source(self) -> Self:
        if self.weights is Weights.PRETRAINED and self.source and self.source.type is SourceType.INLINE:
            raise ValueError(
                "weights Pretrained needs a source that holds weights: Hub or PersistentVolumeClaim, not Inline"
            )
        return self


class TextInput(Model):
    """A synthetic text: token counts per sample."""

    input_tokens: Annotated[int, Field(ge=1, le=1048576)] | None = Field(
        None, description="Tokens per sample going in. Default: 512, or the model's maximum length if that is less."
    )
    output_tokens: Annotated[int, Field(ge=0, le=1048576)] | None = Field(
        None,
        description="Tokens generated per sample, exactly (no early end). 0: only the forward pass over the input "
        "(prefill). Default: 128 for models that generate (less if the maximum length demands it), 0 for others and "
        "in training. Of a model that hears audio and generates, in training: tokens of the target; it has no prefill.",
    )


class ImageInput(Model):
    """A synthetic image per sample."""

    height_pixels: Annotated[int, Field(ge=1, le=8192)] | None = Field(
        None, description="Image height in pixels. Default: the size in the model's configuration, else 224."
    )
    width_pixels: Annotated[int, Field(ge=1, le=8192)] | None = Field(
        None, description="Image width in pixels. Default: the size in the model's configuration, else 224."
    )


class AudioInput(Model):
    """A synthetic sound per sample, at 16,000 samples a second."""

    seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        None,
        description="Length of the sound. Default: the one length that the model takes (Whisper: 30, to which shorter "
        "sounds are padded), else 10.",
    )


class Input(Model):
    """What one sample consists of. No union: a model may take text and image."""

    text: TextInput | None = Field(None, description="Token counts, for models that read text.")
    image: ImageInput | None = Field(None, description="Pixel counts, for models that see images.")
    audio: AudioInput | None = Field(None, description="Length of the sound, for models that hear audio.")


BATCH = Annotated[int, Field(ge=1, le=65536)]


class InferenceSpec(Model):
    """Forward passes, and generation where the model generates."""

    batch_size_per_device: BATCH = Field(8, description="Samples per iteration and device.")
    input: Input | None = Field(
        None, description="Size of one sample. Default: resolved from the model, see status.resolved."
    )


class TrainingSpec(Model):
    """Training steps on synthetic batches: forward, backward, optimizer."""

    batch_size_per_device: BATCH = Field(
        8, description="Samples per forward pass and device; a step takes gradientAccumulationSteps of them."
    )
    input: Input | None = Field(
        None, description="Size of one sample. Default: resolved from the model, see status.resolved."
    )
    optimizer: Optimizer = Field(
        Optimizer.ADAMW,
        description="All are PyTorch's own. AdamW: two states per trained parameter, and on a GPU temporaries as large "
        "as the parameters (its default, foreach). AdamWFused: the same without the temporaries. Adafactor: one state "
        "per row and column of a matrix. SGD: no momentum, no states. SGDMomentum: momentum 0.9, one state per "
        "parameter.",
    )
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Forward and backward passes per optimizer step. With more than one, gradients stay through the "
        "next forward pass. Samples per step and device: this times batchSizePerDevice.",
    )
    gradient_checkpointing: GradientCheckpointing = Field(
        GradientCheckpointing.NONE,
        description="Full: each layer keeps only its input and is computed again in the backward pass: less memory, "
        "about a third more computation, the same result. None: all activations are kept. Transformers only.",
    )
    lora: LoraSpec | None = Field(
        None,
        description="Train low-rank adapters and nothing else: gradients and states are the adapters', which are in "
        "the weights' format; the model itself is frozen. Transformers only. Default: every parameter is trained.",
    )


class WorkloadSpec(Model):
    """What is done with the model, in which shape."""

    model_config = ruled(
        Rule(
            "(self.type == 'Inference') == has(self.inference)",
            "workload.inference goes with workload.type Inference, and only with it",
        ),
        Rule(
            "(self.type == 'Training') == has(self.training)",
            "workload.training goes with workload.type Training, and only with it",
        ),
    )

    type: WorkloadType = Field(description="Inference: forward passes and generation. Training: optimizer steps.")
    inference: InferenceSpec | None = Field(None, description="The shape of inference; with type Inference.")
    training: TrainingSpec | None = Field(None, description="The shape of a training step; with type Training.")

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        for kind, member, name in (
            (WorkloadType.INFERENCE, self.inference, "inference"),
            (WorkloadType.TRAINING, self.training, "training"),
        ):
            if (self.type is kind) != (member is not None):
                raise ValueError(f"workload.{name} goes with workload.type {kind.value}, and only with it")
        return self

    @property
    def shape(self) -> InferenceSpec | TrainingSpec:
        """The member that the type selects."""
        shape = self.inference or self.training
        assert shape is not None  # held by _one_member
        return shape


class RuntimeSpec(Model):
    """How the model is executed."""

    precision: Precision | None = Field(
        None,
        description="fp32, tf32 (NVIDIA, compute capability 8.0+), bf16, fp16: weights and arithmetic. bf16-mixed, "
        "fp16-mixed: fp32 weights under autocast, for training (fp16-mixed needs a GPU). Default: bf16 for inference "
        "on a GPU, bf16-mixed for training on a GPU, fp32 on CPU.",
    )
    attention: Attention = Field(
        Attention.AUTO,
        description="Attention implementation. SDPA: PyTorch's scaled_dot_product_attention, which picks a fused "
        "kernel. Eager: scores are materialised. Auto: SDPA where the model class supports it, else Eager.",
    )


DEFAULT_WORKLOAD = WorkloadSpec(type=WorkloadType.INFERENCE, inference=InferenceSpec())
