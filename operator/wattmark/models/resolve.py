"""A workload with every default that depends on the model filled in: one rule for operator and runner."""

from dataclasses import dataclass
from math import gcd

from wattmark.api.conditions import Reason
from wattmark.api.order import Resolved, ResolvedInput
from wattmark.api.parallelism import ParallelismSpec, ParallelismType
from wattmark.api.runtime import Attention, Precision, QuantizationType, RuntimeSpec
from wattmark.api.sample import AudioInput, ImageInput, Input, TextInput
from wattmark.api.training import GradientCheckpointing, TrainingSpec
from wattmark.api.workload import Cache, InferenceSpec, WorkloadSpec, WorkloadType
from wattmark.models import analyses
from wattmark.models.architecture import Architecture, Family, Modality

DEFAULT_INPUT_TOKENS = 512
DEFAULT_OUTPUT_TOKENS = 128
DEFAULT_PIXELS = 224
DEFAULT_AUDIO_SECONDS = 10
FRAMES_PER_SECOND = 100
MOST_GPUS = 16  # the bound of gpusPerNode
ALONE = ParallelismSpec()
_GENERATES = (Family.DECODER, Family.ENCODER_DECODER)
_MIXED = (Precision.BF16_MIXED, Precision.FP16_MIXED)
_WIDE = (Precision.FP32, Precision.TF32)


@dataclass(frozen=True, slots=True)
class Impossible:
    """Why a workload cannot be run on a model at all; `message` names the field and the remedy."""

    reason: Reason
    message: str


def resolve(
    architecture: Architecture,
    workload: WorkloadSpec,
    runtime: RuntimeSpec,
    gpus: int,
    parallelism: ParallelismSpec = ALONE,
) -> Resolved | Impossible:
    """Fill in input size and precision, or say which field makes the workload impossible."""
    precision = _precision(workload.type, runtime.precision, gpus)
    if isinstance(precision, Impossible):
        return precision
    quantized = runtime.quantization.type is not QuantizationType.NONE
    if quantized and precision in _WIDE:
        return Impossible(
            Reason.IMPOSSIBLE_PRECISION,
            f"runtime.precision {precision.value}: of quantized matrices only products of 16-bit numbers are described "
            "here; use bf16 or fp16",
        )
    sample = _sample(architecture, workload.type, workload.shape.input or Input())
    if isinstance(sample, Impossible):
        return sample
    scored = any(stack.unfused_attention for stack in architecture.stacks)
    unfused = architecture.convolutions or architecture.inverted or scored
    if runtime.attention is Attention.SDPA and unfused:
        return Impossible(Reason.IMPOSSIBLE_ATTENTION, no_fused_attention(architecture))
    training = workload.training
    option = _untrainable(architecture, training) if training else None
    if option:
        return Impossible(Reason.IMPOSSIBLE_TRAINING, f"training.{option}; remove it")
    cache = _cache(architecture, workload.inference, sample) if workload.inference else None
    if isinstance(cache, Impossible):
        return cache
    analysis = workload.analysis
    why_not = analyses.refusal(architecture, analysis, runtime.attention) if analysis else None
    if why_not:
        return Impossible(Reason.IMPOSSIBLE_ANALYSIS, f"analysis.{why_not}")
    indivisible = _indivisible(architecture, gpus) if parallelism.type is ParallelismType.TENSOR_PARALLEL else None
    if indivisible:
        return Impossible(Reason.IMPOSSIBLE_PARALLELISM, f"parallelism.type TensorParallel: {indivisible}")
    return Resolved(
        workload_type=workload.type,
        batch_size_per_device=workload.shape.batch_size_per_device,
        input=sample,
        optimizer=training.optimizer if training else None,
        gradient_accumulation_steps=training.gradient_accumulation_steps if training else None,
        gradient_checkpointing=training.gradient_checkpointing if training else None,
        lora=training.lora if training else None,
        cache=cache,
        analysis=analysis.kind if analysis else None,
        layer=analyses.probed_layer(architecture, analysis) if analysis else None,
        precision=precision,
        attention=analyses.attention_of(analysis, runtime.attention) if analysis else runtime.attention,
        quantization=runtime.quantization if quantized else None,
        devices=None if parallelism.type is ParallelismType.NONE else gpus,
        parallelism=None if parallelism.type is ParallelismType.NONE else parallelism.type,
        fsdp_strategy=parallelism.strategy,
    )


