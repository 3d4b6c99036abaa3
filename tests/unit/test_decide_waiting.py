"""Why a run does not run yet, in words that say what to do."""

from dataclasses import replace

import pytest
from tests.unit.seen import THE_POD

from wattmark.api.conditions import Reason
from wattmark.decide.waiting import IMAGE_REASONS, refused, waiting
from wattmark.observe import SeenPod

ON_NODE = replace(THE_POD, node="node-1")
WAITS = [
    pytest.param(
        replace(THE_POD, unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        Reason.UNSCHEDULABLE,
        True,
        "the scheduler says: 0/3 nodes",
        id="the scheduler finds no node, and its words are told",
    ),
    pytest.param(THE_POD, Reason.JOB_CREATED, False, "waits to be scheduled", id="not yet looked at"),
    pytest.param(ON_NODE, Reason.SCHEDULED, False, "node node-1", id="bound to a node"),
    pytest.param(
        replace(ON_NODE, waiting_reason="ContainerCreating"),
        Reason.SCHEDULED,
        False,
        "node node-1",
        id="its container is created",
    ),
    pytest.param(
        replace(ON_NODE, waiting_reason="CreateContainerConfigError", waiting_message='secret "hub-token" not found'),
        Reason.CONTAINER_CANNOT_START,
        True,
        'secret "hub-token" not found',
        id="a Secret is missing",
    ),
    pytest.param(
        replace(ON_NODE, waiting_reason="RunContainerError"),
        Reason.CONTAINER_CANNOT_START,
        True,
        "RunContainerError",
        id="the container is refused without a word",
    ),
    *(
        pytest.param(
            replace(ON_NODE, waiting_reason=reason, waiting_message="back-off"),
            Reason.IMAGE_NOT_PULLED,
            True,
            f"({reason}): back-off",
            id=f"the image is not there: {reason}",
        )
        for reason in IMAGE_REASONS
    ),
]


@pytest.mark.parametrize(("pod", "reason", "trouble", "words"), WAITS)
def test_waiting(pod: SeenPod, reason: Reason, trouble: bool, words: str) -> None:
    why = waiting(pod)
    assert (why.reason, why.trouble) == (reason, trouble)
    assert words in why.message


REFUSALS = [
    pytest.param(
        'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1',
        Reason.QUOTA_EXCEEDED,
        id="a quota is exhausted",
    ),
    pytest.param(
        'pods "x" is forbidden: failed quota: cpu: must specify limits.cpu',
        Reason.QUOTA_EXCEEDED,
        id="a quota asks for more",
    ),
    pytest.param(
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsUser=0',
        Reason.POD_SECURITY_REFUSED,
        id="the Pod Security Standard says no",
    ),
    pytest.param(
        'admission webhook "policy.example" denied the request', Reason.POD_REFUSED, id="somebody else says no"
    ),
]


@pytest.mark.parametrize(("message", "reason"), REFUSALS)
def test_refusals(message: str, reason: Reason) -> None:
    why = refused(message)
    assert (why.reason, why.trouble) == (reason, True)
    assert message in why.message
