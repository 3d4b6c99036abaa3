"""What is done about a BenchmarkJob from its acceptance to its running container; one table per stretch."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import (
    CREATED,
    DELETE,
    EVICTED,
    JOB,
    NO,
    NO_IMAGE,
    OLDER,
    OTHER_POD,
    PENDING,
    POD_ON_NODE,
    PREFLIGHT,
    RECORDED,
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
    failed,
    onward,
    says,
    spec,
    step,
)

from wattmark.api.benchmarkjob import BenchmarkJobStatus, Progress, ProgressPhase, RunPhase
from wattmark.api.conditions import ConditionType, Reason
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.decide.benchmark import finished
from wattmark.decide.plan import CreateJob, CreationFailure, DeleteJob, ExpireJob, NotCreated, SuspendJob
from wattmark.model_facts import Refusal


def not_created(why: CreationFailure, message: str) -> dict[str, Any]:
    return {"not_created": NotCreated(why, message)}


# What is seen -> actions, phase, reason of Ready, seconds until the next look.
BEFORE = [
    pytest.param({}, CreateJob, RunPhase.PENDING, Reason.JOB_CREATED, None, id="accepts, predicts and creates the Job"),
    pytest.param(
        {"preflight": None}, None, RunPhase.PENDING, Reason.HUB_UNREACHABLE, 10, id="waits for the model's facts"
    ),
    pytest.param(
        {"preflight": SILENT}, None, RunPhase.PENDING, Reason.HUB_UNREACHABLE, 10, id="asks a silent hub again"
    ),
    pytest.param(
        {"preflight": SILENT, "spec": spec(suspend=True)},
        None,
        RunPhase.SUSPENDED,
        Reason.SUSPENDED,
        10,
        id="a suspended run outwaits a silent hub",
    ),
    pytest.param(
        {"preflight": replace(PREFLIGHT, refusal=Refusal(Reason.UNKNOWN_MODEL, "no such model"))},
        None,
        RunPhase.FAILED,
        Reason.UNKNOWN_MODEL,
        None,
        id="refuses a model that nobody knows",
    ),
    pytest.param(
        {"preflight": replace(PREFLIGHT, fits=False, reason=Reason.DOES_NOT_FIT)},
        None,
        RunPhase.FAILED,
        Reason.DOES_NOT_FIT,
        None,
        id="refuses what fits no node type, before any Pod exists",
    ),
    pytest.param(
        {
            "preflight": replace(PREFLIGHT, fits=False, reason=Reason.DOES_NOT_FIT),
            "spec": spec(preflight={"policy": "Warn"}),
        },
        CreateJob,
        RunPhase.PENDING,
        Reason.JOB_CREATED,
        None,
        id="runs what does not fit when only warned",
    ),
    pytest.param(
        {"preflight": replace(PREFLIGHT, fits=None, reason=Reason.NO_GPU_NODES)},
        CreateJob,
        RunPhase.PENDING,
        Reason.JOB_CREATED,
        None,
        id="runs what is not known to fit: nodes may come from zero",
    ),
    pytest.param(
        {"spec": "spec.model: unreadable"},
        None,
        RunPhase.FAILED,
        Reason.INVALID_SPEC,
        None,
        id="fails on a spec that cannot be read",
    ),
    pytest.param(
        {"spec": spec(suspend=True)},
        None,
        RunPhase.SUSPENDED,
        Reason.SUSPENDED,
        None,
        id="creates nothing while suspended",
    ),
    pytest.param(
        {"job": STRANGER}, None, RunPhase.FAILED, Reason.NAME_CONFLICT, None, id="a Job that is nobody's is in the way"
    ),
    pytest.param(
        {"job": replace(STRANGER, owner_kind="CronJob", owner_name="bert", owner_uid="cron")},
        None,
        RunPhase.FAILED,
        Reason.NAME_CONFLICT,
        None,
        id="a Job of another kind's is in the way",
    ),
    pytest.param(
        not_created(CreationFailure.STRANGER, "Job bert-run exists"),
        None,
        RunPhase.FAILED,
        Reason.NAME_CONFLICT,
        None,
        id="a Job that only its creation has met is in the way",
    ),
    pytest.param(
        {"job": replace(STRANGER, deleting=True)},
        None,
        RunPhase.PENDING,
        Reason.WAITING_FOR_OLD_RUN,
        1,
        id="a stranger that goes away is waited for",
    ),
    pytest.param(
        {"job": OLDER},
        None,
        RunPhase.PENDING,
        Reason.WAITING_FOR_OLD_RUN,
        1,
        id="an earlier namesake's Job is waited for",
    ),
    pytest.param(
        not_created(CreationFailure.OLDER, "older"),
        CreateJob,
        RunPhase.PENDING,
        Reason.WAITING_FOR_OLD_RUN,
        1,
        id="creation is tried again while an older Job goes away unseen",
    ),
    pytest.param(
        not_created(CreationFailure.REFUSED, "exceeded quota: count/jobs.batch"),
        CreateJob,
        RunPhase.PENDING,
        Reason.QUOTA_EXCEEDED,
        10,
        id="a quota on Jobs is told, and creation tried again",
    ),
    pytest.param(
        not_created(CreationFailure.REFUSED, "denied by policy"),
        CreateJob,
        RunPhase.PENDING,
        Reason.JOB_REFUSED,
        10,
        id="another refusal of the Job is told, and creation tried again",
    ),
    pytest.param(
        {"status": BenchmarkJobStatus(job=RECORDED)},
        None,
        RunPhase.FAILED,
        Reason.JOB_DELETED,
        None,
        id="a Job that was there and is not was deleted; it is not made anew",
    ),
    pytest.param(
        {"status": BenchmarkJobStatus(job=RECORDED), "job": replace(THE_JOB, uid="another")},
        None,
        RunPhase.FAILED,
        Reason.JOB_DELETED,
        None,
        id="a Job put in its place is not the run, whoever it says owns it",
    ),
]


@pytest.mark.parametrize(("seen", "action", "phase", "reason", "again"), BEFORE)
def test_before_the_run(
    seen: dict[str, Any], action: type[CreateJob] | None, phase: RunPhase, reason: Reason, again: float | None
) -> None:
    plan = step(replace(SEEN, **seen))
    assert [type(a) for a in plan.actions] == ([action] if action else [])
    assert plan.status is not None and plan.status.phase is phase
    assert says(plan, ConditionType.READY)[1] is reason
    assert plan.look_again_seconds == again
    over = phase is RunPhase.FAILED
    assert (finished(plan.status) is reason) == over
    assert (plan.announcement is not None) == over
    assert plan.status.results is None and plan.status.observed_generation == 1


@pytest.mark.parametrize("job", [STRANGER, OLDER, replace(OLDER, deleting=True)], ids=lambda j: j.uid)
def test_a_job_that_is_not_ours_never_enters_status(job: Any) -> None:
    for seconds in (2, 4000):  # at once, and past the pending deadline
        plan = step(replace(SEEN, job=job), seconds)
        assert plan.status is not None and plan.status.job is None
        assert not any(isinstance(a, DeleteJob | SuspendJob | ExpireJob) for a in plan.actions)


def test_the_prediction_is_stored_with_the_first_write() -> None:
    missing = Unavailable(field="need", reason=UnavailableReason.NOT_PREDICTED, message="why")
    plan = step(replace(SEEN, preflight=replace(PREFLIGHT, unavailable=(missing,))))
    assert says(plan, ConditionType.ACCEPTED) == (YES, Reason.ACCEPTED)
    assert says(plan, ConditionType.MODEL_FITS) == (YES, Reason.FITS_ALL)
    assert plan.status is not None
    assert plan.status.unavailable == [missing]
    assert plan.status.start_time == at(2)


# Pods and what else is seen -> reason of Running, or None where nothing is written; seconds until the next look.
WAITS = [
    pytest.param({}, 2, None, 2, id="a Job without a Pod yet costs no write"),
    pytest.param({"pods": (THE_POD,)}, 2, None, 2, id="nor does a Pod that is not scheduled yet"),
    pytest.param({"pods": (POD_ON_NODE,)}, 2, None, 2, id="nor a container that is being created"),
    pytest.param({}, 11, Reason.JOB_CREATED, 10, id="a Job without a Pod is told after ten seconds"),
    pytest.param({"pods": (POD_ON_NODE,)}, 11, Reason.SCHEDULED, 10, id="so is a slow start"),
    pytest.param(
        {"pods": (POD_ON_NODE,), "stuck": "MountVolume.SetUp failed"},
        4,
        Reason.CONTAINER_CANNOT_START,
        3596,
        id="trouble is told at once: a volume",
    ),
    pytest.param({"pods": (UNSCHEDULABLE,)}, 2, Reason.UNSCHEDULABLE, 3598, id="trouble is told at once: no node"),
    pytest.param({"pods": (NO_IMAGE,)}, 2, Reason.IMAGE_NOT_PULLED, 3598, id="trouble is told at once: no image"),
    pytest.param({"refusal": "exceeded quota"}, 2, Reason.QUOTA_EXCEEDED, 3598, id="trouble is told at once: a quota"),
    pytest.param({"pods": (EVICTED,)}, 310, Reason.RETRYING, 10, id="a new attempt follows an eviction"),
    pytest.param(
        {"pods": (EVICTED, replace(UNSCHEDULABLE, uid=OTHER_POD, created=CREATED + 400))},
        500,
        Reason.UNSCHEDULABLE,
        3405,
        id="the newest Pod is the one that is spoken of",
    ),
    pytest.param(
        {"pods": (replace(THE_POD, deleting=True),)},
        11,
        Reason.RETRYING,
        10,
        id="a Pod on its way out is not waited for, but the one after it",
    ),
    pytest.param(
        {"pods": (replace(RUNNING_POD, owner_uid="another-job"),)},
        11,
        Reason.JOB_CREATED,
        10,
        id="a Pod that is not our Job's is not seen at all",
    ),
]


@pytest.mark.parametrize(("seen", "seconds", "reason", "again"), WAITS)
def test_waiting_for_the_container(
    seen: dict[str, Any], seconds: float, reason: Reason | None, again: float | None
) -> None:
    plan = step(replace(WITH_JOB, **seen), seconds)
    assert plan.actions == ()
    assert plan.look_again_seconds == again
    if reason is None:
        assert plan.status is None
    else:
        assert says(plan, ConditionType.RUNNING) == (NO, reason)
        assert says(plan, ConditionType.RECONCILING)[0] is YES
        assert plan.status is not None and plan.status.job == RECORDED


def test_a_running_container_is_told_with_its_job_pod_and_progress() -> None:
    halfway = Progress(phase=ProgressPhase.MEASURING, percent=50, remaining_seconds=30)
    plan = step(replace(RUNNING, progress=halfway), 60)
    assert says(plan, ConditionType.RUNNING) == (YES, Reason.RUNNING)
    status = plan.status
    assert status is not None and status.phase is RunPhase.RUNNING
    assert status.job == RECORDED and status.progress == halfway
    assert status.summary is not None and status.summary.progress == "50 % measuring, 30 s left"
    assert [(a.pod_uid, a.node, a.start_time, a.outcome) for a in status.attempts] == [
        (RUNNING_POD.uid, "node-1", at(5), None)
    ]
    assert plan.look_again_seconds == 5 + 3600 + 60 - 60  # the backstop behind the runner's own deadline


def test_progress_is_of_the_attempt_that_runs() -> None:
    halfway = Progress(phase=ProgressPhase.MEASURING, percent=50)
    seen = onward(replace(RUNNING, progress=halfway), 60)
    plan = step(replace(seen, pods=(EVICTED,), progress=None), 310)
    assert plan.status is not None and plan.status.progress is None
    assert plan.status.summary is not None and plan.status.summary.progress is None


OVERDUE = [
    pytest.param({"preflight": SILENT}, "cannot be reached", id="the hub was silent all the time"),
    pytest.param({"job": OLDER}, "still being deleted", id="an older Job did not go away"),
    pytest.param(not_created(CreationFailure.REFUSED, "exceeded quota"), "ResourceQuota", id="the Job was refused"),
    pytest.param({"job": THE_JOB}, "its Pod follows", id="the Job got no Pod"),
    pytest.param({"job": THE_JOB, "refusal": "violates PodSecurity"}, "Pod Security", id="its Pod was refused"),
    pytest.param({"job": THE_JOB, "pods": (UNSCHEDULABLE,)}, "0/1 nodes", id="no node took the Pod"),
    pytest.param({"job": THE_JOB, "pods": (NO_IMAGE,)}, "image", id="the image never came"),
]


@pytest.mark.parametrize(("seen", "words"), OVERDUE)
def test_the_pending_deadline_tells_what_was_waited_for_and_stops_the_job(seen: dict[str, Any], words: str) -> None:
    waiting = replace(SEEN, spec=spec(**PENDING), **seen)
    assert finished(step(waiting, 99).status or BenchmarkJobStatus()) is None
    plan = step(waiting, 100)
    assert plan.status is not None
    assert finished(plan.status) is Reason.PENDING_DEADLINE_EXCEEDED
    assert plan.announcement is not None and words in plan.announcement.message
    assert plan.actions == ((DELETE,) if seen.get("job") is THE_JOB else ())


def test_the_pending_deadline_counts_anew_from_resumption() -> None:
    seen = onward(replace(SEEN, spec=spec(suspend=True, **PENDING)), 2)
    resumed = replace(seen, spec=spec(**PENDING))
    plan = step(resumed, 1000)
    assert plan.actions and says(plan, ConditionType.SUSPENDED) == (NO, Reason.RESUMED)
    later = replace(resumed, status=plan.status or BenchmarkJobStatus(), job=THE_JOB, pods=(UNSCHEDULABLE,))
    assert says(step(later, 1099), ConditionType.RUNNING) == (NO, Reason.UNSCHEDULABLE)
    assert says(step(later, 1100), ConditionType.FAILED) == (YES, Reason.PENDING_DEADLINE_EXCEEDED)


def test_the_pending_deadline_counts_anew_from_the_end_of_an_attempt() -> None:
    seen = replace(WITH_JOB, spec=spec(**PENDING), pods=(EVICTED,))  # it ended after 305 s
    assert says(step(seen, 404), ConditionType.RUNNING) == (NO, Reason.RETRYING)
    assert says(step(seen, 405), ConditionType.FAILED) == (YES, Reason.PENDING_DEADLINE_EXCEEDED)


def test_the_pending_deadline_counts_anew_from_an_eviction_of_which_no_end_is_told() -> None:
    running = onward(replace(WITH_JOB, spec=spec(**PENDING), pods=(RUNNING_POD,)), 10)
    going = onward(replace(running, pods=(replace(RUNNING_POD, deleting=True),)), 2000)
    assert going.status.phase is RunPhase.PENDING
    gone = replace(going, pods=())
    assert says(step(gone, 2099), ConditionType.RUNNING) == (NO, Reason.JOB_CREATED)
    assert says(step(gone, 2100), ConditionType.FAILED) == (YES, Reason.PENDING_DEADLINE_EXCEEDED)


def test_a_suspended_run_never_passes_its_pending_deadline() -> None:
    for seen in (SEEN, replace(SEEN, preflight=SILENT), replace(SEEN, job=SUSPENDED_JOB)):
        plan = step(replace(seen, spec=spec(suspend=True, **PENDING)), 10_000)
        assert plan.status is not None and plan.status.phase is RunPhase.SUSPENDED


def test_the_running_deadline_is_the_operators_only_as_a_backstop() -> None:
    seen = replace(RUNNING, spec=spec(deadlines={"runningSeconds": 100}))
    assert says(step(seen, 164), ConditionType.RUNNING) == (YES, Reason.RUNNING)
    plan = step(seen, 165)  # started at 5, a minute of grace
    assert says(plan, ConditionType.FAILED) == (YES, Reason.RUNNING_DEADLINE_EXCEEDED)
    assert plan.actions == (DELETE,)


RESUME, SUSPEND = SuspendJob("bert-run", JOB, False), SuspendJob("bert-run", JOB, True)
SWITCHES = [
    pytest.param(True, THE_JOB, (RUNNING_POD,), (SUSPEND,), None, id="a running Job is suspended, and told once it is"),
    pytest.param(
        True, SUSPENDED_JOB, (RUNNING_POD,), (), None, id="a suspended Job whose Pod still ends is waited for"
    ),
    pytest.param(True, SUSPENDED_JOB, (), (), RunPhase.SUSPENDED, id="a suspended Job without a Pod is suspended"),
    pytest.param(
        True, SUSPENDED_JOB, (failed(143),), (), RunPhase.SUSPENDED, id="the Pod that was stopped is no failure"
    ),
    pytest.param(False, SUSPENDED_JOB, (), (RESUME,), None, id="a suspended Job is let go on"),
    pytest.param(False, THE_JOB, (), (), None, id="a Job that goes on is left alone"),
]


@pytest.mark.parametrize(("wish", "job", "pods", "actions", "phase"), SWITCHES)
def test_suspension(wish: bool, job: Any, pods: Any, actions: Any, phase: RunPhase | None) -> None:
    plan = step(replace(WITH_JOB, spec=spec(suspend=wish), job=job, pods=pods), 5)
    assert plan.actions == actions
    assert (plan.status.phase if plan.status else None) is phase