def no_fused_attention(architecture: Architecture) -> str:
    """Why a model's class cannot run fused attention, and what to ask instead."""
    kind = f"a model of type {architecture.model_type}"
    return f"runtime.attention SDPA: transformers has none for {kind}; use Auto or Eager"


def _indivisible(architecture: Architecture, gpus: int) -> str | None:
    """Why attention cannot be divided among so many GPUs, each with whole heads of its own."""
    stack = architecture.decoder or architecture.encoder
    if stack is None:
        return f"a model of type {architecture.model_type} has no attention to divide"
    common = gcd(stack.heads, stack.kv_heads)
    if common % gpus == 0:
        return None
    able = ", ".join(str(n) for n in range(2, MOST_GPUS + 1) if common % n == 0)
    heads = f"{stack.heads} heads, {stack.kv_heads} of keys and values, cannot be divided among {gpus} GPUs"
    return f"{heads}; " + (f"set resources.gpusPerNode to one of {able}" if able else "use one GPU")


def _cache(architecture: Architecture, inference: InferenceSpec, sample: ResolvedInput) -> Cache | Impossible | None:
    """How the cache is kept: not at all where nothing is generated."""
    if sample.output_tokens and architecture.family in _GENERATES:
        if inference.cache is Cache.STATIC and not architecture.static_cache:
            why = f"transformers masks by the cache's length in a model of type {architecture.model_type}"
            return Impossible(Reason.IMPOSSIBLE_CACHE, f"inference.cache Static gives other tokens: {why}; use Dynamic")
        return inference.cache
    if inference.cache is Cache.DYNAMIC:
        return None
    generates = architecture.family in _GENERATES
    why = "outputTokens is 0" if generates else f"a model of type {architecture.model_type} does not generate"
    remedy = "generate at least one token" if generates else "remove it"
    return Impossible(Reason.IMPOSSIBLE_CACHE, f"inference.cache Static is filled by generated tokens: {why}; {remedy}")


def _untrainable(architecture: Architecture, training: TrainingSpec) -> str | None:
    """The option that this model's class cannot do, and why."""
    kind = f"a model of type {architecture.model_type}"
    if training.gradient_checkpointing is GradientCheckpointing.FULL and not architecture.checkpointable:
        return f"gradientCheckpointing Full: transformers cannot checkpoint {kind}"
    if training.lora and not (architecture.encoder or architecture.decoder):
        known = "which are not known of" if not architecture.body else "of which there are none in"
        return f"lora needs transformer layers, {known} {kind}"
    return None


def _precision(workload: WorkloadType, asked: Precision | None, gpus: int) -> Precision | Impossible:
    if asked is None:
        if gpus == 0:
            return Precision.FP32
        return Precision.BF16_MIXED if workload is WorkloadType.TRAINING else Precision.BF16
    if gpus == 0 and asked in (Precision.TF32, Precision.FP16_MIXED):
        return Impossible(
            Reason.IMPOSSIBLE_PRECISION,
            f"runtime.precision {asked.value} needs a GPU; with resources.gpusPerNode 0 use fp32 or bf16",
        )
    if workload is WorkloadType.TRAINING and asked is Precision.FP16:
        return Impossible(
            Reason.IMPOSSIBLE_PRECISION,
            "runtime.precision fp16 cannot be trained: its gradients underflow; use fp16-mixed or bf16-mixed",
        )
    if workload is not WorkloadType.TRAINING and asked in _MIXED:
        return Impossible(
            Reason.IMPOSSIBLE_PRECISION,
            f"runtime.precision {asked.value} is for training; for {workload.value.lower()} use "
            f"{asked.value.removesuffix('-mixed')}",
        )
    return asked


def _sample(architecture: Architecture, workload: WorkloadType, asked: Input) -> ResolvedInput | Impossible:
    match architecture.modality:
        case Modality.TEXT:
            return _text(architecture, workload, asked)
        case Modality.IMAGE:
            return _image(architecture, asked)
        case Modality.AUDIO:
            return _audio(architecture, asked)


