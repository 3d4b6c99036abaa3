"""Finished BenchmarkJobs, of a file or a cluster, as what the operator learns from them."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from wattmark import evidence, model_facts
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.evidence import Run
from wattmark.identity import BENCHMARK_JOB
from wattmark.models import Architecture
from wattmark.observe import mapping, text

HERE = "local"  # the one namespace of all that is asked from here: whoever gives runs may read their names


def runs_in(bodies: list[dict[str, Any]]) -> Iterator[Run]:
    """The runs that say something of other needs. What cannot be read says nothing, and no hub is asked for a model."""
    for body in bodies:
        if body.get("kind") != BENCHMARK_JOB:
            continue
        try:
            spec = BenchmarkJobSpec.read(body.get("spec") or {}, extra="ignore")
            status = BenchmarkJobStatus.read(body.get("status") or {}, extra="ignore")
        except ValidationError:
            continue
        if model_facts.wanted_of_hub(spec.model) is not None:
            continue
        facts = model_facts.facts(spec.model, None)
        if isinstance(facts, model_facts.Facts) and isinstance(facts.architecture, Architecture):
            name = text(mapping(body.get("metadata")).get("name"))
            run = evidence.read(HERE, name, spec, status, facts.architecture)
            if run is not None:
                yield run
