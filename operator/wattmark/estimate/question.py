"""One model with one workload, in the form that the formulas read."""

from dataclasses import dataclass, replace

from wattmark.api.order import Resolved
from wattmark.api.workload import Attention, Weights, WorkloadType
from wattmark.estimate.formats import Formats, formats
from wattmark.estimate.transformer import Pass
from wattmark.models import Architecture, Family, ParameterCount, Stack, head_for, parameters


@dataclass(frozen=True, slots=True)
class Question:
    """Sizes of one run on one device; `on_gpu` is False for a run on the CPU."""

    architecture: Architecture
    resolved: Resolved
    weights: Weights
    on_gpu: bool

    @property
    def training(self) -> bool:
        """Whether steps are trained."""
        return self.resolved.workload_type is WorkloadType.TRAINING

    @property
    def batch(self) -> int:
        """Samples at a time."""
        return self.resolved.batch_size_per_device

    @property
    def formats(self) -> Formats:
        """Bytes of the elements."""
        found = formats(self.resolved.precision)
        # A GPU's autocast normalizes in fp32, a CPU's in the format that comes: of a matrix, if embeddings pass one.
        return replace(found, narrow_stream=self.architecture.projected_embeddings and not self.on_gpu)

    @property
    def input_tokens(self) -> int:
        """Tokens that go in, per sample; of an image, its patches and the class token."""
        if self.architecture.image is not None:
            return self.architecture.max_positions or 0
        return self.resolved.input.input_tokens or 0

    @property
    def output_tokens(self) -> int:
        """Tokens that are generated, per sample."""
        return self.resolved.input.output_tokens or 0

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.resolved.input.height_pixels or 0, self.resolved.input.width_pixels or 0

    @property
    def count(self) -> ParameterCount:
        """The model's parameters, with the head that the workload takes."""
        head = head_for(self.architecture, self.resolved.workload_type)
        return parameters(self.architecture, head, pretrained=self.weights is Weights.PRETRAINED)

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The transformer stacks, in the order in which they run."""
        return tuple(stack for stack in (self.architecture.encoder, self.architecture.decoder) if stack)

    def eager(self, stack: Stack) -> bool:
        """Whether attention scores are materialized.

        Asked for; all that the class knows; or, on a CPU in training, where the fused kernel covers neither dropout nor
        a learned bias.
        """
        if self.resolved.attention is Attention.EAGER or stack.unfused_attention:
            return True
        return not self.on_gpu and self.training and (stack.attention_dropout > 0 or stack.position_bias)

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
            whole.append((stack, Pass(length, length, memory, self.eager(stack), self.on_gpu)))
        return tuple(whole)
