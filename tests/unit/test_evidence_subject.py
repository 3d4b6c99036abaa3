"""What two runs have in common."""

import pytest
from tests.unit.finished import about, architecture, spec

from wattmark.api.model import Weights
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.estimate import Gpu
from wattmark.evidence import device, subject
from wattmark.evidence.subject import product
from wattmark.models.resolve import resolve

COMPARED = [
    pytest.param({}, (True, True, True), id="the same"),
    pytest.param({"batch": 4}, (True, True, False), id="another batch"),
    pytest.param({"runtime": {"attention": "Eager"}}, (False, False, False), id="other attention"),
    pytest.param({"runtime": {"precision": "fp32"}}, (False, False, False), id="another precision"),
    pytest.param({"model": "gpt2-medium"}, (True, False, False), id="another model of the family"),
    pytest.param({"model": "bert-base-uncased"}, (False, False, False), id="another family"),
    pytest.param({"gpus": 0}, (False, False, False), id="on a CPU"),
]


@pytest.mark.parametrize(("changes", "alike"), COMPARED)
def test_what_is_alike(changes: dict[str, object], alike: tuple[bool, bool, bool]) -> None:
    one, other = (
        about(spec(runtime={"precision": "bf16"})),
        about(spec(**{"runtime": {"precision": "bf16"}, **changes})),
    )
    assert (one.kind == other.kind, one.model == other.model, one.question == other.question) == alike


def test_quantized_is_another_kind() -> None:
    plain = ModelCheckSpec.read({"model": {"id": "gpt2"}})
    int8 = ModelCheckSpec.read({"model": {"id": "gpt2"}, "runtime": {"quantization": {"type": "BitsAndBytesInt8"}}})
    read = architecture("gpt2")
    resolved = [resolve(read, asked.workload, asked.runtime, 1) for asked in (plain, int8)]
    one, other = (subject(read, r, Weights.RANDOM, 1) for r in resolved if isinstance(r, Resolved))
    assert one.kind != other.kind


def test_pretrained_weights_are_another_model() -> None:
    pretrained = spec() | {"model": {"id": "gpt2", "weights": "Pretrained"}}
    assert about(pretrained).model != about(spec()).model


def test_the_same_model_elsewhere_is_no_question_that_was_asked() -> None:
    assert about(spec()).elsewhere == about(spec(batch=3)).elsewhere


NAMES = [
    ("NVIDIA A100-SXM4-80GB", "NVIDIA-A100-SXM4-80GB"),
    ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"),
    ("Tesla T4", "Tesla-T4-SHARED"),
]


@pytest.mark.parametrize(("of_cuda", "of_label"), NAMES)
def test_cuda_and_node_labels_name_a_product_alike(of_cuda: str, of_label: str) -> None:
    assert product(of_cuda) == device(Gpu((8, 0), of_label))


def test_a_gpu_without_a_name_is_no_device_that_is_known() -> None:
    assert device(Gpu((8, 0))) is None and device(None) == "cpu"
