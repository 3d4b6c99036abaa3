"""Analyses of every kind of model, really run on the CPU, held against what the model itself says."""

import json
from itertools import pairwise
from typing import Any

import pytest
import torch
from tests.torch.test_runner_workloads import (
    AUDIO_MODELS,
    BATCH,
    CONFIGS,
    CONVOLUTIONAL,
    IMAGE_MODELS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
)

from wattmark.api.analysis import AnalysisKind
from wattmark.api.order import RunOrder
from wattmark_runner import run
from wattmark_runner.device import Cpu
from wattmark_runner.models import Loaded, load
from wattmark_runner.workloads.analysis import step_of

LAYERED = tuple(name for name in CONFIGS if name not in (*CONVOLUTIONAL, "albert"))
ATTENDING = tuple(name for name in CONFIGS if name not in CONVOLUTIONAL)
WRITING = ("t5", "whisper")


def order(name: str, kind: AnalysisKind, **more: Any) -> RunOrder:
    sample: dict[str, Any] = {"text": {"inputTokens": INPUT_TOKENS}}
    if name in IMAGE_MODELS:
        sample = {"image": {"heightPixels": 32, "widthPixels": 32}}
    elif name in AUDIO_MODELS:
        sample = {"audio": {"seconds": 1}} | ({"text": {"outputTokens": OUTPUT_TOKENS}} if name == "whisper" else {})
    shape = {"kind": kind, "batchSizePerDevice": BATCH, "input": sample, **more}
    return RunOrder.model_validate(
        {
            "runUid": "run",
            "modelId": f"tiny-{name}",
            "weights": "Random",
            "config": json.dumps(CONFIGS[name]),
            "workload": {"type": "Analysis", "analysis": shape},
            "runtime": {},
            "measure": {"warmupIterations": 2, "windowSeconds": 1, "minIterations": 10},
            "gpus": 0,
            "runningSeconds": 120,
        }
    )


def analysed(name: str, kind: AnalysisKind, **more: Any) -> tuple[Loaded, tuple[torch.Tensor, ...]]:
    loaded = load(order(name, kind, **more), Cpu(), None)
    return loaded, step_of(loaded, torch.device("cpu"))()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_layers_states_are_kept(name: str) -> None:
    loaded, states = analysed(name, AnalysisKind.ACTIVATION_EXTRACTION)
    known = loaded.architecture
    stacks = [stack for stack in (known.encoder, known.decoder) if stack]
    if stacks:
        assert len(states) == sum(stack.layers + 1 for stack in stacks)
        assert not any(torch.equal(one, other) for one, other in pairwise(states))
    elif name == "resnet":
        stages = [(8, 8, 8), (8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 1, 1)]
        assert [tuple(state.shape[1:]) for state in states] == stages
    assert all(state.shape[0] == BATCH and torch.isfinite(state).all() for state in states)


@pytest.mark.parametrize("name", ATTENDING)
def test_attention_weights_are_those_of_every_layer_and_sum_to_one(name: str) -> None:
    loaded, weights = analysed(name, AnalysisKind.ATTENTION_VISUALIZATION)
    stacks = [stack for stack in (loaded.architecture.encoder, loaded.architecture.decoder) if stack]
    assert len(weights) == sum(stack.layers * (2 if stack.cross_attention else 1) for stack in stacks)
    assert all(one.shape[:2] == (BATCH, 4) for one in weights)
    assert all(torch.allclose(one.sum(-1), torch.ones(())) for one in weights)


# A convolution follows DeBERTa's first layer, and is part of the state that the model gives back.
@pytest.mark.parametrize("name", [name for name in LAYERED if name != "deberta-v2"])
def test_a_layers_norm_and_cosine_are_those_of_its_states(name: str) -> None:
    loaded, (figures,) = analysed(name, AnalysisKind.LAYER_ANALYSIS)
    _, states = analysed(name, AnalysisKind.ACTIVATION_EXTRACTION)
    count = sum(stack.layers for stack in (loaded.architecture.encoder, loaded.architecture.decoder) if stack)
    assert figures.shape == (count, 2)
    # The last state that a model gives back is that behind its last norm; the first layer's is its own.
    before, after = states[0], states[1]
    assert figures[0, 0].item() == pytest.approx(after.norm(dim=-1).mean().item(), rel=1e-4)
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1).mean().item()
    assert figures[0, 1].item() == pytest.approx(cosine, rel=1e-4)
    assert (figures[:, 1].abs() <= 1.0001).all()


