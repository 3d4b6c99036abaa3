"""How a model is executed: numeric format and kernels."""

from enum import StrEnum

from pydantic import Field

from wattmark.api.schema import Model


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
