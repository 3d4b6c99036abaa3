"""The Job of a trace: the same allow-list, no GPU, and a question that is told apart from every other."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.seen import RUN, RUNNER
from tests.unit.test_manifests_run import CONTAINER_FIELDS, HUB, POD_FIELDS, SPECS, container, pod, told

from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.manifests import Owner, question, trace_job, trace_order

OWNER = Owner("ModelCheck", "team", "bert", RUN)
MOUNTED = {"claimName": "models", "path": "bert/base"}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": MOUNTED}


def spec(**fields: Any) -> ModelCheckSpec:
    return ModelCheckSpec.read({"model": {"id": "org/model-1"}, **fields})


def built(read: ModelCheckSpec, config: str | None = None) -> dict[str, Any]:
    return trace_job(OWNER, question(read), config, read, RUNNER)


def checked(raw: dict[str, Any]) -> ModelCheckSpec:
    asked = {name: value for name, value in raw.items() if name in ModelCheckSpec.model_fields}
    return ModelCheckSpec.model_validate(asked | {"resources": raw["resources"] | {"gpusPerNode": 1}})


@settings(max_examples=100)
@given(SPECS, st.none() | st.text(max_size=200))
def test_no_spec_leaves_the_allow_list_or_asks_for_a_gpu(raw: dict[str, Any], config: str | None) -> None:
    read = checked(raw)
    job = built(read, config)
    tracer, inside = pod(job), container(job)
    assert set(tracer) <= POD_FIELDS - {"nodeSelector", "affinity", "priorityClassName", "runtimeClassName"}
    assert set(inside) == CONTAINER_FIELDS
    assert tracer["automountServiceAccountToken"] is False
    assert tracer["securityContext"]["runAsNonRoot"] is True
    assert inside["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert inside["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(inside["resources"]["requests"]) == {"cpu", "memory"} and set(inside["resources"]["limits"]) == {
        "memory"
    }
    assert {m["name"] for m in inside["volumeMounts"]} == {v["name"] for v in tracer["volumes"]}
    assert all("sizeLimit" in v["emptyDir"] for v in tracer["volumes"] if "emptyDir" in v)
    assert told(job) == trace_order(RUN, question(read), config, read)
    assert json.loads(json.dumps(job)) == job


def test_the_job_is_named_labelled_and_owned() -> None:
    job = built(spec())
    labels = job["metadata"]["labels"]
    assert job["metadata"]["name"] == "bert-trace"
    assert labels == job["spec"]["template"]["metadata"]["labels"]
    assert (labels["wattmark.dev/kind"], labels["wattmark.dev/name"]) == ("ModelCheck", "bert")
    assert all(len(value) <= 63 for value in labels.values())
    assert job["metadata"]["ownerReferences"] == [
        {"apiVersion": "wattmark.dev/v1alpha1", "kind": "ModelCheck", "name": "bert", "uid": RUN, "controller": True}
    ]
    assert "ttlSecondsAfterFinished" not in job["spec"]  # given once the result is kept


def test_a_pvc_is_mounted_for_reading_and_nothing_else_is_asked() -> None:
    job = built(spec(model={"id": "mine", "source": VOLUME}))
    assert told(job).folder == "/model/bert/base" and told(job).hub is None
    (volume,) = (v for v in pod(job)["volumes"] if v["name"] == "model")
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container(job)["env"]


def test_a_gated_model_is_read_with_the_tenants_token() -> None:
    job = built(spec(model={"id": "org/gated", "source": HUB}))
    hub = told(job).hub
    assert hub is not None and hub.repository == "org/gated"
    (token,) = (e for e in container(job)["env"] if e["name"] == "HF_TOKEN")
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "token"}}


def test_a_configuration_that_is_known_is_handed_over() -> None:
    read = told(built(spec(), '{"model_type":"bert"}'))
    assert (read.config, read.folder, read.hub) == ('{"model_type":"bert"}', None, None)


def test_a_spec_that_names_more_memory_gets_more() -> None:
    assert container(built(spec()))["resources"]["limits"] == {"memory": "6144Mi"}
    wanted = spec(resources={"memory": "64Gi"})
    assert container(built(wanted))["resources"]["limits"] == {"memory": "65536Mi"}
    assert container(built(wanted))["resources"]["requests"]["memory"] == "1536Mi"


SAME = [
    pytest.param({"method": "Auto"}, id="how it is answered"),
    pytest.param({"require": "Fits"}, id="what is required of the answer"),
    pytest.param({"placement": {"nodeSelector": {"a": "b"}}}, id="where it may land"),
    pytest.param({"resources": {"gpu": {"products": ["NVIDIA-L4"]}}}, id="which GPUs"),
    pytest.param({"resources": {"cpu": "4"}}, id="how many cores a run gets"),
    pytest.param({"model": {"id": "org/model-1", "weights": "Random"}}, id="a default that is written out"),
]
OTHER = [
    pytest.param({"model": {"id": "org/model-2"}}, id="another model"),
    pytest.param({"workload": {"type": "Inference", "inference": {"batchSizePerDevice": 9}}}, id="another batch"),
    pytest.param({"runtime": {"precision": "fp32"}}, id="another precision"),
    pytest.param({"resources": {"memory": "64Gi"}}, id="more memory to trace in"),
]


@pytest.mark.parametrize("fields", SAME)
def test_the_question_stays_the_same_with(fields: dict[str, Any]) -> None:
    assert question(spec(**fields)) == question(spec())


@pytest.mark.parametrize("fields", OTHER)
def test_the_question_is_another_with(fields: dict[str, Any]) -> None:
    assert question(spec(**fields)) != question(spec())
