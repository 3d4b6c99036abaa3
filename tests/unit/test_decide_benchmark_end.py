"""What is done about a BenchmarkJob at its end and after it, and what holds at every step."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.seen import (
    DELETE,
    EVICTED,
    IDENTITY,
    JOB,
    NO,
    NO_IMAGE,
    OLDER,
    OTHER_POD,
    PENDING,
    PREFLIGHT,
    RECORDED,
    REPORT,
    RETRY,
    RUNNING,
    RUNNING_POD,
    SEEN,
    SILENT,
    STRANGER,
    SUSPENDED_JOB,
    THE_JOB,
    THE_POD,
    UNSCHEDULABLE,
    WITH_JOB,
    YES,
    at,
    condition,
    failed,
    failure,
    onward,
    says,
    spec,
    step,
    succeeded,
)

from wattmark.api.benchmarkjob import Attempt, BenchmarkJobStatus
from wattmark.api.conditions import ConditionType, Reason
from wattmark.decide.benchmark import finished
from wattmark.decide.plan import CreateJob, CreationFailure, ExpireJob, NotCreated, Plan, Seen
from wattmark.writing import changes

DEADLINE_143 = replace(failed(143), reason="DeadlineExceeded")
SUCCEEDED_JOB = replace(THE_JOB, succeeded=True)
GONE: dict[str, Any] = {
    "failed_reason": "BackoffLimitExceeded",
    "failed_message": "Job has reached the specified backoff limit",
}
POLICY: dict[str, Any] = {
    "failed_reason": "PodFailurePolicy",
    "failed_message": "Container runner failed with exit code 165",
}
ATTEMPT = Attempt(pod_name="bert-run-abcde", pod_uid="gone")

# Job, Pods -> the reason of the end, actions.
ENDS = [
    pytest.param(THE_JOB, (succeeded(),), Reason.MEASURED, (), id="figures, before the Job's controller has noticed"),
    pytest.param(
        replace(THE_JOB, deleting=True), (succeeded(),), Reason.MEASURED, (), id="figures of a Job being deleted"
    ),
    pytest.param(SUSPENDED_JOB, (succeeded(),), Reason.MEASURED, (), id="figures that came before the suspension"),
    pytest.param(
        THE_JOB,
        (EVICTED, replace(succeeded(), uid=OTHER_POD)),
        Reason.REPORT_OF_ANOTHER_RUN,
        (),
        id="a Pod's report is its own",
    ),
    pytest.param(THE_JOB, (succeeded("{}"),), Reason.REPORT_MALFORMED, (), id="a report that is not believed"),
    pytest.param(
        THE_JOB, (failed(165, failure("RunnerError")),), Reason.RUNNER_ERROR, (), id="the runner's own failure"
    ),
    pytest.param(THE_JOB, (failed(1), RETRY), Reason.NO_REPORT, (), id="a final end counts although another Pod runs"),
    pytest.param(
        THE_JOB,
        (DEADLINE_143,),
        Reason.RUNNING_DEADLINE_EXCEEDED,
        (DELETE,),
        id="the Pod's own deadline, which the Job would retry",
    ),
    pytest.param(SUCCEEDED_JOB, (), Reason.REPORT_LOST, (), id="success whose Pod is gone"),
    pytest.param(SUCCEEDED_JOB, (EVICTED,), Reason.REPORT_LOST, (), id="success of which only an earlier Pod is left"),
    pytest.param(replace(THE_JOB, **POLICY), (), Reason.REPORT_LOST, (), id="a final failure whose Pod is gone"),
    pytest.param(replace(THE_JOB, **GONE), (), Reason.REPORT_LOST, (), id="retries used up, and nothing known of any"),
    pytest.param(replace(THE_JOB, **GONE), (EVICTED,), Reason.EVICTED, (), id="retries used up"),
    pytest.param(
        replace(THE_JOB, **POLICY),
        (failed(137, deleting=True),),
        Reason.EVICTED,
        (),
        id="a Pod that was deleted and then killed, which its Job takes for an end of its own",
    ),
    pytest.param(
        replace(THE_JOB, **POLICY), (EVICTED,), Reason.REPORT_LOST, (), id="a retry that failed and whose Pod is gone"
    ),
]


@pytest.mark.parametrize(("job", "pods", "reason", "actions"), ENDS)
def test_the_end(job: Any, pods: Any, reason: Reason, actions: Any) -> None:
    plan = step(replace(WITH_JOB, job=job, pods=pods), 310)
    assert plan.status is not None
    assert finished(plan.status) is reason
    assert plan.actions == actions
    good = reason is Reason.MEASURED
    assert (plan.status.results is not None) == good
    assert says(plan, ConditionType.READY) == (YES if good else NO, reason)
    assert condition(ConditionType.RECONCILING, plan.status) is None
    assert (condition(ConditionType.STALLED, plan.status) is None) == good
    assert plan.announcement is not None and plan.announcement.warning == (not good)
    assert plan.status.progress is None and plan.status.job == RECORDED


def test_a_runner_that_fails_leaves_where_it_ran() -> None:
    told = {**json.loads(failure("DeviceOutOfMemory")), "environment": REPORT.wire()["environment"]}
    status = step(replace(WITH_JOB, pods=(failed(163, json.dumps(told)),)), 310).status
    assert status is not None and status.environment is not None and REPORT.environment is not None
    assert status.environment == REPORT.environment.model_copy(update={"node": "node-1"})
    assert status.results is None and status.comparability_key is None


def test_figures_come_whole_with_node_and_image() -> None:
    pod = replace(succeeded(), image_id="runner.invalid/runner@sha256:abc")
    plan = step(replace(WITH_JOB, pods=(pod,)), 310)
    status = plan.status
    assert status is not None and status.environment is not None
    assert status.results == REPORT.results and status.steadiness == REPORT.steadiness
    assert (status.environment.node, status.environment.image_id) == ("node-1", pod.image_id)
    assert status.completion_time == at(305)
    assert [a.outcome for a in status.attempts] == ["Succeeded"]
    assert says(plan, ConditionType.MEASUREMENT_VALID) == (YES, Reason.STEADY)
    assert says(plan, ConditionType.ENERGY_VALID) == (NO, Reason.ENERGY_UNAVAILABLE)
    assert status.gpu_seconds == 300.0


def test_retries_used_up_are_counted_also_when_their_pods_are_gone() -> None:
    seen = replace(WITH_JOB, job=replace(THE_JOB, **GONE), status=BenchmarkJobStatus(attempts=[ATTEMPT] * 1))
    plan = step(seen, 310)
    assert plan.announcement is not None
    assert plan.announcement.reason is Reason.EVICTED and "all 1 attempts" in plan.announcement.message


@pytest.mark.parametrize("job", [SUCCEEDED_JOB, replace(THE_JOB, **POLICY)], ids=["success", "failure"])
def test_nothing_is_lost_while_the_watch_of_pods_is_behind(job: Any) -> None:
    plan = step(replace(WITH_JOB, job=job, pods=(RUNNING_POD,)), 310)
    assert plan == Plan(look_again_seconds=1.0)


@pytest.mark.parametrize("seconds", [0, 600])
def test_the_job_gets_its_time_to_live_with_the_result(seconds: int) -> None:
    seen = replace(WITH_JOB, pods=(succeeded(),), spec=spec(ttlSecondsAfterFinished=seconds))
    assert step(seen, 310).actions == (ExpireJob("bert-run", JOB, seconds),)
    running = replace(seen, pods=(RUNNING_POD,))
    assert step(running, 310).actions == ()


MEASURED = onward(replace(WITH_JOB, pods=(succeeded(),)), 310)
FAILED_RUN = onward(replace(WITH_JOB, pods=(failed(1),)), 310)
LATE = onward(replace(WITH_JOB, spec=spec(**PENDING)), 100)
DONE_JOB = replace(SUCCEEDED_JOB, finished=True)
TTL = spec(ttlSecondsAfterFinished=60)

AFTER = [
    pytest.param(MEASURED, {}, (), id="a finished object costs nothing"),
    pytest.param(MEASURED, {"job": None, "pods": ()}, (), id="nor when its Job is gone; it does not run again"),
    pytest.param(MEASURED, {"job": STRANGER}, (), id="nor when a stranger takes the name"),
    pytest.param(
        MEASURED, {"pods": (failed(137, reason="OOMKilled"),)}, (), id="nor when the Pod is said to have failed later"
    ),
    pytest.param(MEASURED, {"spec": spec(suspend=True)}, (), id="nor when it is suspended afterwards"),
    pytest.param(MEASURED, {"spec": "unreadable"}, (), id="nor when its spec can no longer be read"),
    pytest.param(MEASURED, {"spec": TTL}, (ExpireJob("bert-run", JOB, 60),), id="a time to live is handed on"),
    pytest.param(MEASURED, {"spec": TTL, "job": replace(DONE_JOB, ttl=60)}, (), id="once"),
    pytest.param(MEASURED, {"spec": TTL, "job": STRANGER}, (), id="and to no stranger"),
    pytest.param(
        MEASURED, {"spec": TTL, "job": replace(DONE_JOB, uid="another")}, (), id="nor to a Job put in its place"
    ),
    pytest.param(FAILED_RUN, {}, (), id="a Job that fails by itself is left to its controller"),
    pytest.param(FAILED_RUN, {"pods": (failed(1), RETRY)}, (DELETE,), id="a Job that retries a failed run is stopped"),
    pytest.param(
        FAILED_RUN, {"pods": (replace(succeeded("ok"), phase="Running"),)}, (), id="a Pod that is about to end is let"
    ),
    pytest.param(
        FAILED_RUN, {"job": replace(THE_JOB, **POLICY), "pods": (RETRY,)}, (), id="a failing Job stops its own Pods"
    ),
    pytest.param(LATE, {}, (DELETE,), id="a Job past its deadline is deleted again if the first try was lost"),
    pytest.param(LATE, {"job": replace(THE_JOB, deleting=True)}, (), id="until it is on its way out"),
]


@pytest.mark.parametrize(("seen", "later", "actions"), AFTER)
def test_after_the_end(seen: Seen, later: dict[str, Any], actions: Any) -> None:
    plan = step(replace(seen, **later), 5000)
    assert plan == Plan(None, actions)


def test_an_edit_after_the_end_is_observed_and_nothing_else() -> None:
    edited = replace(MEASURED, identity=replace(IDENTITY, generation=2))
    plan = step(edited, 5000)
    assert plan.status is not None and plan.status.observed_generation == 2
    written = changes(MEASURED.status.wire(), plan.status.wire())
    assert set(written) == {"observedGeneration", "conditions"}
    assert [c.last_transition_time for c in plan.status.conditions] == [
        c.last_transition_time for c in MEASURED.status.conditions
    ]


def test_what_is_being_deleted_is_left_alone() -> None:
    gone = replace(IDENTITY, deleting=True)
    for seen in (SEEN, RUNNING, MEASURED, LATE):
        assert step(replace(seen, identity=gone), 5000) == Plan()


ANY_JOB = st.sampled_from(
    [None, THE_JOB, SUSPENDED_JOB, SUCCEEDED_JOB, DONE_JOB, STRANGER, OLDER, replace(THE_JOB, deleting=True)]
    + [replace(THE_JOB, **fate) for fate in (GONE, POLICY)]
)
ANY_PODS = st.lists(
    st.sampled_from(
        [
            *(THE_POD, UNSCHEDULABLE, NO_IMAGE, RUNNING_POD, EVICTED, DEADLINE_143, RETRY),
            *(failed(1), failed(143), succeeded(), replace(succeeded(), owner_uid="another-job")),
        ]
    ),
    max_size=3,
    unique_by=lambda pod: (pod.uid, pod.phase, pod.node, pod.unschedulable),
).map(tuple)
ANY_SPEC = st.sampled_from([SEEN.spec, spec(suspend=True), spec(**PENDING), TTL, "spec.model: unreadable"])
ANY_PREFLIGHT = st.sampled_from(
    [None, SILENT, PREFLIGHT, replace(PREFLIGHT, fits=False), replace(PREFLIGHT, fits=None)]
)
ANY_CREATION = st.none() | st.sampled_from(CreationFailure).map(lambda why: NotCreated(why, "exceeded quota"))
ANY_SEEN = st.builds(
    lambda spec, job, pods, preflight, not_created, refusal: replace(
        SEEN, spec=spec, job=job, pods=pods, preflight=preflight, not_created=not_created, refusal=refusal
    ),
    ANY_SPEC,
    ANY_JOB,
    ANY_PODS,
    ANY_PREFLIGHT,
    ANY_CREATION,
    st.sampled_from(["", "exceeded quota"]),
)


@given(ANY_SEEN, st.integers(0, 5000))
def test_deciding_twice_writes_once(seen: Seen, seconds: int) -> None:
    first = step(seen, seconds)
    if first.status is None:
        return
    # Through JSON, as the API server gives it back.
    stored = BenchmarkJobStatus.model_validate_json(json.dumps(first.status.wire()))
    second = step(replace(seen, status=stored), seconds)
    if second.status is not None:
        assert changes(stored.wire(), second.status.wire()) == {}


@given(st.lists(st.tuples(ANY_SEEN, st.integers(0, 5000)), min_size=1, max_size=4))
def test_an_end_is_final_and_figures_stand_only_with_complete(sights: list[tuple[Seen, int]]) -> None:
    status, end = BenchmarkJobStatus(), None
    for seen, seconds in sights:
        plan = step(replace(seen, status=status), seconds)
        status = plan.status or status
        if end is not None:
            assert (finished(status), status.results) == end
        if finished(status) is not None:
            end = finished(status), status.results
        complete = condition(ConditionType.COMPLETE, status)
        assert (status.results is not None) == (complete is not None and complete.status is YES)
        assert not any(isinstance(a, CreateJob) for a in plan.actions) or finished(status) is None
