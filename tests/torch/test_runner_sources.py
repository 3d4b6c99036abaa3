"""Where weights come from, and what is never run: pickles and code of a model's repository."""

import json
import pickle
from pathlib import Path

import pytest
import torch
import transformers
from tests.torch.brief import run

from wattmark.api.order import RunOrder
from wattmark.api.report import RunFailure
from wattmark_runner.device import Cpu
from wattmark_runner.models import load

CONFIG = {
    "model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 97,
}  # fmt: skip


def order(**more: object) -> RunOrder:
    body = {
        "runUid": "run",
        "modelId": "mine",
        "weights": "Pretrained",
        "workload": {
            "type": "Inference",
            "inference": {"batchSizePerDevice": 2, "input": {"text": {"inputTokens": 8, "outputTokens": 0}}},
        },
        "runtime": {},
        "measure": {"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2},
        "gpus": 0,
        "runningSeconds": 120,
    }
    return RunOrder.model_validate(body | more)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    config = transformers.CONFIG_MAPPING["gpt2"].from_dict(dict(CONFIG))
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    return tmp_path


def test_safetensors_of_a_local_folder_are_loaded(saved: Path) -> None:
    from safetensors.torch import load_file

    loaded = load(order(folder=str(saved)), Cpu(), None)
    stored = load_file(saved / "model.safetensors")
    assert torch.equal(loaded.model.transformer.wte.weight, stored["transformer.wte.weight"])
    report = run(order(folder=str(saved)))
    assert report.failure is None and report.results is not None
    assert report.results.parameter_count == sum(tensor.numel() for tensor in stored.values())


def test_weights_are_loaded_in_the_precision_asked_for(saved: Path) -> None:
    loaded = load(order(folder=str(saved), runtime={"precision": "bf16"}), Cpu(), None)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}


def test_random_weights_need_only_the_folders_configuration(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    assert run(order(folder=str(saved), weights="Random")).failure is None


class Canary:
    """A pickle that touches a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_a_pickle_is_refused_and_not_read(tmp_path: Path, name: str) -> None:
    touched = tmp_path / "touched"
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / name).write_bytes(pickle.dumps(Canary(touched)))
    failure = run(order(folder=str(tmp_path))).failure
    assert failure is not None and failure.reason is RunFailure.MODEL_NOT_LOADABLE
    assert name in failure.message and "safetensors" in failure.message
    assert not touched.exists()


@pytest.mark.parametrize("weights", ["Random", "Pretrained"])
def test_code_that_a_configuration_names_is_not_run(saved: Path, weights: str) -> None:
    touched = saved / "touched"
    code = f"from pathlib import Path\nPath({str(touched)!r}).touch()\n"
    (saved / "modeling_mine.py").write_text(code)
    (saved / "configuration_mine.py").write_text(code)
    classes = {"AutoConfig": "configuration_mine.Config", "AutoModelForCausalLM": "modeling_mine.Model"}
    config = json.loads((saved / "config.json").read_text()) | {"auto_map": classes}
    (saved / "config.json").write_text(json.dumps(config))
    assert run(order(folder=str(saved), weights=weights)).failure is None
    assert not touched.exists()


@pytest.mark.parametrize(
    ("more", "reason", "words"),
    [
        pytest.param({"config": "{"}, RunFailure.MODEL_NOT_LOADABLE, "not JSON", id="broken JSON"),
        pytest.param(
            {"config": '{"_class_name": "UNet2DConditionModel", "sample_size": 64, "block_out_channels": [32], '
             '"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}', "weights": "Random"},
            RunFailure.MODEL_NOT_LOADABLE,
            "is one of diffusers",
            id="a class of another library",
        ),
        pytest.param({"config": "[]"}, RunFailure.MODEL_NOT_LOADABLE, "not a JSON object", id="JSON of another kind"),
        pytest.param({"config": "[" * 5000}, RunFailure.MODEL_NOT_LOADABLE, "not JSON", id="deeply nested JSON"),
        pytest.param(
            {"config": '{"model_type": "nobody-knows"}', "weights": "Random"}, RunFailure.MODEL_NOT_LOADABLE,
            "nobody-knows", id="an unknown type",
        ),
        pytest.param(
            {"config": json.dumps(CONFIG | {"n_head": 5}), "weights": "Random"}, RunFailure.MODEL_NOT_LOADABLE,
            "equal parts", id="a configuration that contradicts itself",
        ),
        pytest.param({"folder": "/nowhere"}, RunFailure.MODEL_NOT_LOADABLE, "config.json", id="no such folder"),
        pytest.param({}, RunFailure.INVALID_ORDER, "names no configuration", id="no source at all"),
        pytest.param(
            {"config": json.dumps(CONFIG), "weights": "Pretrained"}, RunFailure.INVALID_ORDER, "pretrained",
            id="pretrained weights from nowhere",
        ),
        pytest.param(
            {"config": json.dumps(CONFIG), "weights": "Random", "runtime": {"precision": "tf32"}},
            RunFailure.INVALID_ORDER, "tf32", id="a precision that the CPU does not have",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_why(more: dict[str, object], reason: RunFailure, words: str) -> None:
    report = run(order(**more))
    assert report.failure is not None and report.failure.reason is reason
    assert words in report.failure.message
    assert report.results is None


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    failure = run(order(folder=str(tmp_path))).failure
    assert failure is not None and "no safetensors" in failure.message


@pytest.mark.parametrize(
    "option",
    [
        pytest.param({"attn_implementation": "eager"}, id="its attention is the order's to choose"),
        pytest.param({"attn_implementation": "somebody/kernels"}, id="kernels of a repository are not fetched"),
        pytest.param({"return_dict": False, "output_hidden_states": True}, id="its outputs are the workload's"),
    ],
)
def test_how_a_configuration_wants_to_be_used_does_not_count(option: dict[str, object]) -> None:
    report = run(order(config=json.dumps(CONFIG | option), weights="Random"))
    assert report.failure is None, report.failure
    assert report.environment is not None and report.environment.attention == "sdpa"


def test_attention_is_the_one_asked_for() -> None:
    report = run(order(config=json.dumps(CONFIG), weights="Random", runtime={"attention": "Eager"}))
    assert report.environment is not None and report.environment.attention == "eager"
