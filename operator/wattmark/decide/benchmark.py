"""What to do about a BenchmarkJob: from acceptance through its Job's life to its result."""

from collections.abc import Sequence
from dataclasses import replace

from wattmark.api.benchmarkjob import BenchmarkJobStatus, PreflightPolicy
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.report import Report
from wattmark.decide.attempts import attempts, gpu_seconds
from wattmark.decide.draft import Draft
from wattmark.decide.ended import Final, Interrupted, Outcome, Success, killed_after_its_grace, outcome
from wattmark.decide.plan import (
    Action,
    CreateJob,
    CreationFailure,
    DeleteJob,
    ExpireJob,
    NotCreated,
    Plan,
    Seen,
    SuspendJob,
)
from wattmark.decide.saying import unknown, with_remedy
from wattmark.decide.waiting import Waiting, refused, waiting
from wattmark.identity import BENCHMARK_JOB, run_name
from wattmark.manifests import Asked, Runner, run_job
from wattmark.observe import SeenJob, SeenPod, epoch

TOLD_AFTER_SECONDS = 10.0  # a start that takes longer is told in status; a prompt one costs no write
ASK_AGAIN_SECONDS = 10.0  # after a refusal, or while the hub does not answer
OLD_RUN_SECONDS = 1.0
BEHIND_SECONDS = 1.0
LOOK_SECONDS = 2.0  # while a start is young: some troubles show only in Events, which are asked for at every look
BACKSTOP_SECONDS = 60.0  # beyond the runner's own deadline, for a runner that cannot end itself
Ends = Sequence[tuple[SeenPod, Outcome[Report] | None]]


def finished(status: BenchmarkJobStatus) -> Reason | None:
    """The reason of a terminal condition; None while the run is not over."""
    return next(
        (
            c.reason
            for c in status.conditions
            if c.type in (ConditionType.COMPLETE, ConditionType.FAILED) and c.status is ConditionStatus.TRUE
        ),
        None,
    )


def decide(seen: Seen, now: float, runner: Runner) -> Plan:
    """The next step of a BenchmarkJob; `now` in seconds since 1970."""
    if seen.identity.deleting:
        return Plan()
    if _is_replaced(seen):
        seen = replace(seen, job=None)
    if finished(seen.status) is not None:
        return _after_the_end(seen, now)
    plan = _under_decision(seen, now, runner)
    if plan.status is None or finished(plan.status) is None or any(isinstance(a, DeleteJob) for a in plan.actions):
        return plan
    # With the result, for no later change of the Job need ever come to bring it up again.
    expiry = _expiry(seen)
    return plan if expiry is None else replace(plan, actions=(*plan.actions, expiry))


def _under_decision(seen: Seen, now: float, runner: Runner) -> Plan:
    draft = Draft(seen, now)
    if isinstance(seen.spec, str):
        return draft.failed(Reason.INVALID_SPEC, seen.spec)
    stranger = _stranger(seen)
    if stranger is not None:
        return draft.failed(Reason.NAME_CONFLICT, stranger)
    if _is_ours(seen):
        return _with_job(draft, runner)
    return _without_job(draft, runner)


def _is_replaced(seen: Seen) -> bool:
    """Whether the Job that is there came in place of the one that status holds: it is not the run."""
    held = seen.status.job
    return _is_ours(seen) and held is not None and seen.job is not None and seen.job.uid != held.uid


def _is_ours(seen: Seen) -> bool:
    return seen.job is not None and seen.job.owner_uid == seen.identity.uid


def _stranger(seen: Seen) -> str | None:
    """Why a Job of the run's name stands in the way for good; None where none does."""
    remedy = f"delete or rename Job {run_name(seen.identity.name)}, or use another name for this BenchmarkJob"
    if seen.not_created and seen.not_created.why is CreationFailure.STRANGER:
        return f"{seen.not_created.message}; {remedy}"
    job = seen.job
    if job is None or _is_ours(seen) or _is_older(seen, job) or job.deleting:
        return None
    return f"Job {job.name} exists and is not this BenchmarkJob's; {remedy}"


def _is_older(seen: Seen, job: SeenJob) -> bool:
    return (job.owner_kind, job.owner_name) == (BENCHMARK_JOB, seen.identity.name)


