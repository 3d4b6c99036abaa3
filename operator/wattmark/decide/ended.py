"""How a Pod of the run ended: the same failure policy that the Job controller applies, with reasons for people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wattmark.api.conditions import Reason
from wattmark.api.figures import Environment
from wattmark.api.report import EXIT_TERMINATED, Report
from wattmark.api.trace import TraceReport
from wattmark.decide.acceptance import Rejected, accept, accept_trace
from wattmark.observe import Ended, SeenPod

R = TypeVar("R", Report, TraceReport)

NOT_AN_EXIT_OF_ITS_OWN = "ContainerStatusUnknown"  # the kubelet's placeholder: exit code 137 that no process gave
CANNOT_START = ("StartError", "ContainerCannotRun")
EXIT_KILLED = 137  # SIGKILL: what the kubelet sends when a Pod's grace period is over, and the kernel out of memory


@dataclass(frozen=True, slots=True)
class Success(Generic[R]):
    """The run gave figures, or the trace a need."""

    report: R


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The cluster ended the attempt, not the run: the Job controller tries again within its limit."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Final:
    """The run failed and will not be tried again. `environment` is where, where the runner could tell."""

    reason: Reason
    message: str
    environment: Environment | None = None


Outcome = Success[R] | Interrupted | Final
_End = Interrupted | Final


@dataclass(frozen=True, slots=True)
class _Expected(Generic[R]):
    """How a Pod's report is read (its message, the Pod's UID), and what to do where there is none."""

    accept: Callable[[str, str], R | Rejected]
    more_time: str
    more_memory: str
    again: str


def outcome(pod: SeenPod, run_uid: str) -> Outcome[Report] | None:
    """How a run's Pod ended; None while that is not known.

    A success is known with the container's end. What failed is judged with the Pod's, which tells of evictions too.
    """
    expected = _Expected(
        lambda message, pod_uid: accept(message, run_uid, pod_uid),
        more_time="raise spec.deadlines in a new BenchmarkJob, or ask for less",
        more_memory="set a larger spec.resources.memory in a new BenchmarkJob",
        again="run it again under a new name",
    )
    return _outcome(pod, expected)


def trace_outcome(pod: SeenPod, check_uid: str, question: str, again: str) -> Outcome[TraceReport] | None:
    """How a trace's Pod ended, likewise; `again` says how to have it traced again."""
    expected = _Expected(
        lambda message, pod_uid: accept_trace(message, check_uid, pod_uid, question),
        more_time=again,
        more_memory="set a larger spec.resources.memory",
        again=again,
    )
    return _outcome(pod, expected)


def _outcome(pod: SeenPod, expected: _Expected[R]) -> Outcome[R] | None:
    """The first rule that speaks decides."""
    if pod.succeeded:
        return _succeeded(pod, expected)
    if pod.phase != "Failed":
        return None
    return next(o for rule in _RULES if (o := rule(pod, expected)))


def _succeeded(pod: SeenPod, expected: _Expected[R]) -> Success[R] | Final:
    message = pod.ended.message if pod.ended else ""
    if not message:
        return Final(
            Reason.NO_REPORT, "the runner exited with code 0 but left no report; use the runner image of this release"
        )
    report = expected.accept(message, pod.uid)
    if isinstance(report, Rejected):
        return Final(report.reason, report.message)
    if report.failure is not None:
        return Final(
            Reason.REPORT_MALFORMED, "the runner exited with code 0 but reports a failure; nothing of it is used"
        )
    return Success(report)


def _past_its_deadline(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if pod.reason != "DeadlineExceeded":
        return None
    return Final(
        Reason.RUNNING_DEADLINE_EXCEEDED,
        f"the Pod passed its active deadline and was stopped; {expected.more_time}",
    )


def _disrupted(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if not pod.disruption:
        return None
    detail = f": {pod.message}" if pod.message else ""
    return Interrupted(
        Reason.EVICTED, f"the cluster ended the Pod on node {pod.node or '(none)'} ({pod.disruption}){detail}"
    )


def _never_started(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if pod.ended is not None:
        return None
    why = pod.reason or "no reason given"
    detail = f": {pod.message}" if pod.message else ""
    return Interrupted(
        Reason.EVICTED, f"node {pod.node or '(none)'} ended the Pod before its container ran ({why}){detail}"
    )


def _terminated(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if _end(pod).exit_code != EXIT_TERMINATED:
        return None
    return Interrupted(
        Reason.EVICTED, "the runner was told to end (SIGTERM): its Pod was deleted, drained or suspended"
    )


def _status_lost(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if _end(pod).reason != NOT_AN_EXIT_OF_ITS_OWN:
        return None
    return Final(
        Reason.REPORT_LOST,
        f"node {pod.node or '(none)'} lost track of the container, and with it the report; {expected.again}",
    )


def _out_of_host_memory(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if _end(pod).reason != "OOMKilled":
        return None
    return Final(
        Reason.HOST_OUT_OF_MEMORY,
        f"the kernel killed the runner for lack of host memory; {expected.more_memory}",
    )


def _cannot_start(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    end = _end(pod)
    if end.reason not in CANNOT_START:
        return None
    return Final(
        Reason.CONTAINER_CANNOT_START, f"the container could not be started ({end.reason}); check the runner image"
    )


def _reported(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    message = _end(pod).message
    if not message:
        return None
    report = expected.accept(message, pod.uid)
    if isinstance(report, Rejected):
        return Final(report.reason, report.message)
    if report.failure is None:
        return Final(
            Reason.REPORT_MALFORMED,
            f"the runner exited with code {_end(pod).exit_code} but reports figures; nothing of it is used",
        )
    seen = report.environment if isinstance(report, Report) else None
    return Final(Reason(report.failure.reason.value), report.failure.message, seen)


def _killed_after_its_grace(pod: SeenPod, expected: _Expected[Any]) -> _End | None:
    if not killed_after_its_grace(pod):
        return None
    return Interrupted(
        Reason.EVICTED, "the runner's Pod was deleted, drained or suspended, and it was killed when its grace was over"
    )


def killed_after_its_grace(pod: SeenPod) -> bool:
    """Whether the runner did not answer SIGTERM in time."""
    return pod.deleting and pod.ended is not None and pod.ended.exit_code == EXIT_KILLED and not pod.ended.message


def _no_report(pod: SeenPod, expected: _Expected[Any]) -> _End:
    end = _end(pod)
    signal = f" (signal {end.exit_code - 128})" if 128 < end.exit_code < 160 else ""
    return Final(
        Reason.NO_REPORT,
        f"the runner exited with code {end.exit_code}{signal} and left no report; see kubectl logs -n "
        f"{pod.namespace} {pod.name}",
    )


def _end(pod: SeenPod) -> Ended:
    """The container's end; `_never_started` has spoken before where there is none."""
    assert pod.ended is not None
    return pod.ended


_RULES: tuple[Callable[[SeenPod, _Expected[Any]], _End | None], ...] = (
    _past_its_deadline,
    _disrupted,
    _never_started,
    _terminated,
    _status_lost,
    _out_of_host_memory,
    _cannot_start,
    _reported,
    _killed_after_its_grace,
    _no_report,
)
