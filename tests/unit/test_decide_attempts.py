"""The run's Pods as status keeps them."""

from dataclasses import replace

from tests.unit.seen import OTHER_POD, POD, RETRY, RUN, RUNNING_POD, THE_POD, at, failed, succeeded

from wattmark.api.benchmarkjob import Attempt
from wattmark.decide.attempts import MAX_ATTEMPTS, attempts, gpu_seconds
from wattmark.decide.ended import outcome
from wattmark.observe import Ended, SeenPod


def kept(recorded: list[Attempt], *pods: SeenPod) -> list[Attempt]:
    return attempts(recorded, [(pod, outcome(pod, RUN)) for pod in pods])


def test_an_attempt_is_recorded_once_seen_and_closed_once_ended() -> None:
    seen = kept([], THE_POD)
    assert [a.wire() for a in seen] == [{"podName": "bert-run-abcde", "podUid": POD}]
    running = kept(seen, RUNNING_POD)
    assert [(a.node, a.start_time, a.end_time, a.outcome) for a in running] == [("node-1", at(5), None, None)]
    ended = kept(running, succeeded())
    assert [(a.start_time, a.end_time, a.outcome) for a in ended] == [(at(5), at(305), "Succeeded")]


def test_what_is_gone_stays_recorded_and_comes_first() -> None:
    first = kept([], failed(143))
    both = kept(first, RETRY)
    assert [(a.pod_uid, a.outcome) for a in both] == [(POD, "Evicted"), (OTHER_POD, None)]


def test_a_container_that_never_started_has_no_start() -> None:
    # The kubelet writes 1970 for one that it could not start.
    unstarted = replace(failed(128), ended=Ended(128, "StartError", "", 0.0, 1_800_000_305.0))
    (attempt,) = kept([], unstarted)
    assert (attempt.start_time, attempt.end_time, attempt.outcome) == (None, at(305), "ContainerCannotStart")
    assert gpu_seconds([attempt], 1) is None


def test_the_latest_are_kept_where_there_are_too_many() -> None:
    pods = [replace(THE_POD, uid=f"uid-{i}") for i in range(MAX_ATTEMPTS + 3)]
    assert [a.pod_uid for a in kept([], *pods)] == [f"uid-{i}" for i in range(3, MAX_ATTEMPTS + 3)]


def test_gpu_seconds_sum_over_attempts_that_ended() -> None:
    ended = kept([], failed(143), replace(failed(143), uid=OTHER_POD))
    assert gpu_seconds(ended, 1) == 600.0
    assert gpu_seconds(ended, 0) is None
    set_back = replace(failed(143), uid="third-uid", ended=Ended(143, "Error", "", 1_800_000_900.0, 1_800_000_305.0))
    assert gpu_seconds(kept(ended, set_back), 1) == 600.0
    assert gpu_seconds(kept([], RUNNING_POD), 1) is None