def _text(architecture: Architecture, workload: WorkloadType, asked: Input) -> ResolvedInput | Impossible:
    if asked.image is not None or asked.audio is not None:
        return _wrong("image" if asked.image else "audio", architecture, "reads text; give input.text")
    text = asked.text or TextInput()
    generates = architecture.family in _GENERATES and workload is WorkloadType.INFERENCE
    if text.output_tokens and not generates:
        step = "a training step" if workload is WorkloadType.TRAINING else "an analysis"
        why = f"{step} generates nothing" if architecture.family in _GENERATES else "it does not generate"
        return _wrong("text.outputTokens", architecture, f"cannot have it: {why}; remove it")
    limit = architecture.max_positions
    # An encoder-decoder's output stands in a sequence of its own; a decoder's follows its input.
    shares = architecture.family is Family.DECODER
    default_out = DEFAULT_OUTPUT_TOKENS if generates else 0
    if limit is None:
        return ResolvedInput(
            input_tokens=text.input_tokens or DEFAULT_INPUT_TOKENS,
            output_tokens=default_out if text.output_tokens is None else text.output_tokens,
        )
    if text.input_tokens is None:
        room = limit - (text.output_tokens or 0) if shares else limit
        input_tokens = max(1, min(DEFAULT_INPUT_TOKENS, room))
    else:
        input_tokens = text.input_tokens
    room = limit - input_tokens if shares else limit
    output_tokens = min(default_out, max(0, room)) if text.output_tokens is None else text.output_tokens
    if input_tokens > limit or output_tokens > room:
        total = f"{input_tokens} input and {output_tokens} output tokens" if output_tokens else f"{input_tokens} tokens"
        return _wrong("text", architecture, f"takes at most {limit} tokens, not {total}; shorten the input")
    return ResolvedInput(input_tokens=input_tokens, output_tokens=output_tokens)


def _image(architecture: Architecture, asked: Input) -> ResolvedInput | Impossible:
    if asked.text is not None or asked.audio is not None:
        return _wrong("text" if asked.text else "audio", architecture, "sees images; give input.image")
    image, own = asked.image or ImageInput(), architecture.image
    height = image.height_pixels or (own.height_pixels if own else DEFAULT_PIXELS)
    width = image.width_pixels or (own.width_pixels if own else DEFAULT_PIXELS)
    if own and own.fixed_size and (height, width) != (own.height_pixels, own.width_pixels):
        return _wrong(
            "image", architecture, f"sees {own.height_pixels} x {own.width_pixels} pixels, not {height} x {width}"
        )
    return ResolvedInput(height_pixels=height, width_pixels=width)


def _audio(architecture: Architecture, asked: Input) -> ResolvedInput | Impossible:
    text, generates = asked.text or TextInput(), architecture.family in _GENERATES
    if asked.image is not None or text.input_tokens is not None:
        return _wrong("image" if asked.image else "text.inputTokens", architecture, "hears audio; give input.audio")
    if text.output_tokens is not None and not generates:
        return _wrong("text.outputTokens", architecture, "cannot have it: it does not generate; remove it")
    frames = architecture.audio.frames if architecture.audio else None
    own = max(1, frames // FRAMES_PER_SECOND) if frames else None
    seconds = (asked.audio or AudioInput()).seconds or own or DEFAULT_AUDIO_SECONDS
    if own is not None and seconds != own:
        return _wrong("audio", architecture, f"hears {own} s, to which a shorter sound is padded, not {seconds} s")
    if not generates:
        return ResolvedInput(audio_seconds=seconds)
    limit = architecture.max_positions or DEFAULT_OUTPUT_TOKENS
    output_tokens = min(DEFAULT_OUTPUT_TOKENS, limit) if text.output_tokens is None else text.output_tokens
    if not 1 <= output_tokens <= limit:
        return _wrong("text.outputTokens", architecture, f"writes 1 to {limit} tokens, not {output_tokens}")
    return ResolvedInput(audio_seconds=seconds, output_tokens=output_tokens)


def _wrong(field: str, architecture: Architecture, why: str) -> Impossible:
    return Impossible(Reason.IMPOSSIBLE_INPUT, f"input.{field}: a model of type {architecture.model_type} {why}")
