"""What to do about the trace of a ModelCheck's model: its Job's life, and what it found. Nothing is traced twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wattmark.api.benchmarkjob import JobReference
from wattmark.api.conditions import Reason
from wattmark.api.modelcheck import ModelCheckSpec, TraceFailure, TraceStatus
from wattmark.api.trace import TraceReport
from wattmark.decide.ended import Final, Interrupted, Outcome, Success, trace_outcome
from wattmark.decide.plan import (
    Action,
    Announcement,
    CreateJob,
    CreationFailure,
    DeleteJob,
    ExpireJob,
    Identity,
    NotCreated,
)
from wattmark.decide.waiting import Waiting, refused, waiting
from wattmark.estimate.traced import complete
from wattmark.identity import MODEL_CHECK, trace_name
from wattmark.manifests import Owner, Runner, trace_job
from wattmark.model_facts import Refusal
from wattmark.observe import SeenJob, SeenPod

TTL_SECONDS = 600  # of a Job whose result is in status: for whoever wants its log
ASK_AGAIN_SECONDS = 10.0
CONFLICT_SECONDS = 60.0
OLD_JOB_SECONDS = 1.0
BEHIND_SECONDS = 1.0
# Some troubles show only in Events, which are asked for at every look: often at first, seldom later
LOOK_SECONDS, YOUNG_SECONDS = 2.0, 10.0
Ends = Sequence[tuple[SeenPod, Outcome[TraceReport] | None]]


@dataclass(frozen=True, slots=True)
class SeenTrace:
    """All that is seen of one ModelCheck's trace.

    `question` is the digest of what is asked now, `config` is config.json where the operator knows it. `job` is the Job
    of the trace's name, whoever owns it. `not_created` is the answer to the last attempt at creating it, at `tried`.
    """

    identity: Identity
    spec: ModelCheckSpec
    question: str
    config: str | None
    stored: TraceStatus | None
    job: SeenJob | None
    pods: tuple[SeenPod, ...] = ()
    not_created: NotCreated | None = None
    tried: float = 0.0
    refusal: str = ""
    stuck: str = ""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where it stands: what status keeps of it; why there is no result yet, or why there will be none.

    What was found out just now is announced.
    """

    stored: TraceStatus | None
    standing: Waiting | None = None
    failure: Refusal | None = None
    actions: tuple[Action, ...] = ()
    announcement: Announcement | None = None
    look_again_seconds: float | None = None


def untraced(identity: Identity, job: SeenJob | None) -> tuple[Action, ...]:
    """What to do where the question needs no trace: one of an earlier question is ended."""
    return (DeleteJob(job.name, job.uid),) if job is not None and _runs_for(identity, job) else ()


def trace(seen: SeenTrace, now: float, runner: Runner) -> Tracing:
    """The next step; `now` in seconds since 1970."""
    stored, job = _of_this_question(seen), seen.job
    if stored is not None and stored.result is not None:
        return Tracing(stored, actions=_leftover(seen, stored))
    if job is None:
        return _without_job(seen, now, runner)
    if not _is_ours(seen.identity, job):
        return _beside_another(seen, job)
    if job.deleting:
        return _old(seen, ())
    if job.question != seen.question:
        return _old(seen, (DeleteJob(job.name, job.uid),))
    if stored is not None and stored.failure is not None and stored.job.uid == job.uid:
        return Tracing(stored, failure=Refusal(stored.failure.reason, stored.failure.message))
    return _with_job(seen, job, now)


def open_with(seen: SeenTrace, job: SeenJob) -> bool:
    """Whether this Job's end is still to be known."""
    stored = _of_this_question(seen)
    if stored is not None and (stored.result or (stored.failure and stored.job.uid == job.uid)):
        return False
    return _runs_for(seen.identity, job) and job.question == seen.question


