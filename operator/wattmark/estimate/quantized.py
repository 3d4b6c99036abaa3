"""Memory of quantized matrices: what bitsandbytes stores for each, and what a product with one makes and throws away.

Read in bitsandbytes 0.50 and transformers 5.23; the functions are named where a figure comes from them. A test compares
which matrices and how many bytes with both libraries.
"""

from dataclasses import dataclass

from wattmark.api.answers import ComponentName
from wattmark.api.runtime import Precision, QuantizationType
from wattmark.estimate.interval import Interval, exact
from wattmark.estimate.parts import Part
from wattmark.estimate.question import Question
from wattmark.estimate.transformer import Pass
from wattmark.models import Per, Stack, Weights

SCALE_BYTES = 4
NF4_BLOCK, SCALE_BLOCK = 64, 256  # elements that share a scale, and scales that share one
# Tables that each NF4 matrix has for itself: 16 values of the format, and of doubly quantized scales 256 and their mean
NF4_TABLE_BYTES, SCALE_TABLE_BYTES = 16 * 4, 256 * 4 + 4
EXPERTS_APART = "of experts, which are none"  # in the formula of a mixture's weights, by which the table knows
UNPACKED_ROWS = 4  # so few rows bitsandbytes multiplies without making the matrix 16-bit again, on every GPU


@dataclass(frozen=True, slots=True)
class _Products:
    """Bytes that a product with the costliest quantized matrix takes beside its input and its result."""

    forward: int
    backward: int


def matrices(question: Question) -> tuple[Weights, ...]:
    """The linear layers that are quantized, joint ones as one; none where nothing is.

    transformers.quantizers.base.get_keys_to_not_convert leaves out the output projection, what is tied to it, and what
    the class keeps in fp32: T5's second matrix of the feed-forward part. A classifier is quantized, for its last
    parameter is its bias. integrations.bitsandbytes.replace_with_bnb_linear takes nn.Linear and Conv1D alone: a
    mixture's experts are neither.
    """
    if question.resolved.quantization is None:
        return ()
    linear, kept = question.fixed.linear, question.kept_wide
    return tuple(weight for weight in linear if weight.per is not Per.LOGITS_TOKEN and weight not in kept)


def elements(question: Question) -> int:
    """Elements of the matrices that are quantized."""
    return sum(weight.outputs * weight.inputs * weight.count for weight in matrices(question))


def weight_bytes(question: Question) -> int:
    """Bytes of all weights: of quantized matrices as they are stored, of the rest in the precision's format."""
    whole = (question.count.total + question.count.buffers) * question.formats.weight
    if question.resolved.quantization is None:
        return whole
    stored = sum(_stored(weight, question) * weight.count for weight in matrices(question))
    wide = sum(weight.outputs * weight.inputs * weight.count for weight in question.kept_wide)
    # transformers raises what a class keeps in fp32 where the rest is fp16, not where it is bf16
    raised = wide * 2 if question.resolved.precision is Precision.FP16 else 0
    return whole - elements(question) * question.formats.weight + stored + raised


def loading(question: Question) -> Part:
    """What is there beside the weights while the last matrix is quantized.

    One at a time, for transformers loads in turn what it quantizes (core_model_loading.convert_and_load_state_dict_in_
    model): the matrix in 16 bits, and for int8 once more in fp16 (nn.modules.Int8Params._quantize).
    """
    size = max((weight.outputs * weight.inputs for weight in matrices(question)), default=0)
    copies = 2 if _type(question) is QuantizationType.INT8 else 1
    return Part(ComponentName.WORKSPACE, exact(size * 2 * copies), "one matrix in 16 bits, before it is quantized")


def forward(question: Question, rows: int) -> Part:
    """What products of a forward pass of `rows` tokens make and throw away."""
    made = _products(question, rows).forward
    least = made if _type(question) is QuantizationType.INT8 or rows > UNPACKED_ROWS else 0
    return _part(question, rows, made, least)


def backward(question: Question, rows: int) -> Part:
    """What products of a backward pass make: the matrix in 16 bits again, with its scales."""
    made = _products(question, rows).backward
    return _part(question, rows, made, made)


def takes_int8(question: Question) -> bool:
    """Whether matrices are LLM.int8()'s, which save what they read, frozen as they are (MatMul8bitLt in autograd)."""
    return _type(question) is QuantizationType.INT8


def uncheckpointed(question: Question, stack: Stack, run: Pass, *, post: bool) -> int:
    """Bytes that one layer keeps per sample although it is computed again, of what LLM.int8() reads.

    autograd._functions.MatMul8bitLt keeps its input as an attribute, which checkpointing without reentering autograd
    (transformers' default) does not see. The layer's own input is kept anyway, where no norm stands before attention.
    """
    if _type(question) is not QuantizationType.INT8:
        return 0
    formats = question.formats
    hidden = (1 if post else 2) * stack.hidden + (stack.hidden if stack.cross_attention else 0)
    query = stack.query_width * (2 if stack.cross_attention else 1)
    inner = 0 if stack.experts or question.kept_wide else stack.intermediate
    return run.tokens * ((hidden + inner) * formats.result + query * formats.compute)


def _part(question: Question, rows: int, made: int, usual: int) -> Part:
    # Beside a product the layer holds one width less of its feed-forward part than at its fullest, which is counted.
    width = max((stack.intermediate for stack in question.stacks), default=0)
    likely = max(0, usual - rows * width * question.formats.compute)
    words = "8-bit inputs and 32-bit results" if _type(question) is QuantizationType.INT8 else "a matrix in 16 bits"
    return Part(ComponentName.WORKSPACE, Interval(0, likely, made), f"products of quantized matrices: {words}")


def _products(question: Question, rows: int) -> _Products:
    """LLM.int8() quantizes its input, gets 32-bit integers and makes fp16 of them, then bf16 where that is asked for.

    (backends.cuda.ops: int8_linear_matmul and int8_mm_dequant.) Its backward pass makes the matrix 16-bit, as NF4's
    does in both directions (_dequant_linear_fallback), with the scales in fp32 twice where those are quantized.
    """
    size = question.formats.compute
    found = matrices(question)
    whole = max((weight.outputs * weight.inputs for weight in found), default=0) * size
    if _type(question) is QuantizationType.INT8:
        bf16 = question.resolved.precision in (Precision.BF16, Precision.BF16_MIXED)
        width = max((weight.outputs * (6 if bf16 else 4) + weight.inputs for weight in found), default=0)
        return _Products(rows * width, whole)
    scales = 2 * SCALE_BYTES * whole // size // NF4_BLOCK if _doubly(question) else 0
    return _Products(whole + scales, whole + scales)


def _stored(weight: Weights, question: Question) -> int:
    """Bytes of one matrix: functional.int8_vectorwise_quant; functional.quantize_4bit."""
    elements = weight.outputs * weight.inputs
    if _type(question) is QuantizationType.INT8:
        return elements + weight.outputs * SCALE_BYTES
    blocks = -(-elements // NF4_BLOCK)
    packed = -(-elements // 2) + NF4_TABLE_BYTES
    if not _doubly(question):
        return packed + blocks * SCALE_BYTES
    return packed + blocks + -(-blocks // SCALE_BLOCK) * SCALE_BYTES + SCALE_TABLE_BYTES


def _type(question: Question) -> QuantizationType:
    quantization = question.resolved.quantization
    return QuantizationType.NONE if quantization is None else quantization.type


def _doubly(question: Question) -> bool:
    quantization = question.resolved.quantization
    options = None if quantization is None else quantization.bits_and_bytes_nf4
    return options is not None and options.double_quantization