def _after_the_end(seen: Seen, now: float) -> Plan:
    """Nothing runs again. Tidy up, and answer an edit of what may be edited."""
    draft = Draft(seen, now)
    status = draft.status() if seen.status.observed_generation != seen.identity.generation else None
    return Plan(status, tuple(a for a in (_leftover(seen), _expiry(seen)) if a is not None))


def _leftover(seen: Seen) -> Action | None:
    """A Job that would go on although the run has failed: one stopped by the operator, or one that tries again."""
    job, reason = seen.job, finished(seen.status)
    if job is None or not _is_ours(seen) or job.deleting or job.finished or job.failed_reason:
        return None
    goes_on = any(p.owner_uid == job.uid and not (p.terminal or p.succeeded or p.deleting) for p in seen.pods)
    if reason is Reason.PENDING_DEADLINE_EXCEEDED or (reason is not Reason.MEASURED and goes_on):
        return DeleteJob(job.name, job.uid)
    return None


def _expiry(seen: Seen) -> Action | None:
    job, seconds = seen.job, getattr(seen.spec, "ttl_seconds_after_finished", None)
    if job is None or not _is_ours(seen) or job.deleting or seconds is None or job.ttl == seconds:
        return None
    return ExpireJob(job.name, job.uid, seconds)


def _without_job(draft: Draft, runner: Runner) -> Plan:
    """Before the run: accept, predict, and create the Job, in this order."""
    seen, spec = draft.seen, draft.spec
    if seen.status.job is not None:
        return draft.failed(
            Reason.JOB_DELETED, "the run's Job was deleted before it ended; to measure, create a BenchmarkJob anew"
        )
    found = seen.preflight
    if found is None or isinstance(found, str):
        message = found or "the model's facts are being read"
        draft.sayings[ConditionType.ACCEPTED] = unknown(Reason.HUB_UNREACHABLE, message)
        if spec.suspend:
            draft.suspended()
            return Plan(draft.status(), look_again_seconds=ASK_AGAIN_SECONDS)
        draft.resumed()
        draft.pending(Reason.HUB_UNREACHABLE, message)
        return _until_deadline(draft, message, ASK_AGAIN_SECONDS)
    if found.refusal is not None:
        return draft.failed(found.refusal.reason, found.refusal.message)
    draft.preflight(found)
    if found.fits is False and spec.preflight.policy in (PreflightPolicy.ENFORCE, PreflightPolicy.ADAPT):
        adapts = spec.preflight.policy is PreflightPolicy.ADAPT
        told = f"{found.message}; no change that leaves the result as it is makes it fit" if adapts else found.message
        return draft.failed(Reason.DOES_NOT_FIT, with_remedy(told, found.fallbacks))
    if spec.suspend:
        draft.suspended()
        return Plan(draft.status())
    draft.resumed()
    if (seen.job is not None and not _is_ours(seen)) or _failure(seen) is CreationFailure.OLDER:
        message = f"the Job of an earlier BenchmarkJob named {seen.identity.name} is still being deleted"
        draft.pending(Reason.WAITING_FOR_OLD_RUN, message)
        return _until_deadline(draft, message, OLD_RUN_SECONDS, (_creation(draft, runner),) if seen.job is None else ())
    if _failure(seen) is CreationFailure.INVALID and seen.not_created is not None:
        return draft.failed(Reason.JOB_REFUSED, f"the API server refuses the run's Job: {seen.not_created.message}")
    if seen.not_created is not None:
        why = refused(seen.not_created.message)
        reason = Reason.JOB_REFUSED if why.reason is Reason.POD_REFUSED else why.reason
        draft.pending(reason, why.message)
        return _until_deadline(draft, why.message, ASK_AGAIN_SECONDS, (_creation(draft, runner),))
    draft.pending(Reason.JOB_CREATED, "the Job is created and waits for its Pod to run")
    return Plan(draft.status(), (_creation(draft, runner),))


def _failure(seen: Seen) -> CreationFailure | None:
    return seen.not_created.why if isinstance(seen.not_created, NotCreated) else None