def _of_this_question(seen: SeenTrace) -> TraceStatus | None:
    stored = seen.stored
    if stored is None or stored.question_digest != seen.question:
        return None
    # One of another release may not hold all that is asked today
    return None if stored.result is not None and not complete(stored.result) else stored


def _is_ours(identity: Identity, job: SeenJob) -> bool:
    return job.owner_uid == identity.uid


def _runs_for(identity: Identity, job: SeenJob) -> bool:
    return _is_ours(identity, job) and not job.deleting


def _leftover(seen: SeenTrace, stored: TraceStatus) -> tuple[Action, ...]:
    """With the result kept, its Job goes after a while, and any other one at once."""
    job = seen.job
    if job is None or not _runs_for(seen.identity, job):
        return ()
    if job.uid != stored.job.uid:
        return (DeleteJob(job.name, job.uid),)
    return () if job.ttl == TTL_SECONDS else (ExpireJob(job.name, job.uid, TTL_SECONDS),)


def _without_job(seen: SeenTrace, now: float, runner: Runner) -> Tracing:
    owner = Owner(MODEL_CHECK, seen.identity.namespace, seen.identity.name, seen.identity.uid)
    creation = CreateJob(trace_job(owner, seen.question, seen.config, seen.spec, runner))
    why = seen.not_created
    if why is None:
        return Tracing(None, _tracing(seen), actions=(creation,), look_again_seconds=LOOK_SECONDS)
    told, pause = _not_created(seen, why)
    if pause is None:
        return told
    left = seen.tried + pause - now
    return replace(told, actions=() if left > 0 else (creation,), look_again_seconds=left if left > 0 else pause)


def _not_created(seen: SeenTrace, why: NotCreated) -> tuple[Tracing, float | None]:
    """What is said of a Job that could not be created, and after how many seconds that is tried again."""
    match why.why:
        case CreationFailure.STRANGER:
            return _conflict(seen, why.message), CONFLICT_SECONDS
        case CreationFailure.OLDER:
            return _old(seen, ()), OLD_JOB_SECONDS
        case CreationFailure.REFUSED:
            found = refused(why.message)
            reason = Reason.JOB_REFUSED if found.reason is Reason.POD_REFUSED else found.reason
            return Tracing(None, Waiting(reason, found.message, True)), ASK_AGAIN_SECONDS
        case CreationFailure.INVALID:
            message = f"the API server refuses the trace's Job, correct the spec: {why.message}"
            return Tracing(None, failure=Refusal(Reason.JOB_REFUSED, message)), None


def _beside_another(seen: SeenTrace, job: SeenJob) -> Tracing:
    """A Job of the trace's name that is not ours: never read, never touched."""
    older = (job.owner_kind, job.owner_name) == (MODEL_CHECK, seen.identity.name)
    if older or job.deleting:
        return _old(seen, ())
    told = _conflict(seen, f"Job {job.name} exists and is not this ModelCheck's")
    return replace(told, look_again_seconds=CONFLICT_SECONDS)


def _conflict(seen: SeenTrace, message: str) -> Tracing:
    remedy = f"delete or rename Job {trace_name(seen.identity.name)}, or use another name for this ModelCheck"
    return Tracing(None, failure=Refusal(Reason.NAME_CONFLICT, f"{message}; {remedy}"))


def _old(seen: SeenTrace, actions: tuple[Action, ...]) -> Tracing:
    message = f"Job {trace_name(seen.identity.name)} of an earlier question is being deleted; the trace follows"
    standing = Waiting(Reason.WAITING_FOR_OLD_RUN, message, True)
    return Tracing(None, standing, actions=actions, look_again_seconds=OLD_JOB_SECONDS)


def _tracing(seen: SeenTrace) -> Waiting:
    return Waiting(
        Reason.TRACING,
        f"Job {trace_name(seen.identity.name)} traces the model, without a GPU; node types are compared then",
        False,
    )


