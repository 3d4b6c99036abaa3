"""What is read from Jobs, Pods and Events, and that nothing in them can raise."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.seen import JOB, OTHER_RUN, RUN, RUNNING_POD, THE_JOB, THE_POD, at, ended

from wattmark import observe
from wattmark.observe import NO_POD, SeenJob, SeenPod, clean, epoch, latest_trouble, quantity

OWNER = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "BenchmarkJob", "name": "bert", "uid": RUN, "controller": True}
Body = dict[str, Any]


def job(*conditions: str, spec: Body | None = None, status: Body | None = None, **metadata: Any) -> Body:
    told = [{"type": name, "status": "True", "reason": f"{name}Reason", "message": "words"} for name in conditions]
    return {
        "metadata": {
            "namespace": "team",
            "name": "bert-run",
            "uid": JOB,
            "creationTimestamp": at(0),
            "ownerReferences": [{"kind": "Other", "uid": OTHER_RUN}, OWNER],
            **metadata,
        },
        "spec": spec or {},
        "status": {"active": 1, "conditions": told, **(status or {})},
    }


FAILED = {"failed_reason": "FailedReason", "failed_message": "words", "finished": True}
JOBS = [
    pytest.param(job(), {}, id="a Job that runs"),
    pytest.param(job(spec={"suspend": True}), {"suspended": True}, id="suspended"),
    pytest.param(job(spec={"ttlSecondsAfterFinished": 0}), {"ttl": 0}, id="a time to live of nothing"),
    pytest.param(job(deletionTimestamp=at(9)), {"deleting": True}, id="being deleted"),
    pytest.param(job("SuccessCriteriaMet"), {"succeeded": True}, id="success, before its Pods are tidied up"),
    pytest.param(job("SuccessCriteriaMet", "Complete"), {"succeeded": True, "finished": True}, id="complete"),
    pytest.param(
        job("FailureTarget"), FAILED | {"failed_reason": "FailureTargetReason", "finished": False}, id="failing"
    ),
    pytest.param(job("Failed"), FAILED, id="failed"),
    pytest.param(
        job(status={"conditions": [{"type": "Failed", "status": "False"}]}), {}, id="a condition that is False"
    ),
    pytest.param(
        job(ownerReferences=[{**OWNER, "controller": False}]),
        {"owner_kind": "", "owner_name": "", "owner_uid": ""},
        id="an owner that does not control",
    ),
]


@pytest.mark.parametrize(("body", "changed"), JOBS)
def test_job(body: Body, changed: dict[str, Any]) -> None:
    assert observe.job(body) == replace(THE_JOB, **changed)


def pod(state: Body | None = None, name: str = "runner", **status: Any) -> Body:
    return {
        "metadata": {
            "namespace": "team",
            "name": "bert-run-abcde",
            "uid": THE_POD.uid,
            "creationTimestamp": at(1),
            "labels": {"wattmark.dev/kind": "BenchmarkJob", "wattmark.dev/name": "bert"},
            "ownerReferences": [{"kind": "Job", "uid": JOB, "controller": True}],
        },
        "spec": {"nodeName": "node-1"} if state else {},
        "status": {
            "phase": "Pending",
            **({"containerStatuses": [{"name": name, "state": state}]} if state else {}),
            **status,
        },
    }


ON_NODE = replace(THE_POD, node="node-1")
TERMINATED = {"exitCode": 0, "reason": "Completed", "message": "{}", "startedAt": at(5), "finishedAt": at(305)}
SIDECAR = {"name": "a-proxy", "state": {"terminated": {"exitCode": 9}}, "imageID": "proxy@sha256:def"}
NO_NODE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes\nare free"}]
GATED = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "gated"}]
EVICTED = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]

PODS = [
    pytest.param(pod(), THE_POD, id="a Pod that nobody has looked at"),
    pytest.param(pod(conditions=NO_NODE), replace(THE_POD, unschedulable="0/1 nodes are free"), id="one line of words"),
    pytest.param(pod(conditions=GATED), THE_POD, id="a gate is not the scheduler's refusal"),
    pytest.param(
        pod({"waiting": {"reason": "ErrImagePull", "message": "no such image"}}),
        replace(ON_NODE, waiting_reason="ErrImagePull", waiting_message="no such image"),
        id="its container waits",
    ),
    pytest.param(pod({"running": {"startedAt": at(5)}}, phase="Running"), RUNNING_POD, id="its container runs"),
    pytest.param(
        pod({"terminated": TERMINATED}, phase="Succeeded"),
        replace(ON_NODE, phase="Succeeded", ended=ended(0, "{}")),
        id="its container ended",
    ),
    pytest.param(
        pod(phase="Failed", reason="Evicted", message="low on memory", conditions=EVICTED),
        replace(THE_POD, phase="Failed", reason="Evicted", message="low on memory", disruption="EvictionByEvictionAPI"),
        id="evicted",
    ),
    pytest.param(
        pod(
            containerStatuses=[
                SIDECAR,
                {"name": "runner", "state": {"running": {"startedAt": at(5)}}, "imageID": "runner@sha256:abc"},
            ]
        ),
        replace(THE_POD, running_since=RUNNING_POD.running_since, image_id="runner@sha256:abc"),
        id="a container that was injected is not ours, though it come first",
    ),
    pytest.param(pod(containerStatuses=[SIDECAR]), THE_POD, id="nor is it when ours is not there yet"),
]


@pytest.mark.parametrize(("body", "seen"), PODS)
def test_pod(body: Body, seen: SeenPod) -> None:
    assert observe.pod(body) == seen


def test_the_report_is_kept_as_it_came() -> None:
    message = '{"a":\n"\u202e\x1b"}'
    seen = observe.pod(pod({"terminated": {**TERMINATED, "message": message}}))
    assert seen.ended is not None and seen.ended.message == message


EVENTS = [
    pytest.param([], "", id="no Events"),
    pytest.param([{"reason": "SuccessfulCreate", "message": "Created pod"}], "", id="no refusal"),
    pytest.param(
        [
            {"reason": "FailedCreate", "message": "old", "lastTimestamp": at(1)},
            {"reason": "FailedCreate", "message": "new", "series": {"lastObservedTime": at(9)}},
            {"reason": "FailedCreate", "message": "first", "eventTime": at(0)},
        ],
        "new",
        id="the newest, however it is dated",
    ),
    pytest.param([{"reason": "FailedCreate", "message": "undated"}], "undated", id="one without a date"),
]


@pytest.mark.parametrize(("events", "message"), EVENTS)
def test_latest_trouble(events: list[Body], message: str) -> None:
    assert latest_trouble(events, NO_POD, 0.0) == message


TIMES = [
    ("2027-01-15T08:00:00Z", 1_800_000_000.0),
    ("2027-01-15T08:00:00.5Z", 1_800_000_000.5),
    ("2027-01-15T09:00:00+01:00", 1_800_000_000.0),
    ("yesterday", None),
    ("", None),
    (None, None),
    (1_800_000_000, None),
    ("0001-01-01T00:00:00", None),
]


@pytest.mark.parametrize(("value", "seconds"), TIMES)
def test_epoch(value: object, seconds: float | None) -> None:
    assert epoch(value) == seconds


@given(st.text(), st.integers(1, 50))
def test_clean_text_is_one_bounded_line_that_cannot_turn_or_colour_others(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    assert not any(
        ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u061c\u200e\u200f\u202a\u202e\u2066\u2069" for c in shown
    )


NAMES = [
    "metadata", "spec", "status", "namespace", "name", "uid", "ownerReferences", "controller", "conditions", "type",
    "reason", "message", "containerStatuses", "state", "terminated", "waiting", "running", "exitCode", "startedAt",
    "creationTimestamp", "labels", "phase", "active", "suspend", "series", "lastTimestamp", "eventTime",
]  # fmt: skip
VALUES = st.sampled_from(["True", "False", "runner", "Failed", "PodScheduled", "FailedCreate", "2027-01-15T08:00:00Z"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=30,
)
BODIES = st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ODD)
READERS: list[Callable[[Body], SeenJob | SeenPod]] = [observe.job, observe.pod]


@pytest.mark.parametrize("read", READERS, ids=["job", "pod"])
@given(body=BODIES)
def test_no_body_raises(read: Callable[[Body], SeenJob | SeenPod], body: Body) -> None:
    assert hash(read(body)) is not None  # every field is a plain value, whatever stood in its place


@given(ODD)
def test_no_event_raises(events: Any) -> None:
    assert isinstance(latest_trouble(observe.items(events), NO_POD, 0.0), str)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("16Gi", 16 << 30), ("500m", 0.5), ("2k", 2000), ("1Ki", 1024), ("1.5G", 1.5e9), ("3e2", 300), ("1E", 1e18),
        (7, 7), ("", None), ("ki", None), ("1ki", None), ("-1", None), (None, None), (True, None), ([], None),
    ],
)  # fmt: skip
def test_quantities(value: object, number: float | None) -> None:
    assert quantity(value) == number
