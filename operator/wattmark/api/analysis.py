"""The shape of an analysis: what is read out of a model, beside or in place of its result."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from wattmark.api.sample import BATCH, Input
from wattmark.api.schema import Model, Rule, ruled


class AnalysisKind(StrEnum):
    """What is read out of a model."""

    ACTIVATION_EXTRACTION = "ActivationExtraction"
    LAYER_ANALYSIS = "LayerAnalysis"
    ATTENTION_VISUALIZATION = "AttentionVisualization"
    GRADIENT_ANALYSIS = "GradientAnalysis"
    CONCEPT_ANALYSIS = "ConceptAnalysis"


_LAYER_RULE = Rule(
    "!has(self.layer) || self.kind == 'ConceptAnalysis'",
    "analysis.layer goes with kind ConceptAnalysis, and only with it",
)


class AnalysisSpec(Model):
    """Passes that read out what happens inside a model; nothing is trained but a probe. Dropout is off."""

    model_config = ruled(_LAYER_RULE)

    kind: AnalysisKind = Field(
        description="ActivationExtraction: a forward pass that keeps the embeddings and what every layer (of a "
        "convolutional model: every stage) gives, until the iteration ends. LayerAnalysis: a forward pass; of every "
        "layer, as it ends, the mean norm of what it gives and the mean cosine between that and what it was given "
        "(block influence, arXiv 2403.03853), in fp32; hidden states are not kept. AttentionVisualization: a forward "
        "pass with eager attention that keeps the attention weights of every layer, batch x heads x tokens^2 each, "
        "until the iteration ends. GradientAnalysis: a forward pass with frozen weights, and a backward pass from the "
        "highest logit (of the last token; of an encoder-decoder: of the first token that it would write; else of the "
        "classes) to the gradient of the embeddings, pixels or sound given; what the backward pass reads is kept. "
        "ConceptAnalysis: a forward pass up to one layer for each of two sets of batchSizePerDevice samples; what the "
        "layer gives, averaged over tokens, is kept, and a linear probe is trained in 100 steps to tell the sets apart "
        "(concept activation vector, arXiv 1711.11279)."
    )
    batch_size_per_device: BATCH = Field(8, description="Samples per forward pass and device.")
    input: Input | None = Field(
        None, description="Size of one sample. Default: resolved from the model, see status.resolved."
    )
    layer: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="The layer whose results are probed, counted from 1 (of an encoder-decoder: the encoder's); with "
        "kind ConceptAnalysis. Default: the middle one, rounded down.",
    )

    @model_validator(mode="after")
    def _layer_is_read(self) -> Self:
        if self.layer is not None and self.kind is not AnalysisKind.CONCEPT_ANALYSIS:
            raise ValueError(_LAYER_RULE.message)
        return self
