"""How each end of a runner Pod is understood, by the rules that the Job controller applies."""

import json
from dataclasses import replace

import pytest
from tests.unit.seen import OTHER_RUN, POD, RUN, RUNNING_POD, THE_POD, ended, failed, failure, succeeded, wire

from wattmark.api.conditions import Reason
from wattmark.api.report import EXIT_CODES, RunFailure
from wattmark.decide.ended import Final, Interrupted, Success, outcome
from wattmark.observe import SeenPod

WHOLE = json.dumps(wire())

NOT_ENDED = [
    pytest.param(THE_POD, id="a Pod that waits for a node"),
    pytest.param(RUNNING_POD, id="a Pod that runs"),
    pytest.param(replace(RUNNING_POD, phase="Unknown"), id="a Pod of which the node says nothing"),
    pytest.param(replace(RUNNING_POD, deleting=True), id="a Pod that is told to end"),
    pytest.param(
        replace(RUNNING_POD, running_since=None, ended=ended(1, WHOLE)),
        id="a container that failed, before its Pod",
    ),
]


@pytest.mark.parametrize("pod", NOT_ENDED)
def test_not_yet_ended(pod: SeenPod) -> None:
    assert outcome(pod, RUN) is None


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(succeeded(), id="a Pod that succeeded"),
        pytest.param(replace(succeeded(), phase="Running"), id="a container that succeeded, before its Pod"),
    ],
)
def test_a_report_of_a_runner_that_ended_well_is_success(pod: SeenPod) -> None:
    end = outcome(pod, RUN)
    assert isinstance(end, Success) and end.report.run_uid == RUN


DISRUPTED = {"disruption": "EvictionByEvictionAPI"}
NEVER_STARTED = replace(failed(0, ended=None), reason="UnexpectedAdmissionError", message="no healthy devices")

INTERRUPTED = [
    pytest.param(failed(137, **DISRUPTED), "EvictionByEvictionAPI", id="evicted"),
    pytest.param(failed(137, reason="OOMKilled", **DISRUPTED), "node node-1", id="evicted, whatever killed it"),
    pytest.param(failed(1, message="half a rep", **DISRUPTED), "cluster ended", id="evicted, whatever it wrote"),
    pytest.param(failed(0, disruption="PreemptionByScheduler", node=""), "(none)", id="preempted"),
    pytest.param(
        failed(137, reason="ContainerStatusUnknown", disruption="DeletionByTaintManager"),
        "DeletionByTaintManager",
        id="lost with its node, which counts as infrastructure when the cluster says so",
    ),
    pytest.param(NEVER_STARTED, "no healthy devices", id="refused by the kubelet"),
    pytest.param(failed(0, ended=None), "no reason given", id="ended before its container ran, without a word"),
    pytest.param(failed(143), "SIGTERM", id="told to end"),
    pytest.param(failed(137, deleting=True), "grace was over", id="told to end, and killed because it did not"),
    pytest.param(failed(143, message=WHOLE), "SIGTERM", id="told to end, whatever it wrote"),
]


@pytest.mark.parametrize(("pod", "words"), INTERRUPTED)
def test_what_the_cluster_ended_is_tried_again(pod: SeenPod, words: str) -> None:
    end = outcome(pod, RUN)
    assert isinstance(end, Interrupted)
    assert end.reason is Reason.EVICTED
    assert words in end.message


FINAL = [
    pytest.param(succeeded(""), Reason.NO_REPORT, "code 0", id="success without a report"),
    pytest.param(replace(succeeded(), ended=None), Reason.NO_REPORT, "code 0", id="success without a container"),
    pytest.param(succeeded("ok"), Reason.REPORT_MALFORMED, "not JSON", id="success with something else"),
    pytest.param(succeeded("x" * 4097), Reason.REPORT_TOO_LARGE, "4096", id="success with too much"),
    pytest.param(
        succeeded(WHOLE.replace(RUN, OTHER_RUN)), Reason.REPORT_OF_ANOTHER_RUN, "another run", id="another run's report"
    ),
    pytest.param(
        succeeded(failure("RunnerError")), Reason.REPORT_MALFORMED, "code 0 but", id="success that reports a failure"
    ),
    pytest.param(
        replace(failed(143), reason="DeadlineExceeded"),
        Reason.RUNNING_DEADLINE_EXCEEDED,
        "spec.deadlines",
        id="past the Pod's deadline, although SIGTERM ended it",
    ),
    pytest.param(
        replace(failed(137, **DISRUPTED), reason="DeadlineExceeded"),
        Reason.RUNNING_DEADLINE_EXCEEDED,
        "spec.deadlines",
        id="past the Pod's deadline comes before a disruption",
    ),
    pytest.param(
        failed(137, reason="OOMKilled"),
        Reason.HOST_OUT_OF_MEMORY,
        "spec.resources.memory",
        id="killed by the kernel for memory",
    ),
    pytest.param(
        failed(137, reason="OOMKilled", deleting=True),
        Reason.HOST_OUT_OF_MEMORY,
        "spec.resources.memory",
        id="and that while its Pod was being deleted",
    ),
    pytest.param(
        failed(137, reason="ContainerStatusUnknown"),
        Reason.REPORT_LOST,
        "lost track",
        id="a synthetic 137 is not out of memory",
    ),
    pytest.param(
        failed(128, reason="StartError"), Reason.CONTAINER_CANNOT_START, "StartError", id="an image without the program"
    ),
    pytest.param(
        failed(127, reason="ContainerCannotRun"),
        Reason.CONTAINER_CANNOT_START,
        "runner image",
        id="a container refused",
    ),
    pytest.param(failed(1), Reason.NO_REPORT, "kubectl logs -n team bert-run-abcde", id="code 1 without a report"),
    pytest.param(failed(139), Reason.NO_REPORT, "signal 11", id="a segmentation fault"),
    pytest.param(failed(137), Reason.NO_REPORT, "signal 9", id="killed by somebody, not by the kernel for memory"),
    pytest.param(failed(255), Reason.NO_REPORT, "code 255 and", id="code 255 is no signal"),
    pytest.param(failed(1, "Traceback"), Reason.REPORT_MALFORMED, "not JSON", id="code 1 with something else"),
    pytest.param(failed(1, WHOLE), Reason.REPORT_MALFORMED, "code 1 but", id="a failure that reports figures"),
    pytest.param(failed(163, "x" * 5000), Reason.REPORT_TOO_LARGE, "4096", id="a failure with too much to say"),
]


@pytest.mark.parametrize(("pod", "reason", "words"), FINAL)
def test_what_is_final(pod: SeenPod, reason: Reason, words: str) -> None:
    end = outcome(pod, RUN)
    assert isinstance(end, Final)
    assert end.reason is reason, end.message
    assert words in end.message


@pytest.mark.parametrize("kind", list(RunFailure))
def test_each_failure_that_the_runner_tells_keeps_its_reason_and_words(kind: RunFailure) -> None:
    end = outcome(failed(EXIT_CODES[kind], failure(kind.value, "do this")), RUN)
    assert end == Final(Reason(kind.value), "do this")


def test_the_runners_exit_codes_are_final_to_the_job_controller_too() -> None:
    assert len(set(EXIT_CODES.values())) == len(RunFailure)
    assert all(code not in (0, 143) and 143 < code < 255 for code in EXIT_CODES.values())


def test_the_report_of_another_pod_is_not_this_ones() -> None:
    end = outcome(replace(succeeded(), uid=POD + "-2"), RUN)
    assert isinstance(end, Final) and end.reason is Reason.REPORT_OF_ANOTHER_RUN
