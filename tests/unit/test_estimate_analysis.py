"""What an analysis needs, by what it keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import ComponentName, Need, Phase
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Gpu, Unknown, need
from wattmark.models import Architecture, architecture, lookup
from wattmark.models.resolve import Impossible, resolve

GPU = Gpu((8, 0))
MODELS = ("bert", "gpt2", "llama-3.1-8b", "t5-base", "vit-base", "resnet-50")


def known(name: str) -> Architecture:
    model = lookup(name)
    assert model is not None
    read = architecture(model.config)
    assert isinstance(read, Architecture)
    return read


def asked(name: str, kind: AnalysisKind, batch: int = 8, tokens: int | None = None) -> Resolved | Impossible:
    shape = {"kind": kind, "batchSizePerDevice": batch} | (
        {"input": {"text": {"inputTokens": tokens}}} if tokens else {}
    )
    spec = WorkloadSpec.model_validate({"type": "Analysis", "analysis": shape})
    return resolve(known(name), spec, RuntimeSpec(precision=Precision.BF16), 1)


def needed(name: str, kind: AnalysisKind, batch: int = 8, tokens: int | None = None) -> Need:
    resolved = asked(name, kind, batch, tokens)
    assert isinstance(resolved, Resolved), resolved
    found = need(known(name), resolved, Weights.RANDOM, GPU)
    assert isinstance(found, Need), found
    return found


def part(found: Need, name: ComponentName) -> int:
    return next((c.likely_bytes for c in found.components if c.name is name), 0)


@pytest.mark.parametrize(
    ("name", "kind", "component", "size"),
    [
        pytest.param(
            "bert",
            AnalysisKind.ACTIVATION_EXTRACTION,
            ComponentName.HIDDEN_STATES,
            12 * 8 * 512 * 768 * 2,
            id="in the last layer: the embeddings and eleven layers",
        ),
        pytest.param(
            "t5-base",
            AnalysisKind.ACTIVATION_EXTRACTION,
            ComponentName.HIDDEN_STATES,
            (13 + 12) * 8 * 512 * 768 * 2,
            id="the encoder's while the decoder runs",
        ),
        pytest.param(
            "llama-3.1-8b",
            AnalysisKind.ATTENTION_VISUALIZATION,
            ComponentName.ATTENTION_WEIGHTS,
            32 * 8 * 32 * 512 * 512 * 2,
            id="attention weights of all heads, grouped or not",
        ),
        pytest.param(
            "t5-base",
            AnalysisKind.ATTENTION_VISUALIZATION,
            ComponentName.ATTENTION_WEIGHTS,
            3 * 12 * 8 * 12 * 512 * 512 * 2,
            id="the encoder's, the decoder's and those between them",
        ),
        pytest.param(
            "bert",
            AnalysisKind.CONCEPT_ANALYSIS,
            ComponentName.HIDDEN_STATES,
            2 * 8 * 768 * 4,
            id="means of two sets of samples",
        ),
        pytest.param("bert", AnalysisKind.LAYER_ANALYSIS, ComponentName.HIDDEN_STATES, 0, id="layers read as they end"),
        pytest.param(
            "resnet-50",
            AnalysisKind.ACTIVATION_EXTRACTION,
            ComponentName.HIDDEN_STATES,
            (64 + 256) * 56 * 56 * 8 * 2,
            id="the stem's and the first stage's, where the second begins",
        ),
    ],
)
def test_what_is_kept(name: str, kind: AnalysisKind, component: ComponentName, size: int) -> None:
    assert part(needed(name, kind, tokens=None if name == "resnet-50" else 512), component) == size


def test_what_reads_inside_of_a_model_has_no_head() -> None:
    inside, outside = (
        part(needed("llama-3.1-8b", kind), ComponentName.WEIGHTS)
        for kind in (AnalysisKind.LAYER_ANALYSIS, AnalysisKind.GRADIENT_ANALYSIS)
    )
    assert outside - inside == 128256 * 4096 * 2


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_peaks_on_the_way_back_and_has_none_of_weights(name: str) -> None:
    found = needed(name, AnalysisKind.GRADIENT_ANALYSIS, batch=64)
    assert found.peak_phase is Phase.BACKWARD
    assert part(found, ComponentName.GRADIENTS) == part(found, ComponentName.OPTIMIZER) == 0


def test_what_frozen_experts_save_is_unknown() -> None:
    resolved = asked("mixtral-8x7b", AnalysisKind.GRADIENT_ANALYSIS)
    assert isinstance(resolved, Resolved)
    found = need(known("mixtral-8x7b"), resolved, Weights.RANDOM, GPU)
    assert found == Unknown("the closed form does not describe what a mixture of experts with frozen weights saves")


@given(st.sampled_from(MODELS), st.sampled_from(AnalysisKind), st.integers(1, 256))
def test_parts_sum_to_the_whole_and_a_larger_batch_never_needs_less(name: str, kind: AnalysisKind, batch: int) -> None:
    if isinstance(asked(name, kind), Impossible):
        return
    small, large = needed(name, kind, batch), needed(name, kind, batch + 1)
    assert small.allocated_bytes.likely <= large.allocated_bytes.likely
    assert small.allocated_bytes.high <= large.allocated_bytes.high
    assert small.device_bytes is not None
    assert sum(part.likely_bytes for part in small.components) == small.device_bytes.likely


@given(st.sampled_from(["bert", "llama-3.1-8b", "t5-base"]), st.sampled_from(AnalysisKind), st.integers(1, 511))
def test_a_longer_input_never_needs_less(name: str, kind: AnalysisKind, tokens: int) -> None:
    short, long = (needed(name, kind, tokens=size).allocated_bytes for size in (tokens, tokens + 1))
    assert short.likely <= long.likely
    assert short.high <= long.high