# The product that a mixture's experts share has no double precision.
@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ("mixtral", "qwen3_moe")])
def test_a_gradient_is_what_finite_differences_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The score rises along its gradient as steeply as the gradient is long."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    grad = torch.autograd.grad

    def watched(score: torch.Tensor, given: torch.Tensor) -> Any:
        seen.append((score.detach(), given.detach()))
        return grad(score, given)

    monkeypatch.setattr(torch.autograd, "grad", watched)
    loaded = load(order(name, AnalysisKind.GRADIENT_ANALYSIS), Cpu(), None)
    loaded.model.double()
    called: list[dict[str, Any]] = []
    loaded.model.register_forward_pre_hook(lambda _, args, kwargs: called.append(kwargs), with_kwargs=True)
    doubled = Loaded(
        loaded.model, loaded.architecture, loaded.resolved, type(loaded.numerics)(torch.float64), None, 0.0
    )
    (gradient,) = step_of(doubled, torch.device("cpu"))()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in loaded.model.parameters())
    ((score, given),) = seen
    (kwargs,) = called
    field = next(key for key in ("inputs_embeds", "pixel_values", "input_values", "input_features") if key in kwargs)
    step = 1e-3 if name == "t5" else 1e-5  # T5 normalizes in fp32, whatever it is given
    scores = []
    for sign in (1, -1):
        moved = given + sign * step * gradient / gradient.norm()
        logits = loaded.model(**{**kwargs, field: moved}).logits
        last = logits[:, -1] if logits.dim() == 3 else logits
        scores.append(last.max(-1).values.sum().item())
    slope = (scores[0] - scores[1]) / (2 * step)
    assert slope == pytest.approx(gradient.norm().item(), rel=1e-2), (slope, gradient.norm(), score)


@pytest.mark.parametrize("name", LAYERED)
def test_a_probe_tells_two_sets_of_samples_apart(name: str) -> None:
    loaded, (direction,) = analysed(name, AnalysisKind.CONCEPT_ANALYSIS)
    assert direction.norm().item() == pytest.approx(1)
    assert direction.shape == (loaded.architecture.hidden,)


def test_a_pass_ends_at_the_layer_that_is_probed() -> None:
    loaded = load(order("bert", AnalysisKind.CONCEPT_ANALYSIS, layer=1), Cpu(), None)
    ran = []
    for number, layer in enumerate(loaded.model.encoder.layer, start=1):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    step_of(loaded, torch.device("cpu"))()
    assert ran == [1, 1]  # once for each set


def test_a_direction_points_to_the_set_that_the_concept_is_in() -> None:
    from wattmark_runner.workloads.analysis import _direction

    features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.cat((torch.ones(20), torch.zeros(20)))
    features[:20, 3] += 4
    direction = _direction(features, targets)
    assert direction.argmax().item() == 3 and direction[3] > 0.9


@pytest.mark.parametrize("kind", AnalysisKind)
def test_a_run_gives_figures(kind: AnalysisKind) -> None:
    report = run(order("gpt2", kind))
    assert report.failure is None and report.results is not None and report.environment is not None
    figures, batches = report.results, 2 if kind is AnalysisKind.CONCEPT_ANALYSIS else 1
    samples = figures.throughput.samples_per_second * figures.window_seconds
    assert samples == pytest.approx(batches * BATCH * figures.iterations, rel=1e-4)
    assert figures.throughput.input_tokens_per_second == pytest.approx(
        figures.throughput.samples_per_second * INPUT_TOKENS, rel=1e-4
    )
    assert figures.throughput.output_tokens_per_second is None
    headless = kind is not AnalysisKind.GRADIENT_ANALYSIS
    assert report.environment.model_class == ("GPT2Model" if headless else "GPT2LMHeadModel")
    eager = kind is AnalysisKind.ATTENTION_VISUALIZATION
    assert report.environment.attention == ("eager" if eager else "sdpa")


def test_what_cannot_be_analysed_is_refused() -> None:
    report = run(order("resnet", AnalysisKind.ATTENTION_VISUALIZATION))
    assert report.failure is not None
    assert report.failure.reason.value == "InvalidOrder" and "no attention" in report.failure.message
