"""How a model is executed: numeric format and kernels."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from wattmark.api.schema import Model, Rule, ruled


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


class QuantizationType(StrEnum):
    """In what a model's matrices are stored."""

    NONE = "None"
    INT8 = "BitsAndBytesInt8"
    NF4 = "BitsAndBytesNF4"


class NF4Spec(Model):
    """Options of NF4."""

    double_quantization: bool = Field(
        False,
        description="True: the blocks' scales are stored in 8 bits, 0.516 bytes per element in place of 0.5625. "
        "Default: as transformers, not.",
    )


NF4_RULE = Rule(
    "self.type == 'BitsAndBytesNF4' || !has(self.bitsAndBytesNF4)",
    "quantization.bitsAndBytesNF4 goes with quantization.type BitsAndBytesNF4",
)


class QuantizationSpec(Model):
    """How a model's matrices are stored, by bitsandbytes as transformers' from_pretrained calls it."""

    model_config = ruled(NF4_RULE)

    type: QuantizationType = Field(
        description="None: as precision says. BitsAndBytesInt8: LLM.int8(), a byte per element and a scale per row; "
        "products are of 8-bit integers. BitsAndBytesNF4: 4 bits per element and a scale per block of 64, made 16-bit "
        "again for each product. Quantized are all linear layers but the output projection; embeddings, norms, "
        "convolutions and the experts of a mixture stay as precision says."
    )
    bits_and_bytes_nf4: NF4Spec | None = Field(
        None, alias="bitsAndBytesNF4", description="Options of NF4; with type BitsAndBytesNF4."
    )

    @model_validator(mode="after")
    def _options_of_the_type(self) -> Self:
        if self.bits_and_bytes_nf4 is not None and self.type is not QuantizationType.NF4:
            raise ValueError(NF4_RULE.message)
        return self


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
    quantization: QuantizationSpec = Field(
        QuantizationSpec(type=QuantizationType.NONE),
        description="How matrices are stored; other than None in a ModelCheck only, and in training only with "
        "training.lora (QLoRA). What is not quantized, adapters too, is as precision says: with bf16 or fp16 in 16 "
        "bits; with bf16-mixed or fp16-mixed in fp32 under autocast, as peft's prepare_model_for_kbit_training has it.",
    )