def _creation(draft: Draft, runner: Runner) -> CreateJob:
    identity, found = draft.seen.identity, draft.seen.preflight
    assert found is not None and not isinstance(found, str)
    host = found.need.host_bytes.high if found.need and found.need.host_bytes else None
    asked = Asked(identity.namespace, identity.name, identity.uid, found.config, host, found.products)
    return CreateJob(run_job(asked, found.spec or draft.spec, runner))


def _with_job(draft: Draft, runner: Runner) -> Plan:
    """During the run: the Pods' ends first, then what is wished, then where it stands."""
    seen = draft.seen
    job = seen.job
    assert job is not None
    own = sorted((p for p in seen.pods if p.owner_uid == job.uid), key=lambda p: (p.created, p.name))
    ends = [(pod, outcome(pod, seen.identity.uid)) for pod in own]
    recorded = attempts(seen.status.attempts, ends)
    draft.attempts(recorded)
    draft.changes["gpu_seconds"] = gpu_seconds(recorded, draft.spec.resources.gpus_per_node)
    concluded = _concluded(draft, job, ends)
    if concluded is not None:
        return concluded
    if job.deleting:
        return Plan(look_again_seconds=ASK_AGAIN_SECONDS)
    actions = _wish(draft, job)
    if draft.spec.suspend:
        if not job.suspended or any(not p.terminal for p in own):
            return Plan(None, actions)
        draft.suspended()
        return Plan(draft.status(), actions)
    draft.resumed()
    return _under_way(draft, ends, actions)


def _wish(draft: Draft, job: SeenJob) -> tuple[Action, ...]:
    if job.suspended == draft.spec.suspend:
        return ()
    return (SuspendJob(job.name, job.uid, draft.spec.suspend),)


def _concluded(draft: Draft, job: SeenJob, ends: Ends) -> Plan | None:
    """The end, from a Pod that decides it, or from the Job where no Pod does; None while it goes on."""
    for pod, end in ends:
        if isinstance(end, Success):
            return draft.completed(pod, end.report)
        if isinstance(end, Final):
            draft.ran_in(pod, end.environment)
            plan = draft.failed(end.reason, end.message)
            goes_on = end.reason is Reason.RUNNING_DEADLINE_EXCEEDED and pod.reason == "DeadlineExceeded"
            return Plan(plan.status, (DeleteJob(job.name, job.uid),), plan.announcement) if goes_on else plan
    if (job.succeeded or job.failed_reason) and any(not pod.terminal for pod, _ in ends):
        # The watch of Pods is behind that of Jobs: the Pod's end, and with it the report, is yet to be seen.
        return Plan(look_again_seconds=BEHIND_SECONDS)
    if job.succeeded:
        return draft.failed(
            Reason.REPORT_LOST, "the run succeeded, but its Pod is gone, and its report with it; run it again"
        )
    if not job.failed_reason:
        return None
    interrupted = [(pod, end) for pod, end in ends if isinstance(end, Interrupted)]
    if interrupted and job.failed_reason == "PodFailurePolicy" and killed_after_its_grace(interrupted[-1][0]):
        # To the Job controller it is an exit code as any other.
        return draft.failed(Reason.EVICTED, f"{interrupted[-1][1].message}; that is not tried again: run it anew")
    if job.failed_reason == "PodFailurePolicy" or not (interrupted or draft.seen.status.attempts):
        return draft.failed(
            Reason.REPORT_LOST, f"the Job failed ({job.failed_reason}) and its Pod is gone: {job.failed_message}"
        )
    last = interrupted[-1][1].message if interrupted else job.failed_message
    count = max(len(interrupted), len(draft.changes["attempts"]))
    return draft.failed(
        Reason.EVICTED,
        f"the cluster ended all {count} attempts that spec.maxInfrastructureRetries allows; the last: {last}",
    )


