"""What stands before a speech model's layers, in bytes that can be counted by hand."""

import pytest
from tests.unit.test_estimate_need import known

from wattmark.api.model import Weights
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Question, sound
from wattmark.models.resolve import Impossible, resolve


def question(name: str, seconds: int | None = None, batch: int = 2) -> Question:
    read = known(name)
    sample = {} if seconds is None else {"input": {"audio": {"seconds": seconds}}}
    spec = WorkloadSpec.model_validate({"type": "Inference", "inference": {"batchSizePerDevice": batch, **sample}})
    resolved = resolve(read, spec, RuntimeSpec(precision=Precision.BF16), 1)
    assert not isinstance(resolved, Impossible), resolved
    return Question(read, resolved, Weights.RANDOM, on_gpu=True)


@pytest.mark.parametrize(
    ("name", "seconds", "tokens"),
    [
        pytest.param("whisper-tiny", None, 1500, id="30 s in frames of 10 ms, of which every second one stays"),
        pytest.param("wav2vec2", 1, 49, id="20 ms each, without padding"),
        pytest.param("wav2vec2", 10, 499, id="a longer sound"),
    ],
)
def test_a_sound_becomes_so_many_tokens(name: str, seconds: int | None, tokens: int) -> None:
    assert question(name, seconds).input_tokens == tokens


def test_the_sound_itself_is_there_throughout() -> None:
    assert sound.given(question("whisper-tiny")) == 2 * 80 * 3000 * 2
    assert sound.given(question("wav2vec2", 10)) == 2 * 160_000 * 2
    assert sound.given(question("gpt2")) == sound.front(question("gpt2")) == sound.kept(question("gpt2")) == 0


def test_the_first_convolution_over_a_waveform_is_the_widest() -> None:
    # Of 160,000 values every fifth, in 512 channels: what it gives, and that normalized.
    assert sound.front(question("wav2vec2", 10)) == 2 * 2 * 512 * 31_999 * 2


def test_convolved_frames_are_read_and_activated() -> None:
    assert sound.front(question("whisper-tiny")) == 2 * 2 * 384 * 3000 * 2


def test_an_encoder_of_waveforms_gives_its_features_as_well() -> None:
    assert sound.kept(question("wav2vec2", 10)) == 2 * 499 * 512 * 2
    assert sound.kept(question("whisper-tiny")) == 0
