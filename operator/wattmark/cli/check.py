"""`wattmark check`: the answer to a ModelCheck for nodes that are given as a file."""

import time
from pathlib import Path

from wattmark import preflight
from wattmark.api.conditions import ConditionStatus, ConditionType
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.cli.manifest import documents, one, printed
from wattmark.decide import check as answering
from wattmark.decide.plan import Identity
from wattmark.decide.saying import said
from wattmark.identity import MODEL_CHECK
from wattmark.nodes import read_gpu_pod, read_node

_EXIT = {ConditionStatus.TRUE: 0, ConditionStatus.FALSE: 1, ConditionStatus.UNKNOWN: 3}


def check(file: Path, nodes: Path, pods: Path | None, form: str) -> int:
    """Answer the file's ModelCheck and print its status; the exit code. Raises InvalidManifest."""
    name, spec = one(file, MODEL_CHECK, ModelCheckSpec)
    seen = [read_node(d) for d in documents(nodes) if d.get("kind") == "Node"]
    taken = None
    if pods is not None:
        taken = [pod for d in documents(pods) if d.get("kind") == "Pod" and (pod := read_gpu_pod(d)) is not None]
    if preflight.wanted_of_hub(spec.model) is not None:
        facts = preflight.facts(spec.model, f'"{spec.model.id}" is not in the registry, and no hub is asked from here')
    else:
        facts = preflight.facts(spec.model, None)
    answer = preflight.for_check(spec, facts, preflight.fleet(seen, taken))
    identity = Identity("local", name, "local", 1, 0.0, False)
    status = answering.decide(identity, spec, ModelCheckStatus(), answer, time.time())
    print(printed(MODEL_CHECK, name, status, form))
    return _EXIT[said(status.conditions)[ConditionType.FITS].status]
