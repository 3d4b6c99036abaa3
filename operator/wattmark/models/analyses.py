"""Which analyses a model's class allows, and which of its layers is probed where nobody says."""

from wattmark.api.analysis import AnalysisKind, AnalysisSpec
from wattmark.api.runtime import Attention
from wattmark.models.architecture import Architecture

_BY_LAYER = (AnalysisKind.LAYER_ANALYSIS, AnalysisKind.CONCEPT_ANALYSIS)


def refusal(architecture: Architecture, asked: AnalysisSpec, attention: Attention) -> str | None:
    """Why this model cannot be analysed as asked, and what to ask instead; None where it can."""
    model = f"a model of type {architecture.model_type}"
    if not architecture.body:
        return f"kind {asked.kind.value}: {model} is not listed, so what to read of its layers is not known"
    has_layers = bool(architecture.encoder or architecture.decoder)
    if asked.kind is AnalysisKind.ATTENTION_VISUALIZATION:
        if not has_layers:
            return f"kind {asked.kind.value}: {model} has no attention; use ActivationExtraction or GradientAnalysis"
        if attention is Attention.SDPA:
            return f"kind {asked.kind.value}: fused attention never holds its weights; runtime.attention Auto or Eager"
    if asked.kind in _BY_LAYER and not (has_layers and architecture.checkpointable):
        return (
            f"kind {asked.kind.value}: {model} has no layers of one width with weights of their own; use "
            "ActivationExtraction or GradientAnalysis"
        )
    if asked.layer is not None and asked.layer > (most := _layers(architecture)):
        return f"layer {asked.layer}: {model} of this size has {most} layers to probe; use at most {most}"
    return None


def attention_of(asked: AnalysisSpec, attention: Attention) -> Attention:
    """The attention that runs: weights are there to keep in eager attention alone."""
    return Attention.EAGER if asked.kind is AnalysisKind.ATTENTION_VISUALIZATION else attention


def probed_layer(architecture: Architecture, asked: AnalysisSpec) -> int | None:
    """The layer that is probed, counted from 1; None where none is."""
    if asked.kind is not AnalysisKind.CONCEPT_ANALYSIS:
        return None
    return asked.layer or max(1, _layers(architecture) // 2)


def _layers(architecture: Architecture) -> int:
    """Layers of the stack that reads the input."""
    stack = architecture.encoder or architecture.decoder
    return stack.layers if stack else 0
