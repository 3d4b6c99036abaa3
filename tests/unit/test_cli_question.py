"""Questions from the command line: the ModelChecks that they are, and words for what cannot be asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from wattmark.api.runtime import QuantizationSpec
from wattmark.cli.command import main
from wattmark.cli.manifest import InvalidManifest
from wattmark.cli.question import assumed, stored_as
from wattmark.models import lookup

LLAMA = "meta-llama/Llama-3.1-8B"


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    main(["check", *arguments, "--gpu", "H100-SXM", "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    return found["items"] if found["kind"] == "List" else [found]


SPECS: list[Any] = [
    pytest.param(["--model", "gpt2"], {"workload": {"type": "Inference"}}, id="a model alone"),
    pytest.param(["--model", "gpt2", "--precision", "fp16"], {"runtime": {"precision": "fp16"}}, id="a precision"),
    pytest.param(
        ["--model", LLAMA, "--batch", "4", "--input-tokens", "2048", "--output-tokens", "0"],
        {
            "workload": {
                "inference": {
                    "batchSizePerDevice": 4,
                    "input": {"text": {"inputTokens": 2048, "outputTokens": 0}},
                }
            }
        },
        id="a shape",
    ),
    pytest.param(
        ["--model", "gpt2", "--training", "--batch", "2"],
        {"workload": {"type": "Training", "training": {"batchSizePerDevice": 2, "optimizer": "AdamW"}}},
        id="training",
    ),
    pytest.param(
        ["--model", "gpt2", "--precision", "fp16", "--quantization", "nf4"],
        {"runtime": {"precision": "fp16", "quantization": {"type": "BitsAndBytesNF4"}}},
        id="a quantization",
    ),
    pytest.param(
        ["--model", "gpt2", "--quantization", "none", "--method", "Auto"],
        {"runtime": {"quantization": {"type": "None"}}, "method": "Auto"},
        id="a method, and no quantization by name",
    ),
    pytest.param(
        ["--model", "gpt2", "--training", "--quantization", "int8", "--set", "workload.training.lora={rank: 4}"],
        {"runtime": {"quantization": {"type": "BitsAndBytesInt8"}}, "workload": {"training": {"lora": {"rank": 4}}}},
        id="training adapters of a quantized model",
    ),
    pytest.param(
        ["--model", "gpt2", "--set", "runtime.attention=Eager", "--set", "spec.require=Fits"],
        {"runtime": {"attention": "Eager"}, "require": "Fits"},
        id="any other field",
    ),
    pytest.param(
        [
            "--model",
            "bert-base-uncased",
            "--set",
            "workload.type=Analysis",
            "--set",
            "workload.analysis.kind=AttentionVisualization",
        ],
        {"workload": {"type": "Analysis", "analysis": {"kind": "AttentionVisualization"}}},
        id="another kind of workload",
    ),
]


def within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


@pytest.mark.parametrize(("arguments", "spec"), SPECS)
def test_options_become_a_spec_that_can_be_applied(
    arguments: list[str], spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = asked(capsys, *arguments)
    assert within(spec, found["spec"]), found["spec"]
    assert found["status"]["summary"]["verdict"] == "Fits"


def test_each_model_is_asked_about_with_each_precision(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--model", "gpt2", LLAMA, "--precision", "bf16", "fp16")
    assert [item["metadata"]["name"] for item in found] == [
        "gpt2-bf16",
        "gpt2-fp16",
        "llama-3-1-8b-bf16",
        "llama-3-1-8b-fp16",
    ]


def test_each_precision_is_asked_about_with_each_quantization(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "--model", "gpt2", "--precision", "bf16", "fp16", "--quantization", "none", "int8")
    assert [item["metadata"]["name"] for item in found] == [
        "gpt2-bf16-none",
        "gpt2-bf16-int8",
        "gpt2-fp16-none",
        "gpt2-fp16-int8",
    ]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        pytest.param(None, "none", id="nothing resolved"),
        pytest.param({"type": "None"}, "none", id="as precision says"),
        pytest.param({"type": "BitsAndBytesInt8"}, "int8", id="8 bits"),
        pytest.param({"type": "BitsAndBytesNF4"}, "nf4", id="4 bits"),
        pytest.param(
            {"type": "BitsAndBytesNF4", "bitsAndBytesNF4": {"doubleQuantization": True}}, "nf4, double", id="scales too"
        ),
    ],
)
def test_a_quantization_has_the_name_that_the_option_takes(spec: dict[str, Any] | None, word: str) -> None:
    assert stored_as(None if spec is None else QuantizationSpec.read(spec)) == word


def test_a_configuration_stands_for_a_model_that_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 97}
    (tmp_path / "config.json").write_text(json.dumps(config, indent=4), encoding="utf-8")
    (found,) = asked(capsys, "--model", "mine", "--config", str(tmp_path / "config.json"))
    assert found["status"]["parameterCount"] > 0
    assert json.loads(found["spec"]["model"]["source"]["inline"]["config"]) == config


def test_a_configuration_that_is_too_long_keeps_the_number_of_its_classes_and_not_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vit = lookup("vit")
    assert vit is not None
    names = {str(number): f"picture of kind {number}" for number in range(777)}
    short = {name: value for name, value in vit.config.items() if name != "num_labels"}
    long = {**short, "id2label": names, "label2id": {name: int(number) for number, name in names.items()}}
    answers = []
    for config in (long, {**short, "num_labels": 777}):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        answers += asked(capsys, "--model", "mine", "--config", str(tmp_path / "config.json"))
    assert answers[0]["spec"] == answers[1]["spec"]
    assert answers[0]["status"]["parameterCount"] == 85_798_656 + 777 * 769


REFUSED = [
    pytest.param(["--gpu", "GTX-970"], "--gpu GTX-970: not known; known are T4", id="an unknown GPU"),
    pytest.param(["--gpu", "h100"], "--gpu h100: say which: H100-SXM, H100-PCIe, H100-NVL", id="one of several GPUs"),
    pytest.param(["--gpu", "L4:0"], "number of GPUs", id="no GPUs"),
    pytest.param(["--gpu", "L4", "--set", "runtime"], "--set runtime: takes", id="no value"),
    pytest.param(["--gpu", "L4", "--set", "model.id=bert"], "--set model.id: an option or another", id="said twice"),
    pytest.param(["--gpu", "L4", "--set", "a..b=1"], "--set a..b=1: takes", id="no path"),
    pytest.param(["--gpu", "L4", "--set", "model.id.x=1"], "id is no object", id="a path through a value"),
    pytest.param(["--gpu", "L4", "--set", "runtime.attention=["], "not YAML", id="a value that is none"),
    pytest.param(
        ["--gpu", "L4", "--set", "runtime.speed=1"],
        "spec.runtime.speed: no such field; there are attention, ",
        id="no such field",
    ),
    pytest.param(["--gpu", "L4", "--batch", "0"], "batchSizePerDevice", id="an empty batch"),
    pytest.param(["--gpu", "L4", "--config", "pyproject.toml"], "pyproject.toml is not JSON", id="no configuration"),
    pytest.param(["--gpu", "L4", "--config", "{list}"], "is no model's config.json: it holds no object", id="a list"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_what_cannot_be_asked_is_named(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    there = [argument.replace("{list}", str(tmp_path / "list.json")) for argument in arguments]
    assert main(["check", "--model", "gpt2", *there]) == 2
    assert words in capsys.readouterr().err


def test_gpus_are_named_with_their_number() -> None:
    assert [(one.product.short, one.gpus) for one in assumed(["h100-sxm:8", "NVIDIA-L4"])] == [
        ("H100-SXM", 8),
        ("L4", 1),
    ]
    with pytest.raises(InvalidManifest):
        assumed(["L4:100"])


def test_several_gpus_of_one_node(capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["--set", "resources.gpusPerNode=4", "--set", "parallelism.type=TensorParallel"]
    large = ["--model", "meta-llama/Llama-3.1-70B", "--precision", "bf16", "--gpu", "H100-SXM:8", "L4:8", "H100-SXM:2"]
    main(["check", *large, *shared, "-o", "json"])
    found = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert {(one["nodeType"], one["verdict"], one["reason"]) for one in found} == {
        ("NVIDIA-H100-80GB-HBM3-80GiB-x8", "Fits", "Memory"),
        ("NVIDIA-H100-80GB-HBM3-80GiB-x2", "DoesNotFit", "TooFewGpus"),
        ("NVIDIA-L4-22GiB-x8", "DoesNotFit", "Memory"),
    }


def test_several_gpus_that_share_nothing_are_told_how_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--model", "gpt2", "--gpu", "L4:8", "--set", "resources.gpusPerNode=4"]) == 2
    assert "goes with a spec.parallelism.type other than None" in capsys.readouterr().err
