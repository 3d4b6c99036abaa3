"""What a precision means: the dtype of the weights, the arithmetic of fp32, the autocast of training."""

from dataclasses import dataclass

import torch

from wattmark.api.report import RunFailure
from wattmark.api.runtime import Precision
from wattmark_runner.failures import RunError


@dataclass(frozen=True, slots=True)
class Numerics:
    """`weights` is the dtype the model is built in, `mixed` accelerate's name for the autocast of a training step."""

    weights: torch.dtype
    mixed: str = "no"
    tf32: bool = False


NUMERICS: dict[Precision, Numerics] = {
    Precision.FP32: Numerics(torch.float32),
    Precision.TF32: Numerics(torch.float32, tf32=True),
    Precision.BF16: Numerics(torch.bfloat16),
    Precision.FP16: Numerics(torch.float16),
    Precision.BF16_MIXED: Numerics(torch.float32, mixed="bf16"),
    Precision.FP16_MIXED: Numerics(torch.float32, mixed="fp16"),
}


def numerics(precision: Precision) -> Numerics:
    """The numerics of a precision, set for the process: TF32 is off unless asked for, in matmuls and convolutions.

    RunError InvalidOrder if TF32 is asked for and this GPU has none: PyTorch would compute in fp32 and say nothing.
    """
    chosen = NUMERICS[precision]
    if chosen.tf32 and not torch.cuda.is_tf32_supported():
        raise RunError(
            RunFailure.INVALID_ORDER,
            "runtime.precision tf32 needs a GPU of compute capability 8.0 or more, which this one has not; use fp32",
        )
    torch.set_float32_matmul_precision("high" if chosen.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = chosen.tf32  # on by default
    return chosen