def _with_job(seen: SeenTrace, job: SeenJob, now: float) -> Tracing:
    """While the Job is there: the Pods' ends first, then where it stands."""
    kept = TraceStatus(question_digest=seen.question, job=JobReference(name=job.name, uid=job.uid))
    own = sorted((p for p in seen.pods if p.owner_uid == job.uid), key=lambda p: (p.created, p.name))
    ends = [(pod, trace_outcome(pod, seen.identity.uid, seen.question, _again(job))) for pod in own]
    for _, end in ends:
        if isinstance(end, Success):
            found = kept.model_copy(update={"result": end.report.trace})
            done = Announcement(
                False, Reason.EVALUATED, f"Job {job.name} traced the model: status.need is what it found"
            )
            return Tracing(found, actions=(ExpireJob(job.name, job.uid, TTL_SECONDS),), announcement=done)
        if isinstance(end, Final):
            return _failed(kept, end.reason, end.message)
    if job.succeeded or job.failed_reason:
        if any(not pod.terminal for pod in own):
            # The watch of Pods is behind that of Jobs: the Pod's end, and with it the report, is yet to be seen.
            return Tracing(kept, _tracing(seen), look_again_seconds=BEHIND_SECONDS)
        return _over(kept, job, ends)
    standing = _standing(seen, job, ends)
    told_by_a_watch = any(p.running for p in own) or (standing.trouble and standing.reason is not Reason.RETRYING)
    again = LOOK_SECONDS if now - job.created < YOUNG_SECONDS else ASK_AGAIN_SECONDS
    return Tracing(kept, standing, look_again_seconds=None if told_by_a_watch else again)


def _again(job: SeenJob) -> str:
    return f"to trace again, delete Job {job.name}"


def _failed(kept: TraceStatus, reason: Reason, message: str) -> Tracing:
    told = f"the trace found nothing: {message}"[:1024]
    stored = kept.model_copy(update={"failure": TraceFailure(reason=reason, message=told)})
    return Tracing(stored, failure=Refusal(reason, told), announcement=Announcement(True, reason, told))


def _over(kept: TraceStatus, job: SeenJob, ends: Ends) -> Tracing:
    """The Job is over, and no Pod tells how."""
    if job.failed_reason == "DeadlineExceeded":
        return _failed(
            kept,
            Reason.PENDING_DEADLINE_EXCEEDED,
            f"Job {job.name} did not end within its activeDeadlineSeconds, the wait for a node and for the image "
            f"included; make room for its Pod, then {_again(job).removeprefix('to trace again, ')}",
        )
    interrupted = [end for _, end in ends if isinstance(end, Interrupted)]
    if interrupted and job.failed_reason == "BackoffLimitExceeded":
        last = interrupted[-1].message
        return _failed(kept, Reason.EVICTED, f"the cluster ended every attempt; {_again(job)}; the last: {last}")
    how = f"failed ({job.failed_reason})" if job.failed_reason else "succeeded"
    return _failed(kept, Reason.REPORT_LOST, f"Job {job.name} {how} and its Pod is gone, and its report; {_again(job)}")


def _standing(seen: SeenTrace, job: SeenJob, ends: Ends) -> Waiting:
    """Running, waiting for a container, or waiting for a Pod."""
    live = next((pod for pod, end in reversed(ends) if end is None and not pod.deleting), None)
    if live is not None:
        found = waiting(live, seen.stuck)
        return found if found.trouble and not live.running and live.ended is None else _tracing(seen)
    if job.suspended:
        return Waiting(Reason.SUSPENDED, f"Job {job.name} is suspended: a queue or an administrator holds it", True)
    if seen.refusal:
        return refused(seen.refusal)
    if ends:
        last = next(
            (end.message for _, end in reversed(ends) if isinstance(end, Interrupted)), "its Pod is being ended"
        )
        return Waiting(Reason.RETRYING, f"a new attempt follows: {last}", True)
    return _tracing(seen)
