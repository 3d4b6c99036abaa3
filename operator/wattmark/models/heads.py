"""Which head a workload puts on a model: one rule for the estimate and for the runner that builds the model."""

from wattmark.api.analysis import AnalysisKind
from wattmark.api.workload import WorkloadType
from wattmark.models.architecture import Architecture, Family, Head, Modality

_INFERENCE = {
    Family.ENCODER: Head.BASE,
    Family.DECODER: Head.CAUSAL_LM,
    Family.ENCODER_DECODER: Head.SEQ2SEQ_LM,
    Family.VISION_TRANSFORMER: Head.IMAGE_CLASSIFICATION,
    Family.CONVOLUTIONAL: Head.IMAGE_CLASSIFICATION,
    Family.DENOISER: Head.BASE,
}
_AUDIO_INFERENCE = {Family.ENCODER: Head.BASE, Family.ENCODER_DECODER: Head.SPEECH_SEQ2SEQ}
_CLASSIFIER = {Modality.TEXT: Head.SEQUENCE_CLASSIFICATION, Modality.AUDIO: Head.AUDIO_CLASSIFICATION}


def head_for(architecture: Architecture, workload: WorkloadType, analysis: AnalysisKind | None = None) -> Head:
    """The head that the runner builds.

    An encoder needs a classifier to have a loss to train on, or a logit to begin a gradient at; what is read inside of
    a model needs no head.
    """
    differentiates = workload is WorkloadType.TRAINING or analysis is AnalysisKind.GRADIENT_ANALYSIS
    if workload is WorkloadType.ANALYSIS and not differentiates:
        return Head.BASE
    if differentiates and architecture.family is Family.ENCODER:
        return _CLASSIFIER[architecture.modality]
    if architecture.modality is Modality.AUDIO:
        return _AUDIO_INFERENCE[architecture.family]
    return _INFERENCE[architecture.family]
