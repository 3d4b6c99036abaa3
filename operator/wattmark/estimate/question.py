"""One model with one workload, in the form that the formulas read."""

from dataclasses import dataclass, replace
from functools import cached_property

from wattmark.api import model
from wattmark.api.order import Resolved
from wattmark.api.runtime import Attention, QuantizationType
from wattmark.api.training import GradientCheckpointing, LoraTargets
from wattmark.api.workload import Cache, WorkloadType
from wattmark.estimate.formats import Formats, formats
from wattmark.estimate.stored import Itself, Stored, stored
from wattmark.estimate.transformer import Adapters, Pass
from wattmark.models import (
    Architecture,
    Family,
    Head,
    ParameterCount,
    Stack,
    Weights,
    head_for,
    stored_weights,
)


@dataclass(frozen=True)
class Question:
    """Sizes of one run on one device; `on_gpu` is False for a run on the CPU."""

    architecture: Architecture
    resolved: Resolved
    weights: model.Weights
    on_gpu: bool

    @property
    def training(self) -> bool:
        """Whether steps are trained."""
        return self.resolved.workload_type is WorkloadType.TRAINING

    @property
    def batch(self) -> int:
        """Samples at a time."""
        return self.resolved.batch_size_per_device

    @cached_property
    def formats(self) -> Formats:
        """Bytes of the elements."""
        found = formats(self.resolved.precision)
        # A GPU's autocast normalizes in fp32, a CPU's in the format that comes: of a matrix, if embeddings pass one.
        narrow = self.architecture.projected_embeddings and not self.on_gpu
        return replace(found, narrow_stream=narrow, wide_results=self.resolved.quantization is not None)

    @property
    def projection(self) -> int:
        """Elements of the matrix that projects on the vocabulary, 0 where there is none."""
        generates = self.architecture.family in (Family.DECODER, Family.ENCODER_DECODER)
        return (self.architecture.vocab or 0) * self.architecture.hidden if generates else 0

    @property
    def tied(self) -> bool:
        """Whether that matrix is the embedding's: not of a checkpoint that holds one of its own, as T5 1.1's do."""
        return self.architecture.tied and (self.architecture.checkpoint_tied or not self.pretrained)

    @property
    def layer_matrices(self) -> int:
        """Elements of the matrices of one layer, on average; 0 where there are no transformer layers."""
        layers = sum(stack.layers for stack in self.stacks)
        head = 0 if self.tied else self.projection
        return (self.count.linear - head) // layers if layers else 0

    def kernel(self, weight: Weights) -> tuple[int, int] | None:
        """Height and width of a convolution's kernel, None where the model's plan does not tell."""
        image = self.architecture.image
        if image and image.patch_pixels:
            return image.patch_pixels
        side = self._kernels.get(weight.name)
        return None if side is None else (side, side)

    @cached_property
    def _kernels(self) -> dict[str, int]:
        return {step.name: step.kernel for step in self.architecture.convolutions}

    @property
    def input_tokens(self) -> int:
        """Tokens that go in, per sample; of an image, its patches and the class token; of a sound, its places."""
        if self.architecture.image is not None:
            return self.architecture.max_positions or 0
        if self.architecture.audio is not None:
            return self.architecture.audio.tokens(self.resolved.input.audio_seconds or 0)
        return self.resolved.input.input_tokens or 0

    @property
    def output_tokens(self) -> int:
        """Tokens that are generated, per sample."""
        return self.resolved.input.output_tokens or 0

    @property
    def static_tokens(self) -> int:
        """Tokens that a static cache has room for from the start, per sample; 0 where the cache grows."""
        if self.resolved.cache is not Cache.STATIC:
            return 0
        encodes = self.architecture.family is Family.ENCODER_DECODER
        return self.output_tokens + (0 if encodes else self.input_tokens)

    @property
    def rows(self) -> int:
        """Tokens that go through a layer at once, of the longer side."""
        return self.batch * max((run.tokens for _, run in self.passes), default=1)

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.resolved.input.height_pixels or 0, self.resolved.input.width_pixels or 0

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the images, which the caller holds while they are looked at; 0 where there are none."""
        image = self.architecture.image
        area = self.pixels[0] * self.pixels[1]
        return self.batch * image.channels * area * self.formats.weight if image else 0

    @property
    def accumulates(self) -> bool:
        """Whether gradients of an earlier pass are there in the forward pass."""
        return (self.resolved.gradient_accumulation_steps or 1) > 1

    @property
    def checkpoints(self) -> bool:
        """Whether layers keep only their input for the backward pass."""
        return self.resolved.gradient_checkpointing is GradientCheckpointing.FULL

    @cached_property
    def adapters(self) -> Adapters | None:
        """The adapters that are trained in place of the model's own parameters.

        A mixture's have none in the feed-forward part, whatever the targets: its experts and its router are parameters
        of transformers' classes, and no linear layers that an adapter could stand beside.
        """
        lora, quantization = self.resolved.lora, self.resolved.quantization
        int8 = quantization is not None and quantization.type is QuantizationType.INT8 and not self.kept_wide
        mixture = any(stack.experts for stack in self.stacks)
        return (
            None if lora is None else Adapters(lora.rank, lora.targets is LoraTargets.ALL_LINEAR and not mixture, int8)
        )

    @property
    def head(self) -> Head:
        """What stands on top of the model."""
        return head_for(self.architecture, self.resolved.workload_type, self.resolved.analysis)

    @cached_property
    def fixed(self) -> Stored:
        """What is the same for every batch and length."""
        return stored(Itself(self.architecture), self.head, self.pretrained, self.adapters)

    @property
    def count(self) -> ParameterCount:
        """The model's parameters, with the head that the workload takes."""
        return self.fixed.count

    @property
    def trained_elements(self) -> int:
        """Elements of all tensors that a training step updates."""
        return self.fixed.trained_elements

    @property
    def pretrained(self) -> bool:
        """Whether the weights are a checkpoint's."""
        return self.weights is model.Weights.PRETRAINED

    @cached_property
    def kept_wide(self) -> tuple[Weights, ...]:
        """Matrices that a class keeps out of quantization (transformers' _keep_in_fp32_modules): T5's second ones."""
        if self.architecture.model_type not in ("t5", "umt5"):
            return ()
        every = stored_weights(self.architecture, self.head, pretrained=self.pretrained)
        return tuple(weight for weight in every if weight.name.endswith(".mlp.down"))

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """The transformer stacks, in the order in which they run."""
        return self.architecture.stacks

    def eager(self, stack: Stack) -> bool:
        """Whether attention scores are materialized.

        Asked for; all that the class knows; or, on a CPU in training, where the fused kernel covers neither dropout nor
        a learned bias.
        """
        if self.resolved.attention is Attention.EAGER or stack.unfused_attention:
            return True
        return not self.on_gpu and self.training and (stack.attention_dropout > 0 or stack.position_bias)

    @cached_property
    def passes(self) -> tuple[tuple[Stack, Pass], ...]:
        """The stacks with the whole input: a forward pass, a prefill, or a training step.

        An encoder-decoder that generates starts from one token; one that only runs forward, or trains, is given as
        many tokens to the decoder as to the encoder.
        """
        tokens = self.input_tokens
        whole: list[tuple[Stack, Pass]] = []
        for stack in self.stacks:
            memory = tokens if stack.cross_attention else 0
            generates = self.architecture.family is Family.ENCODER_DECODER and self.output_tokens and stack.causal
            length = 1 if generates else tokens
            keys = max(length, self.static_tokens) if stack.causal else length
            cached = stack.causal and self.resolved.workload_type is WorkloadType.INFERENCE
            # Projected ones are narrower, and end with the first layer.
            embedded = 0 if self.architecture.projected_embeddings else 1
            run = Pass(length, keys, memory, self.eager(stack), self.on_gpu, self.adapters, cached, embedded)
            whole.append((stack, run))
        return tuple(whole)
