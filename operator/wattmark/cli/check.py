"""`wattmark check`: the operator's own answer to ModelChecks, for nodes of a file, a cluster or the command line."""

import argparse
import sys
import time

from wattmark import preflight
from wattmark.api.conditions import ConditionStatus, ConditionType
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.cli import current, table
from wattmark.cli.manifest import documents, one, printed, shown
from wattmark.cli.question import Question, assumed, questions
from wattmark.decide import check as answering
from wattmark.decide.plan import Identity
from wattmark.decide.saying import said
from wattmark.fleet.nodes import SeenGpuPod, SeenNode, read_gpu_pod, read_node
from wattmark.identity import MODEL_CHECK

_EXIT = {ConditionStatus.TRUE: 0, ConditionStatus.FALSE: 1, ConditionStatus.UNKNOWN: 3}
_WORST_FIRST = (1, 3, 0)


def check(chosen: argparse.Namespace) -> int:
    """Answer what is asked and print it; the exit code. Raises InvalidManifest and ClusterUnread."""
    asked = questions(chosen) if chosen.file is None else [Question(*one(chosen.file, MODEL_CHECK, ModelCheckSpec))]
    fleet = preflight.fleet(*_nodes(chosen), assumed(chosen.gpu))
    now = time.time()
    answers = [(question, _answered(question, fleet, now)) for question in asked]
    if chosen.output == "table":
        table.show(answers, sys.stdout)
    else:
        specs = [question.spec if chosen.file is None else None for question in asked]
        found = [shown(MODEL_CHECK, q.name, status, spec) for (q, status), spec in zip(answers, specs, strict=True)]
        print(printed(found, chosen.output))
    codes = {_EXIT[said(status.conditions)[ConditionType.FITS].status] for _, status in answers}
    return next(code for code in _WORST_FIRST if code in codes)


def _nodes(chosen: argparse.Namespace) -> tuple[list[SeenNode], list[SeenGpuPod] | None]:
    """The nodes to compare with, and what is taken of their GPUs; None where that is not known."""
    if chosen.nodes is not None:
        pods = None if chosen.pods is None else [d for d in documents(chosen.pods) if d.get("kind") == "Pod"]
        taken = None if pods is None else [pod for d in pods if (pod := read_gpu_pod(d)) is not None]
        return [read_node(d) for d in documents(chosen.nodes) if d.get("kind") == "Node"], taken
    if chosen.gpu and chosen.context is None:
        return [], []
    return current.nodes_of(chosen.context), current.gpu_pods_of(chosen.context)


def _answered(question: Question, fleet: preflight.Fleet, now: float) -> ModelCheckStatus:
    model = question.spec.model
    if preflight.wanted_of_hub(model) is not None:
        why = f'"{model.id}" is not in the registry, and no hub is asked from here (--config takes its config.json)'
        facts = preflight.facts(model, why)
    else:
        facts = preflight.facts(model, None)
    answer = preflight.for_check(question.spec, facts, fleet)
    identity = Identity("local", question.name, "local", 1, 0.0, False)
    return answering.decide(identity, question.spec, ModelCheckStatus(), answer, now)
