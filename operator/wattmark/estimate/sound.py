"""Activations of what a speech model does before its layers: convolutions along the sound."""

from wattmark.estimate.question import Question


def given(question: Question) -> int:
    """Bytes of the sound itself, whole batch; 0 for a model that hears none."""
    audio = question.architecture.audio
    if audio is None:
        return 0
    places = audio.places(question.resolved.input.audio_seconds or 0)
    return question.batch * (audio.mel_bins or 1) * places * question.formats.weight


def kept(question: Question) -> int:
    """Bytes, whole batch, that an encoder of waveforms holds beside its layers: the features, which it gives back."""
    audio = question.architecture.audio
    if audio is None or audio.frames:
        return 0
    return question.batch * audio.waves[-1].width * question.input_tokens * question.formats.compute


def front(question: Question) -> int:
    """Bytes of temporaries at the widest moment before the layers, whole batch, beside the sound itself.

    A convolution reads one and gives another, and so do a norm and an activation. Positions that are convolved take
    their kernel, which is normalized each time, and five hidden states.
    """
    audio, size = question.architecture.audio, question.formats.compute
    if audio is None:
        return 0
    length, arriving, widest = audio.places(question.resolved.input.audio_seconds or 0), 0, 0
    for wave in audio.waves:
        length = wave.length(length)
        leaving = wave.width * length
        widest = max(widest, arriving + leaving, 2 * leaving)
        arriving = leaving
    positions = next((weight for weight in question.architecture.body if weight.name == "positions"), None)
    if positions is None:
        return question.batch * widest * size
    hidden = question.batch * question.input_tokens * question.architecture.hidden
    placed = (positions.outputs * positions.inputs + 5 * hidden) * size
    return max(question.batch * widest * size, kept(question) + placed)
