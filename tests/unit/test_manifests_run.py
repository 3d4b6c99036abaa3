"""The Job of a run: an allow-list under the restricted Pod Security Standard, whatever the spec asks for."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.seen import RUN, RUNNER, spec

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.order import RunOrder
from wattmark.manifests import Asked, order, run_job

ASKED = Asked("team", "bert", RUN, config='{"model_type":"bert"}', host_memory_bytes=None, products=None)
COMMIT = "0" * 40
HUB = {"type": "Hub", "hub": {"revision": COMMIT, "tokenSecretRef": {"name": "hub", "key": "token"}}}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models", "path": "bert/base"}}
INLINE = {"type": "Inline", "inline": {"config": '{"a":"$(KUBERNETES_SERVICE_HOST) $$ $"}'}}


def built(asked: Asked = ASKED, **changes: Any) -> dict[str, Any]:
    return run_job(asked, spec(**changes), RUNNER)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(job)["containers"]
    found: dict[str, Any] = only
    return found


def expanded(value: str, known: dict[str, str]) -> str:
    """An environment variable's value as the kubelet hands it to the container."""

    def stands_for(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", stands_for, value)


def told(job: dict[str, Any]) -> RunOrder:
    """The order as the runner reads it from its environment."""
    value = {e["name"]: e.get("value", "") for e in container(job)["env"]}["WATTMARK_ORDER"]
    return RunOrder.model_validate_json(expanded(value, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}))


SOURCES = st.sampled_from([None, {"type": "Registry"}, HUB, VOLUME, INLINE])
WORDS = st.text("abcxyz", min_size=1, max_size=8)
TOLERATIONS = st.lists(st.fixed_dictionaries({"key": WORDS, "operator": st.just("Exists")}), max_size=3)
SPECS = st.builds(
    lambda source, pretrained, gpus, gpu, cpu, memory, placement, training, retries, inputs: {
        "model": {
            "id": "org/model-1",
            **({"source": source} if source else {}),
            "weights": "Pretrained" if pretrained and source is not INLINE else "Random",
        },
        "workload": {"type": "Training", "training": {}} if training else {"type": "Inference", "inference": inputs},
        "resources": {
            "gpusPerNode": gpus,
            **({"gpu": {"resourceName": gpu}} if gpu and gpus else {}),
            **({"cpu": cpu} if cpu else {}),
            **({"memory": memory} if memory else {}),
        },
        "placement": placement,
        "maxInfrastructureRetries": retries,
    },
    SOURCES,
    st.booleans(),
    st.integers(0, 1),
    st.sampled_from([None, "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb"]),
    st.sampled_from([None, 4, "500m", "8"]),
    st.sampled_from([None, 2**34, "16Gi"]),
    st.fixed_dictionaries(
        {},
        optional={
            "nodeSelector": st.dictionaries(WORDS, WORDS, max_size=3),
            "tolerations": TOLERATIONS,
            "priorityClassName": WORDS,
            "runtimeClassName": WORDS,
        },
    ),
    st.booleans(),
    st.integers(0, 10),
    st.fixed_dictionaries({}, optional={"batchSizePerDevice": st.integers(1, 65536)}),
)
ANY_ASKED = st.builds(
    lambda config, memory, products: replace(ASKED, config=config, host_memory_bytes=memory, products=products),
    st.none() | st.text(max_size=200),
    st.none() | st.integers(1, 2**45),
    st.none() | st.lists(WORDS, min_size=1, max_size=3).map(tuple),
)

