"""`wattmark check`: the operator's own answer to ModelChecks, for nodes of a file, a cluster or the command line."""

import argparse
import sys
import time
from typing import Any

from wattmark import model_facts, preflight
from wattmark.api.answers import Verdict
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus, Require
from wattmark.api.schema import API_VERSION
from wattmark.cli import current, matrix, table
from wattmark.cli.hub_here import facts_here
from wattmark.cli.manifest import every, of_kind, printed, shown
from wattmark.cli.question import Question, assumed, questions
from wattmark.cli.runs import HERE, runs_in
from wattmark.cli.trace import traced_here
from wattmark.decide import check as answering
from wattmark.decide.plan import Identity
from wattmark.decide.saying import said
from wattmark.evidence import Experience
from wattmark.fleet.nodes import read_gpu_pod, read_node
from wattmark.fleet.slices import read_slice
from wattmark.identity import BENCHMARK_JOB, MODEL_CHECK

_EXIT = {ConditionStatus.TRUE: 0, ConditionStatus.FALSE: 1, ConditionStatus.UNKNOWN: 3}
_TIGHT = 5
_WORST_FIRST = (2, 1, 3, _TIGHT, 0)
# What no GPU would change: the question itself is to be corrected.
_IMPOSSIBLE = frozenset(reason for reason in Reason if reason.name.startswith("IMPOSSIBLE_"))
SLICE, DRA = "ResourceSlice", "resource.k8s.io/v1"


def check(chosen: argparse.Namespace) -> int:
    """Answer what is asked and print it; the exit code. Raises InvalidManifest and ClusterUnread."""
    if chosen.file is None:
        asked = questions(chosen)
    else:
        asked = [Question(*read) for read in every(chosen.file, MODEL_CHECK, ModelCheckSpec)]
    fleet = _fleet(chosen)
    experience = Experience(runs_in(_benchmarks(chosen)))
    now = time.time()
    answers = [(question, _answered(question, fleet, experience, now)) for question in asked]
    if chosen.output == "table":
        if len(answers) == 1:
            table.show(*answers[0], sys.stdout)
        else:
            matrix.show(answers, sys.stdout)
    else:
        found = [shown(MODEL_CHECK, question.name, status, question.spec) for question, status in answers]
        print(printed(found, chosen.output))
    codes = {_code(question.spec, status) for question, status in answers}
    return next(code for code in _WORST_FIRST if code in codes)


def _code(spec: ModelCheckSpec, status: ModelCheckStatus) -> int:
    """What one answer comes to: by spec.require where it asks for one, else by the condition Fits."""
    conditions = said(status.conditions)
    fits = conditions[ConditionType.FITS]
    if fits.reason in _IMPOSSIBLE:
        return 2
    if spec.require is Require.NONE:
        return _TIGHT if fits.reason is Reason.FITS_TIGHT else _EXIT[fits.status]
    if conditions[ConditionType.READY].status is ConditionStatus.TRUE:
        return 0
    known = status.node_types and all(answer.verdict is not Verdict.UNKNOWN for answer in status.node_types)
    return 1 if known else 3


def _fleet(chosen: argparse.Namespace) -> preflight.Fleet:
    """The nodes to compare with, and what is taken of their GPUs, where that is known."""
    more = assumed(chosen.gpu)
    if chosen.nodes is not None:
        nodes = [read_node(body) for body in of_kind(chosen.nodes, "Node")]
        pods = None if chosen.pods is None else map(read_gpu_pod, of_kind(chosen.pods, "Pod"))
        slices = () if chosen.resource_slices is None else map(read_slice, of_kind(chosen.resource_slices, SLICE, DRA))
        return preflight.fleet(nodes, None if pods is None else [*filter(None, pods)], more, filter(None, slices))
    if _without_cluster(chosen):
        return preflight.fleet((), (), more)
    nodes, taken = current.nodes_of(chosen.context), current.gpu_pods_of(chosen.context)
    return preflight.fleet(nodes, taken, more, current.slices_of(chosen.context))


def _without_cluster(chosen: argparse.Namespace) -> bool:
    return chosen.nodes is not None or (bool(chosen.gpu) and chosen.context is None)


def _benchmarks(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """BenchmarkJobs whose runs may speak: of a file, else of the cluster whose nodes are asked for."""
    if chosen.runs is not None:
        return of_kind(chosen.runs, BENCHMARK_JOB, API_VERSION)
    return [] if _without_cluster(chosen) else current.benchmarks_of(chosen.context)


def _answered(question: Question, fleet: preflight.Fleet, experience: Experience, now: float) -> ModelCheckStatus:
    facts = facts_here(question.spec.model)
    found = None
    if isinstance(facts, model_facts.Facts) and preflight.needs_trace(question.spec, facts):
        answered = traced_here(question.name, question.spec)
        facts, found = (answered, None) if isinstance(answered, model_facts.Refusal) else (facts, answered)
    answer = preflight.for_check(question.spec, facts, fleet, found, experience)
    identity = Identity(HERE, question.name, HERE, 1, 0.0, False)
    return answering.decide(identity, question.spec, ModelCheckStatus(), answer, now)
