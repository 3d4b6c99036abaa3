"""What a precision means in bytes."""

from dataclasses import dataclass

from wattmark.api.runtime import Precision


@dataclass(frozen=True, slots=True)
class Formats:
    """Bytes of an element: of a stored weight (and its gradient and optimizer states), and of arithmetic.

    `mixed` is autocast: weights stay in fp32 and a 16-bit copy of every matrix is made for the arithmetic.
    `narrow_stream` tells that nothing raises the residual stream again; `wide_results` that matrices give their result
    in the format of their input, as bitsandbytes' do, which autocast does not know. `half` that 16-bit
    arithmetic is fp16's: a GPU's softmax reads it and writes fp32, where of bf16 it makes a copy in fp32 first
    (SoftMax.cpp), and some classes look whether it has overflowed.
    """

    weight: int
    compute: int
    narrow_stream: bool = False
    wide_results: bool = False
    half: bool = False

    @property
    def mixed(self) -> bool:
        """Whether weights are copied into a narrower format."""
        return self.weight != self.compute

    @property
    def stream(self) -> int:
        """Bytes of an element of the residual stream: autocast keeps normalizations and sums in fp32."""
        return self.weight if self.mixed and not self.narrow_stream else self.compute

    @property
    def result(self) -> int:
        """Bytes of an element of what a layer's matrix gives."""
        return self.stream if self.wide_results else self.compute


_FORMATS = {
    Precision.FP32: Formats(4, 4),
    Precision.TF32: Formats(4, 4),
    Precision.BF16: Formats(2, 2),
    Precision.FP16: Formats(2, 2, half=True),
    Precision.BF16_MIXED: Formats(4, 2),
    Precision.FP16_MIXED: Formats(4, 2, half=True),
}


def formats(precision: Precision) -> Formats:
    """The formats of a precision."""
    return _FORMATS[precision]