POD_FIELDS = {
    *("restartPolicy", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds"),
    *("activeDeadlineSeconds", "securityContext", "containers", "volumes", "tolerations", "nodeSelector", "affinity"),
    *("priorityClassName", "runtimeClassName", "imagePullSecrets", "shareProcessNamespace"),
}
CONTAINER_FIELDS = {
    *("name", "image", "imagePullPolicy", "env", "resources", "terminationMessagePath", "terminationMessagePolicy"),
    *("securityContext", "volumeMounts"),
}


@settings(max_examples=200)
@given(ANY_ASKED, SPECS)
def test_no_spec_leaves_the_allow_list_or_the_restricted_standard(asked: Asked, raw: dict[str, Any]) -> None:
    job = run_job(asked, BenchmarkJobSpec.model_validate(raw), RUNNER)
    runner_pod, runner = pod(job), container(job)
    assert set(runner_pod) <= POD_FIELDS
    assert set(runner) == CONTAINER_FIELDS
    assert runner_pod["automountServiceAccountToken"] is False
    assert runner_pod["enableServiceLinks"] is False
    assert runner_pod["restartPolicy"] == "Never"
    assert runner_pod["shareProcessNamespace"] is True  # with the pause container alone: there is no other
    assert len(runner_pod["containers"]) == 1 and "initContainers" not in runner_pod
    assert runner_pod["securityContext"]["runAsNonRoot"] is True
    assert runner_pod["securityContext"]["runAsUser"] > 0
    assert runner_pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert runner["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {kind for volume in runner_pod["volumes"] for kind in volume} <= {
        "name",
        "emptyDir",
        "persistentVolumeClaim",
    }
    assert all("sizeLimit" in v["emptyDir"] for v in runner_pod["volumes"] if "emptyDir" in v)
    assert {m["name"] for m in runner["volumeMounts"]} == {v["name"] for v in runner_pod["volumes"]}
    assert {"cpu", "memory"} <= set(runner["resources"]["requests"])
    assert "memory" in runner["resources"]["limits"]


@settings(max_examples=200)
@given(ANY_ASKED, SPECS)
def test_the_order_arrives_as_it_was_written(asked: Asked, raw: dict[str, Any]) -> None:
    read = BenchmarkJobSpec.model_validate(raw)
    job = run_job(asked, read, RUNNER)
    assert told(job) == order(asked, read, RUNNER.progress_seconds)
    assert json.loads(json.dumps(job)) == job


def test_the_job_is_named_labelled_and_owned() -> None:
    job = built()
    metadata = job["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("team", "bert-run")
    assert metadata["labels"] == job["spec"]["template"]["metadata"]["labels"]
    assert metadata["labels"]["wattmark.dev/kind"] == "BenchmarkJob"
    assert metadata["labels"]["wattmark.dev/name"] == "bert"
    # blockOwnerDeletion stays unset: setting it takes a right that the operator does not have everywhere.
    assert metadata["ownerReferences"] == [
        {"apiVersion": "wattmark.dev/v1alpha1", "kind": "BenchmarkJob", "name": "bert", "uid": RUN, "controller": True}
    ]


def test_the_longest_name_is_still_a_label() -> None:
    job = run_job(replace(ASKED, name="a" * 48), spec(), RUNNER)
    assert all(len(value) <= 63 for value in job["metadata"]["labels"].values())


def test_infrastructure_is_counted_before_anything_fails_the_job() -> None:
    job = built(maxInfrastructureRetries=7)["spec"]
    assert job["backoffLimit"] == 7
    assert job["podReplacementPolicy"] == "Failed"
    rules = job["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Count", "Count", "FailJob"]
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert rules[1]["onExitCodes"] == {"containerName": "runner", "operator": "In", "values": [143]}
    assert rules[2]["onExitCodes"] == {"containerName": "runner", "operator": "NotIn", "values": [0, 143]}
    assert "activeDeadlineSeconds" not in job  # it would also kill a Job that waits for a GPU


def test_the_pods_deadline_leaves_the_runner_time_to_end_itself() -> None:
    deadlines = {"pendingSeconds": 100, "runningSeconds": 1000}
    job = built(deadlines=deadlines)
    assert told(job).running_seconds == 1000
    assert pod(job)["activeDeadlineSeconds"] > 1100


GPU = "nvidia.com/gpu"
RESOURCES = [
    pytest.param({}, None, {"cpu": "1", "memory": "4096Mi", GPU: "1"}, {"memory": "16384Mi", GPU: "1"}, id="nothing"),
    pytest.param(
        {"gpusPerNode": 0},
        2**30 + 1,
        {"cpu": "1", "memory": "1025Mi"},
        {"memory": "2049Mi"},
        id="the estimate is requested, and twice of it allowed",
    ),
    pytest.param(
        {"gpusPerNode": 0, "cpu": 4, "memory": "32Gi"},
        2**30,
        {"cpu": "4", "memory": "32Gi"},
        {"cpu": "4", "memory": "32Gi"},
        id="what the spec says is requested and allowed",
    ),
    pytest.param(
        {"gpu": {"resourceName": "nvidia.com/gpu.shared"}, "cpu": "500m", "memory": 1000},
        None,
        {"cpu": "500m", "memory": "1000", "nvidia.com/gpu.shared": "1"},
        {"cpu": "500m", "memory": "1000", "nvidia.com/gpu.shared": "1"},
        id="another vendor's GPU",
    ),
]


@pytest.mark.parametrize(("resources", "memory", "requests", "limits"), RESOURCES)
def test_resources(resources: Any, memory: int | None, requests: dict[str, str], limits: dict[str, str]) -> None:
    job = built(replace(ASKED, host_memory_bytes=memory), resources=resources)
    assert container(job)["resources"] == {"requests": requests, "limits": limits}


MODELS = [
    pytest.param({"id": "bert"}, False, None, None, {"HF_HUB_OFFLINE"}, id="random weights need no hub"),
    pytest.param({"id": "b", "source": HUB}, True, None, None, {"HF_TOKEN", "HF_HUB_OFFLINE"}, id="a gated model"),
    pytest.param(
        {"id": "org/b", "weights": "Pretrained", "source": HUB},
        True,
        "org/b",
        None,
        {"HF_TOKEN"},
        id="weights from a gated repository",
    ),
    pytest.param({"id": "org/b", "weights": "Pretrained"}, False, "org/b", None, set(), id="weights from the hub"),
    pytest.param(
        {"id": "b", "weights": "Pretrained", "source": VOLUME},
        False,
        None,
        "/model/bert/base",
        {"HF_HUB_OFFLINE"},
        id="weights from a volume",
    ),
]


@pytest.mark.parametrize(("model", "secret", "repository", "folder", "variables"), MODELS)
def test_where_the_model_comes_from(
    model: Any, secret: bool, repository: str | None, folder: str | None, variables: set[str]
) -> None:
    job = built(model=model)
    read = told(job)
    assert (read.hub.repository if read.hub else None) == repository
    assert read.folder == folder
    environment = {e["name"]: e for e in container(job)["env"]}
    assert set(environment) == {"WATTMARK_ORDER", "WATTMARK_POD_UID", *variables}
    if secret:
        assert environment["HF_TOKEN"] == {
            "name": "HF_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
        }
    mounted = [m for m in container(job)["volumeMounts"] if m["name"] == "model"]
    assert mounted == ([{"name": "model", "mountPath": "/model", "readOnly": True}] if folder else [])


def test_the_root_of_a_volume_is_a_folder_without_a_slash() -> None:
    root = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}
    assert told(built(model={"id": "b", "source": root})).folder == "/model"


def test_gpus_bring_their_toleration_and_a_cpu_run_none() -> None:
    own = [{"key": "team", "operator": "Equal", "value": "ml"}]
    assert pod(built(placement={"tolerations": own}))["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        *own,
    ]
    mig = {"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}}
    assert pod(built(resources=mig))["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert pod(built(resources={"gpusPerNode": 0}))["tolerations"] == []


def test_a_run_is_held_to_the_products_that_it_fits() -> None:
    job = built(replace(ASKED, products=("NVIDIA-L4", "NVIDIA-A100-SXM4-80GB")))
    required = pod(job)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"] == [
        {
            "matchExpressions": [
                {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-L4", "NVIDIA-A100-SXM4-80GB"]}
            ]
        }
    ]
    assert "affinity" not in pod(built())


def test_the_settings_decide_image_policy_and_secrets() -> None:
    runner = replace(RUNNER, pull_policy="Never", pull_secrets=("one", "two"), progress_seconds=0.0)
    job = run_job(ASKED, spec(), runner)
    assert (container(job)["image"], container(job)["imagePullPolicy"]) == (RUNNER.image, "Never")
    assert pod(job)["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert told(job).progress_seconds > 0  # nobody reads it, and the log stays short
