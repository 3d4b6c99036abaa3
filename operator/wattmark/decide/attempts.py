"""The run's Pods as status keeps them: recorded once seen, closed once ended."""

from collections.abc import Iterable

from wattmark.api.benchmarkjob import Attempt
from wattmark.api.report import Report
from wattmark.decide.ended import Outcome, Success
from wattmark.decide.saying import timestamp
from wattmark.observe import SeenPod, epoch

MAX_ATTEMPTS = 12  # ten retries and the first attempt, with one to spare


def attempts(recorded: Iterable[Attempt], pods: Iterable[tuple[SeenPod, Outcome[Report] | None]]) -> list[Attempt]:
    """Recorded attempts, brought up to date by the Pods that are there; the oldest first."""
    known = {a.pod_uid: a for a in recorded}
    for pod, outcome in pods:
        started = pod.ended.started if pod.ended else pod.running_since
        ended = pod.ended.finished if pod.ended else None
        known[pod.uid] = Attempt(
            pod_name=pod.name,
            pod_uid=pod.uid,
            node=pod.node or None,
            start_time=timestamp(started) if started else None,
            end_time=timestamp(ended) if ended else None,
            outcome=None if outcome is None else "Succeeded" if isinstance(outcome, Success) else outcome.reason.value,
        )
    return list(known.values())[-MAX_ATTEMPTS:]


def gpu_seconds(attempts: Iterable[Attempt], gpus: int) -> float | None:
    """Seconds that ended containers held GPUs, times their number; None where no GPU was held or no attempt ended.

    An end before the start, by a node's clock that was set back, tells no length.
    """
    spans = [
        end - start
        for a in attempts
        if (start := epoch(a.start_time)) is not None and (end := epoch(a.end_time)) is not None and end >= start
    ]
    return float(sum(spans) * gpus) if gpus and spans else None