def _under_way(draft: Draft, ends: Ends, actions: tuple[Action, ...]) -> Plan:
    """Running, waiting for a container, or waiting for a Pod."""
    live = next((pod for pod, end in reversed(ends) if end is None and not pod.deleting), None)
    if live is not None and live.ended is not None:
        # It failed, and the Pod's own end, a second later, will say how: it is not waiting again.
        return Plan(None, actions)
    if live is not None and live.running_since is not None:
        return _running(draft, live, live.running_since, actions)
    if live is not None:
        return _waiting(draft, waiting(live, draft.seen.stuck), actions)
    if draft.seen.refusal:
        return _waiting(draft, refused(draft.seen.refusal), actions)
    leaving = next((pod for pod, end in ends if end is None and pod.deleting), None)
    if leaving is not None:
        message = f"the Pod on node {leaving.node or '(none)'} is being ended; a new attempt follows once it is gone"
        return _waiting(draft, Waiting(Reason.RETRYING, message, True), actions)
    interrupted = [end for _, end in ends if isinstance(end, Interrupted)]
    if interrupted:
        message = f"a new attempt follows (at most {draft.spec.max_infrastructure_retries}): {interrupted[-1].message}"
        return _waiting(draft, Waiting(Reason.RETRYING, message, True), actions)
    return _waiting(draft, Waiting(Reason.JOB_CREATED, "the Job is created; its Pod follows", False), actions)


def _running(draft: Draft, pod: SeenPod, since: float, actions: tuple[Action, ...]) -> Plan:
    left = since + draft.spec.deadlines.running_seconds + BACKSTOP_SECONDS - draft.now
    if left <= 0:
        return _stopped(
            draft,
            Reason.RUNNING_DEADLINE_EXCEEDED,
            f"the runner passed spec.deadlines.runningSeconds ({draft.spec.deadlines.running_seconds} s) and did not "
            "end itself; "
            "raise it in a new BenchmarkJob, or ask for less",
        )
    draft.job()
    draft.running(pod)
    return Plan(draft.status(), actions, look_again_seconds=left)


def _waiting(draft: Draft, why: Waiting, actions: tuple[Action, ...]) -> Plan:
    job = draft.seen.job
    assert job is not None
    overdue = draft.now - _pending_since(draft) - draft.spec.deadlines.pending_seconds
    if overdue >= 0:
        return _overdue(draft, why.message)
    waited = draft.now - job.created
    if not why.trouble and waited < TOLD_AFTER_SECONDS:
        return Plan(None, actions, look_again_seconds=min(LOOK_SECONDS, TOLD_AFTER_SECONDS - waited))
    draft.job()
    draft.pending(why.reason, why.message)
    # A watch tells when a Pod's own trouble ends; what only Events tell is asked for again.
    told_by_a_watch = why.trouble and why.reason is not Reason.RETRYING
    again = -overdue if told_by_a_watch else min(ASK_AGAIN_SECONDS, -overdue)
    return Plan(draft.status(), actions, look_again_seconds=again)


def _pending_since(draft: Draft) -> float:
    """Creation, the last resumption, or the end of the last attempt: whichever is latest.

    Of an attempt that a lost node or an eviction is ending no end need ever be told: it ran until Running became False.
    """
    resumed = _false_since(draft, ConditionType.SUSPENDED)
    attempts = draft.changes.get("attempts", ())
    ran = _false_since(draft, ConditionType.RUNNING) if any(a.start_time for a in attempts) else None
    ended = [epoch(a.end_time) for a in attempts]
    return max(t for t in (draft.seen.identity.created, resumed, ran, *ended) if t is not None)


def _false_since(draft: Draft, kind: ConditionType) -> float | None:
    """Since when a condition that is not true now has been False; None where it was never stored."""
    stored = next((c for c in draft.seen.status.conditions if c.type is kind), None)
    if stored is None:
        return None
    return epoch(stored.last_transition_time) if stored.status is ConditionStatus.FALSE else draft.now


def _until_deadline(draft: Draft, message: str, again_seconds: float, actions: tuple[Action, ...] = ()) -> Plan:
    if draft.now - _pending_since(draft) >= draft.spec.deadlines.pending_seconds:
        return _overdue(draft, message)
    return Plan(draft.status(), actions, look_again_seconds=again_seconds)


def _overdue(draft: Draft, why: str) -> Plan:
    return _stopped(
        draft,
        Reason.PENDING_DEADLINE_EXCEEDED,
        f"no container ran within spec.deadlines.pendingSeconds ({draft.spec.deadlines.pending_seconds} s): {why}",
    )


def _stopped(draft: Draft, reason: Reason, message: str) -> Plan:
    job = draft.seen.job if _is_ours(draft.seen) else None
    return draft.failed(reason, message, () if job is None else (DeleteJob(job.name, job.uid),))
