"""What Wattmark says of a run, by the path that a ModelCheck takes, on the GPU of the run."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from tests.accuracy.data import Component, Point

from wattmark import model_facts
from wattmark.api.answers import BytesEstimate, Need
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.estimate import Gpu, Question, Unknown, exceedance, need, phases
from wattmark.models import Architecture
from wattmark.models.resolve import Impossible, resolve


def predicted(point: Point) -> Need | str:
    """The need, or why there is none."""
    return _need(json.dumps(point.spec), point.capability)


def estimate(found: Need, definition: str) -> BytesEstimate | None:
    """The figure of this definition; None for a definition that the API does not have."""
    return getattr(found, f"{definition}_bytes", None)


def out_of_memory(point: Point, found: Need) -> float | None:
    """Probability that the run's GPU is too small; None where the memory of either side is not known."""
    if found.required_bytes is None or point.memory_bytes is None:
        return None
    return exceedance(found.required_bytes, point.memory_bytes)


def question(point: Point) -> Question | str:
    """What the point's run asks, or why that cannot be read."""
    return _question(point.spec)


def part(component: Component) -> int | str:
    """Likely bytes of the component's parts, or why there are none."""
    more = _parts(component, component.more)
    less = _parts(component, component.less) if component.less is not None else 0
    return next((size for size in (more, less) if isinstance(size, str)), None) or int(more) - int(less)


@cache
def _need(spec: str, capability: tuple[int, int] | None) -> Need | str:
    question = _question(json.loads(spec))
    if isinstance(question, str):
        return question
    found = need(question.architecture, question.resolved, question.weights, Gpu(capability))
    return found.reason if isinstance(found, Unknown) else found


def _question(raw: Mapping[str, Any]) -> Question | str:
    try:
        spec = ModelCheckSpec.read(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(key) for key in first["loc"])
        return f"spec.{field}: " + ("no such field" if first["type"] == "extra_forbidden" else first["msg"])
    facts = model_facts.facts(spec.model, None)
    if isinstance(facts, model_facts.Refusal):
        return facts.message
    if not isinstance(facts.architecture, Architecture):
        return facts.architecture
    resolved = resolve(facts.architecture, spec.workload, spec.runtime, spec.resources.gpus_per_node, spec.parallelism)
    if isinstance(resolved, Impossible):
        return resolved.message
    return Question(facts.architecture, resolved, spec.model.weights, on_gpu=True)


def _parts(component: Component, spec: Mapping[str, Any]) -> int | str:
    question = _question(spec)
    if isinstance(question, str):
        return question
    every = phases(question)
    if isinstance(every, Unknown):
        return every.reason
    phase = next(phase for phase in every if phase.phase == component.phase)
    return sum(part.size.likely for part in phase.parts if part.name in component.of)
