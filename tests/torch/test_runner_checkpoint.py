"""How well a checkpoint must fit its model, and that nothing of its folder is opened but what was checked."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from wattmark.api.order import RunOrder
from wattmark.api.report import RunFailure
from wattmark_runner.checkpoint import Match
from wattmark_runner.device import Cpu
from wattmark_runner.failures import RunError
from wattmark_runner.models import Loaded, load

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 97,
    "max_position_embeddings": 64,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 97},
    "llama": {"model_type": "llama", **SIZES, "tie_word_embeddings": False},
    "bert": {"model_type": "bert", **SIZES},
    "mixtral": {"model_type": "mixtral", **SIZES, "num_key_value_heads": 2, "num_local_experts": 2},
    "t5": {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 97,
           "decoder_start_token_id": 0},
}  # fmt: skip
CLASSES = {"bert": "AutoModelForMaskedLM", "t5": "AutoModelForSeq2SeqLM"}


def loaded(folder: Path, workload: str = "Inference") -> Loaded:
    body = {
        "runUid": "run",
        "modelId": "mine",
        "weights": "Pretrained",
        "folder": str(folder),
        "workload": {"type": workload, workload.lower(): {"batchSizePerDevice": 1}},
        "runtime": {},
        "measure": {"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2},
        "gpus": 0,
        "runningSeconds": 120,
    }
    return load(RunOrder.model_validate(body), Cpu(), None)


def saved(kind: str, folder: Path, **config: object) -> dict[str, torch.Tensor]:
    """A checkpoint of that kind in the folder; its tensors."""
    own = transformers.CONFIG_MAPPING[kind].from_dict(dict(CONFIGS[kind]))
    automatic = getattr(transformers, CLASSES.get(kind, "AutoModelForCausalLM"))
    automatic.from_config(own).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind] | config))
    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    ("kind", "workload", "match"),
    [
        pytest.param("gpt2", "Inference", Match(0, 0), id="a decoder's own class: nothing is missing or left"),
        pytest.param("mixtral", "Inference", Match(0, 0), id="experts, which are stored one by one and held as one"),
        pytest.param("bert", "Inference", Match(2, 5), id="saved with another head: a new pooler, a head unused"),
        pytest.param("bert", "Training", Match(4, 5), id="and trained to classify: the classifier is new as well"),
    ],
)  # fmt: skip
def test_what_of_a_head_differs_is_counted(tmp_path: Path, kind: str, workload: str, match: Match) -> None:
    saved(kind, tmp_path)
    assert loaded(tmp_path, workload).match == match


def test_an_output_projection_that_is_missing_is_the_heads(tmp_path: Path) -> None:
    tensors = saved("llama", tmp_path)
    del tensors["lm_head.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    assert loaded(tmp_path).match == Match(1, 0)


@pytest.mark.parametrize(
    ("kind", "without", "words"),
    [
        pytest.param("llama", "model.layers.1.mlp.up_proj", "1 tensors of its layers are missing", id="one layer's"),
        pytest.param("llama", "model.layers.1", "9 tensors of its layers are missing", id="a whole layer"),
        pytest.param("llama", "model.embed_tokens", "model.embed_tokens.weight", id="the embedding"),
        pytest.param("gpt2", "transformer.ln_f", "transformer.ln_f.bias, transformer.ln_f.weight", id="the last norm"),
        pytest.param("bert", "bert.encoder", "and 29 more", id="all of an encoder"),
        pytest.param("t5", "encoder.block.0", "encoder.block.0", id="a layer of an encoder-decoder"),
        pytest.param("mixtral", "model.layers.0.block_sparse_moe.experts.0", "", id="one of two experts"),
    ],
)  # fmt: skip
def test_a_checkpoint_without_all_of_its_layers_is_not_run(tmp_path: Path, kind: str, without: str, words: str) -> None:
    tensors = saved(kind, tmp_path)
    kept = {name: value for name, value in tensors.items() if not name.startswith(without)}
    assert len(kept) < len(tensors)
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(RunError) as refused:
        loaded(tmp_path)
    assert refused.value.reason is RunFailure.MODEL_NOT_LOADABLE
    assert words in str(refused.value)


def test_tensors_of_other_shapes_are_named_with_both(tmp_path: Path) -> None:
    tensors = saved("llama", tmp_path)
    for name in ("model.norm.weight", "model.layers.0.input_layernorm.weight"):
        tensors[name] = torch.zeros(31)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(RunError, match=r"model\.layers\.0\.input_layernorm\.weight is \[31\], not \[32\], and 1 more"):
        loaded(tmp_path)


def test_tensors_of_no_use_are_counted_and_named_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tensors = saved("gpt2", tmp_path)
    save_file(tensors | {"somebody\x1b[31m.else": torch.zeros(3)}, tmp_path / "model.safetensors")
    assert loaded(tmp_path).match == Match(0, 1)
    said = capfd.readouterr().err
    assert "1 tensors of the checkpoint" in said and "somebody.else" in said and "\x1b" not in said


def test_files_that_an_index_names_are_put_together(tmp_path: Path) -> None:
    tensors = saved("gpt2", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors)
    placed = {name: f"part-{position % 3}.safetensors" for position, name in enumerate(names)}
    for part in set(placed.values()):
        save_file({name: tensors[name] for name in names if placed[name] == part}, tmp_path / part)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    model = loaded(tmp_path)
    assert model.match == Match(0, 0)
    assert all(torch.equal(value, model.model.state_dict()[name]) for name, value in tensors.items())


OPENED: list[str] = []  # a hook for audits cannot be taken away again, so there is one, which only listens when asked
LISTENING: list[str] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and LISTENING and isinstance(arguments[0], str | Path):
        path = str(arguments[0])
        if path.startswith(LISTENING[0]):
            OPENED.append(path.removeprefix(LISTENING[0]).lstrip("/"))


def test_nothing_of_the_folder_is_opened_but_configuration_and_weights(tmp_path: Path) -> None:
    """Neither an adapter that names another model, nor settings of generation, nor what config.json points to."""
    saved("gpt2", tmp_path, transformers_weights="adapter_model.bin", auto_map={"AutoModelForCausalLM": "mine.Model"})
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/etc", "peft_type": "LORA"}')
    (tmp_path / "generation_config.json").write_text("{")
    (tmp_path / "adapter_model.bin").write_bytes(b"no pickle is read")
    (tmp_path / "mine.py").write_text("raise SystemExit")
    sys.addaudithook(_listen)
    OPENED.clear()
    LISTENING.append(str(tmp_path))
    try:
        assert loaded(tmp_path).match == Match(0, 0)
    finally:
        LISTENING.clear()
    assert set(OPENED) == {"config.json", "model.safetensors"}


def test_a_model_that_only_its_own_code_can_build_is_refused_with_words(tmp_path: Path) -> None:
    saved("gpt2", tmp_path, model_type="mine", auto_map={"AutoModelForCausalLM": "mine.Model"})
    with pytest.raises(RunError, match="code that its auto_map names is never run"):
        loaded(tmp_path)
