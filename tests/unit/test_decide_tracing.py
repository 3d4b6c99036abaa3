"""What is done about a ModelCheck's trace: nothing is traced twice, nothing of another counts, every end is told."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import CREATED, JOB, OTHER_POD, OTHER_RUN, RUNNER
from tests.unit.traced import (
    DONE,
    FAILED,
    QUESTION,
    SEEN,
    SPEC,
    TRACE,
    TRACE_JOB,
    TRACE_POD,
    TRACING_POD,
    UNDER_WAY,
    failing,
    report,
    traced,
)

from wattmark.api.conditions import Reason
from wattmark.api.report import EXIT_CODES, RunFailure
from wattmark.decide.plan import Announcement, CreateJob, CreationFailure, DeleteJob, ExpireJob, NotCreated
from wattmark.decide.tracing import TTL_SECONDS, SeenTrace, Tracing, open_with, trace, untraced

DELETE, EXPIRE = DeleteJob("bert-trace", JOB), ExpireJob("bert-trace", JOB, TTL_SECONDS)
WITH_JOB = replace(SEEN, job=TRACE_JOB)
STRANGER = replace(TRACE_JOB, owner_kind="", owner_name="", owner_uid="")
OLDER = replace(TRACE_JOB, owner_uid="earlier-uid")
OTHER_QUESTION = replace(TRACE_JOB, question="other")


def step(seen: SeenTrace, seconds: float = 5.0) -> Tracing:
    return trace(seen, CREATED + seconds, RUNNER)


def does(found: Tracing) -> list[str]:
    return [type(action).__name__ for action in found.actions]


def missed(why: CreationFailure, message: str = "why", at: float = 0.0) -> SeenTrace:
    return replace(SEEN, not_created=NotCreated(why, message), tried=CREATED + at)


STANDING: list[Any] = [
    pytest.param(SEEN, Reason.TRACING, ["CreateJob"], id="nothing is there: a Job is created"),
    pytest.param(replace(SEEN, stored=FAILED), Reason.TRACING, ["CreateJob"], id="a failed trace's Job was deleted"),
    pytest.param(
        replace(SEEN, stored=DONE.model_copy(update={"question_digest": "other"})),
        Reason.TRACING,
        ["CreateJob"],
        id="what was found answers another question",
    ),
    pytest.param(
        replace(SEEN, stored=DONE.model_copy(update={"result": TRACE.model_copy(update={"memory": TRACE.memory[:1]})})),
        Reason.TRACING,
        ["CreateJob"],
        id="what another release found lacks a kind of GPU",
    ),
    pytest.param(WITH_JOB, Reason.TRACING, [], id="the Job is there, its Pod follows"),
    pytest.param(replace(WITH_JOB, pods=(TRACE_POD,)), Reason.TRACING, [], id="its Pod is young"),
    pytest.param(replace(WITH_JOB, pods=(TRACING_POD,)), Reason.TRACING, [], id="its Pod runs"),
    pytest.param(
        replace(WITH_JOB, pods=(replace(failing(1), phase="Running"),)),
        Reason.TRACING,
        [],
        id="its container failed, before its Pod",
    ),
    pytest.param(
        replace(WITH_JOB, pods=(replace(TRACE_POD, unschedulable="0/1 nodes"),)),
        Reason.UNSCHEDULABLE,
        [],
        id="no node takes its Pod",
    ),
    pytest.param(
        replace(WITH_JOB, pods=(replace(TRACE_POD, node="n", waiting_reason="ErrImagePull"),)),
        Reason.IMAGE_NOT_PULLED,
        [],
        id="its image cannot be pulled",
    ),
    pytest.param(
        replace(WITH_JOB, pods=(replace(TRACE_POD, node="n"),), stuck="no volume"),
        Reason.CONTAINER_CANNOT_START,
        [],
        id="its volume is not there",
    ),
    pytest.param(
        replace(WITH_JOB, refusal="exceeded quota: cpu"), Reason.QUOTA_EXCEEDED, [], id="a quota refuses its Pod"
    ),
    pytest.param(
        replace(WITH_JOB, job=replace(TRACE_JOB, suspended=True)), Reason.SUSPENDED, [], id="a queue holds the Job"
    ),
    pytest.param(
        replace(WITH_JOB, pods=(failing(143),)), Reason.RETRYING, [], id="the cluster ended an attempt, another follows"
    ),
    pytest.param(
        replace(WITH_JOB, pods=(replace(TRACING_POD, owner_uid="other"),)),
        Reason.TRACING,
        [],
        id="the Pod of another Job says nothing",
    ),
    pytest.param(
        replace(WITH_JOB, job=OTHER_QUESTION), Reason.WAITING_FOR_OLD_RUN, ["DeleteJob"], id="a changed question"
    ),
    pytest.param(
        replace(WITH_JOB, job=replace(OTHER_QUESTION, deleting=True)),
        Reason.WAITING_FOR_OLD_RUN,
        [],
        id="a changed question, whose Job goes",
    ),
    pytest.param(
        replace(WITH_JOB, stored=FAILED, job=replace(TRACE_JOB, deleting=True)),
        Reason.WAITING_FOR_OLD_RUN,
        [],
        id="a failed trace's Job is being deleted",
    ),
    pytest.param(replace(SEEN, job=OLDER), Reason.WAITING_FOR_OLD_RUN, [], id="the Job of an earlier namesake"),
    pytest.param(
        missed(CreationFailure.OLDER), Reason.WAITING_FOR_OLD_RUN, ["CreateJob"], id="which stood in the way before"
    ),
    pytest.param(
        missed(CreationFailure.REFUSED, "exceeded quota: jobs", at=4),
        Reason.QUOTA_EXCEEDED,
        [],
        id="a refused Job is not tried at each look",
    ),
    pytest.param(
        missed(CreationFailure.REFUSED, "webhook says no", at=-6),
        Reason.JOB_REFUSED,
        ["CreateJob"],
        id="but again after a while",
    ),
    pytest.param(
        replace(WITH_JOB, job=replace(TRACE_JOB, succeeded=True), pods=(replace(TRACING_POD, running_since=None),)),
        Reason.TRACING,
        [],
        id="the watch of Pods is behind that of Jobs",
    ),
]


@pytest.mark.parametrize(("seen", "reason", "actions"), STANDING)
def test_where_it_stands(seen: SeenTrace, reason: Reason, actions: list[str]) -> None:
    found = step(seen)
    assert found.standing is not None and found.failure is None
    assert found.standing.reason is reason
    assert does(found) == actions
    assert found.stored is None or found.stored.result is None


FAILURES = [
    pytest.param((failing(137, reason="OOMKilled"),), {}, Reason.HOST_OUT_OF_MEMORY, "spec.resources.memory", id="oom"),
    pytest.param((failing(1),), {}, Reason.NO_REPORT, "kubectl logs", id="no report"),
    pytest.param((traced("ok"),), {}, Reason.REPORT_MALFORMED, "not JSON", id="malformed"),
    pytest.param((traced("x" * 5000),), {}, Reason.REPORT_TOO_LARGE, "4096", id="too large"),
    pytest.param(
        (traced(report(question="other")),), {}, Reason.REPORT_OF_ANOTHER_RUN, "another", id="of another question"
    ),
    pytest.param(
        (traced(report(runUid=OTHER_RUN)),), {}, Reason.REPORT_OF_ANOTHER_RUN, "another", id="of another object"
    ),
    pytest.param((traced(report(podUid=OTHER_POD)),), {}, Reason.REPORT_OF_ANOTHER_RUN, "another", id="of another Pod"),
    pytest.param(
        (), {"failed_reason": "DeadlineExceeded"}, Reason.PENDING_DEADLINE_EXCEEDED, "bert-trace", id="deadline"
    ),
    pytest.param((), {"succeeded": True}, Reason.REPORT_LOST, "delete Job bert-trace", id="its Pod is gone"),
    pytest.param((), {"failed_reason": "PodFailurePolicy"}, Reason.REPORT_LOST, "delete Job", id="a failed one's, too"),
    pytest.param(
        (failing(143),), {"failed_reason": "BackoffLimitExceeded"}, Reason.EVICTED, "every attempt", id="evicted"
    ),
    *(
        pytest.param(
            (failing(code, report(trace=None, failure={"reason": why.value, "message": "do this"})),),
            {},
            Reason(why.value),
            "do this",
            id=f"told by the runner: {why.value}",
        )
        for why, code in EXIT_CODES.items()
        if why not in (RunFailure.DEVICE_UNAVAILABLE, RunFailure.DEVICE_OUT_OF_MEMORY)
    ),
]


@pytest.mark.parametrize(("pods", "job", "reason", "words"), FAILURES)
def test_a_failure_is_typed_kept_and_not_tried_again(pods: Any, job: Any, reason: Reason, words: str) -> None:
    seen = replace(WITH_JOB, pods=pods, job=replace(TRACE_JOB, **job))
    found = step(seen)
    assert found.failure is not None and found.failure.reason is reason
    assert words in found.failure.message
    assert found.stored is not None and found.stored.failure is not None and found.actions == ()
    assert found.announcement == Announcement(True, reason, found.failure.message)
    # The Pod may be gone by then: the failure stays as it was told
    later = step(replace(seen, stored=found.stored, pods=()), 900.0)
    assert (later.failure, later.stored, later.actions, later.announcement) == (found.failure, found.stored, (), None)
    assert not open_with(replace(seen, stored=found.stored), seen.job or TRACE_JOB)


CONFLICTS = [
    pytest.param(replace(SEEN, job=STRANGER), id="a Job that is seen"),
    pytest.param(missed(CreationFailure.STRANGER), id="a Job that no watch tells of"),
]


@pytest.mark.parametrize("seen", CONFLICTS)
def test_a_strangers_job_is_told_and_left_alone(seen: SeenTrace) -> None:
    found = step(seen)
    assert found.failure is not None and found.failure.reason is Reason.NAME_CONFLICT
    assert found.stored is None and found.actions == () and found.look_again_seconds is not None
    assert untraced(SEEN.identity, STRANGER) == ()


def test_a_job_that_the_api_server_finds_invalid_is_not_tried_again() -> None:
    found = step(missed(CreationFailure.INVALID), 9000.0)
    assert found.failure is not None and found.failure.reason is Reason.JOB_REFUSED
    assert found.actions == () and found.look_again_seconds is None


@pytest.mark.parametrize("pod", [traced(), replace(traced(), phase="Running")])
def test_what_was_found_is_kept_and_the_job_goes_later(pod: Any) -> None:
    found = step(replace(WITH_JOB, pods=(pod,)))
    assert found.stored == DONE
    assert (found.standing, found.failure, found.actions) == (None, None, (EXPIRE,))
    assert found.announcement is not None and found.announcement.reason is Reason.EVALUATED


@pytest.mark.parametrize(
    ("job", "actions"),
    [
        pytest.param(None, (), id="its Job is gone"),
        pytest.param(TRACE_JOB, (EXPIRE,), id="killed before the Job was given its time to live"),
        pytest.param(replace(TRACE_JOB, ttl=TTL_SECONDS), (), id="all is done"),
        pytest.param(replace(OTHER_QUESTION, uid="b"), (DeleteJob("bert-trace", "b"),), id="a Job of a question since"),
        pytest.param(STRANGER, (), id="a stranger's Job since"),
    ],
)
def test_what_is_known_is_not_traced_again(job: Any, actions: Any) -> None:
    found = step(replace(SEEN, stored=DONE, job=job), 10_000.0)
    assert (found.stored, found.standing, found.failure, found.actions) == (DONE, None, None, actions)
    assert found.announcement is None


@pytest.mark.parametrize(
    ("job", "actions"),
    [
        pytest.param(TRACE_JOB, (DELETE,), id="that of an earlier question is ended"),
        pytest.param(replace(TRACE_JOB, deleting=True), (), id="once"),
        pytest.param(OLDER, (), id="a namesake's is left alone"),
        pytest.param(None, (), id="there is none"),
    ],
)
def test_a_question_without_a_trace_has_no_job(job: Any, actions: Any) -> None:
    assert untraced(SEEN.identity, job) == actions


def test_the_job_that_is_created_asks_this_question() -> None:
    (creation,) = step(SEEN).actions
    assert isinstance(creation, CreateJob)
    assert creation.manifest["metadata"]["labels"]["wattmark.dev/question"] == QUESTION
    assert SPEC.method.value == "Traced" and step(WITH_JOB).stored == UNDER_WAY


def test_troubles_that_only_events_tell_are_asked_for_again() -> None:
    assert step(WITH_JOB, 2.0).look_again_seconds == 2.0
    assert step(WITH_JOB, 60.0).look_again_seconds == 10.0
    assert step(replace(WITH_JOB, pods=(TRACING_POD,)), 60.0).look_again_seconds is None
