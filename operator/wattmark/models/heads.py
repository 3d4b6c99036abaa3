"""Which head a workload puts on a model: one rule for the estimate and for the runner that builds the model."""

from wattmark.api.workload import WorkloadType
from wattmark.models.architecture import Architecture, Family, Head, Modality

_INFERENCE = {
    Family.ENCODER: Head.BASE,
    Family.DECODER: Head.CAUSAL_LM,
    Family.ENCODER_DECODER: Head.SEQ2SEQ_LM,
    Family.VISION_TRANSFORMER: Head.IMAGE_CLASSIFICATION,
    Family.CONVOLUTIONAL: Head.IMAGE_CLASSIFICATION,
}
_AUDIO_INFERENCE = {Family.ENCODER: Head.BASE, Family.ENCODER_DECODER: Head.SPEECH_SEQ2SEQ}
_CLASSIFIER = {Modality.TEXT: Head.SEQUENCE_CLASSIFICATION, Modality.AUDIO: Head.AUDIO_CLASSIFICATION}


def head_for(architecture: Architecture, workload: WorkloadType) -> Head:
    """The head that the runner builds; an encoder needs a classifier to have a loss to train on."""
    if workload is WorkloadType.TRAINING and architecture.family is Family.ENCODER:
        return _CLASSIFIER[architecture.modality]
    if architecture.modality is Modality.AUDIO:
        return _AUDIO_INFERENCE[architecture.family]
    return _INFERENCE[architecture.family]
