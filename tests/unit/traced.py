"""Builders: an ordinary ModelCheck that is traced, and all that can be seen of that."""

import json
from dataclasses import replace
from typing import Any

from tests.unit.seen import GIB, IDENTITY, JOB, POD, RUN, RUNNING_POD, THE_JOB, THE_POD, ended

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.benchmarkjob import JobReference
from wattmark.api.conditions import Reason
from wattmark.api.modelcheck import ModelCheckSpec, TraceFailure, TraceStatus
from wattmark.api.trace import Trace
from wattmark.decide.tracing import SeenTrace
from wattmark.estimate.simulation.replay import Fullest
from wattmark.estimate.traced import KINDS, memory
from wattmark.manifests import question
from wattmark.models import architecture, lookup
from wattmark.models.resolve import resolve

SPEC = ModelCheckSpec.read({"model": {"id": "gpt2"}, "method": "Traced"})
QUESTION = question(SPEC)
KNOWN = lookup("gpt2")
assert KNOWN is not None
FULLEST = (
    Fullest(Phase.LOAD, {ComponentName.WEIGHTS: GIB}, 2 * GIB),
    Fullest(Phase.PREFILL, {ComponentName.WEIGHTS: GIB, ComponentName.ACTIVATIONS: 4 * GIB}, 7 * GIB),
)
TRACE = Trace(
    resolved=resolve(architecture(KNOWN.config), SPEC.workload, SPEC.runtime, 1),
    parameter_count=124_439_808,
    convolutional=False,
    memory=[memory(kind, FULLEST, 6 * GIB) for kind in KINDS],
)
REFERENCE = JobReference(name="bert-trace", uid=JOB)
UNDER_WAY = TraceStatus(question_digest=QUESTION, job=REFERENCE)
DONE = UNDER_WAY.model_copy(update={"result": TRACE})
FAILED = UNDER_WAY.model_copy(update={"failure": TraceFailure(reason=Reason.EVICTED, message="gone")})

TRACE_JOB = replace(THE_JOB, name="bert-trace", owner_kind="ModelCheck", question=QUESTION)
TRACE_POD = replace(THE_POD, name="bert-trace-abcde", of_kind="ModelCheck")
TRACING_POD = replace(TRACE_POD, node="node-1", phase="Running", running_since=RUNNING_POD.running_since)
SEEN = SeenTrace(IDENTITY, SPEC, QUESTION, "{}", None, None)


def report(**changes: Any) -> str:
    """The termination message of a trace; `changes` replace fields, and None removes one."""
    told = {"schemaVersion": 1, "runUid": RUN, "podUid": POD, "question": QUESTION, "trace": TRACE.wire(), **changes}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def traced(message: str | None = None) -> Any:
    """A Pod that traced to its end."""
    told = report() if message is None else message
    return replace(TRACING_POD, phase="Succeeded", running_since=None, ended=ended(0, told))


def failing(code: int, message: str = "", reason: str = "", **changes: Any) -> Any:
    """A Pod that failed with an exit code."""
    pod = replace(TRACING_POD, phase="Failed", running_since=None, ended=ended(code, message, reason))
    return replace(pod, **changes)
