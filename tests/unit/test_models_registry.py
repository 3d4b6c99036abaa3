"""The registry: names, and that every entry can be read."""

import pytest

from wattmark.models import Architecture, architecture, family, known_ids, lookup, similar


def test_every_entry_is_an_architecture() -> None:
    for model_id in known_ids():
        model = lookup(model_id)
        assert model is not None, model_id
        read = architecture(model.config)
        assert isinstance(read, Architecture), model_id
        # transformers names the class of a checkpoint, diffusers that of a configuration
        assert model.config["_class_name" if read.unrunnable else "architectures"], model_id


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        pytest.param("google-bert/bert-base-uncased", "google-bert/bert-base-uncased", id="a hub id"),
        pytest.param("bert-base-uncased", "google-bert/bert-base-uncased", id="the id it had before"),
        pytest.param("GPT2-XL", "openai-community/gpt2-xl", id="any case of letters"),
        pytest.param("meta-llama/llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B", id="a sibling of the same shape"),
        pytest.param("alpaca", "tatsu-lab/alpaca-7b-wdiff", id="a fine-tuned model by its own name"),
        pytest.param("vicuna-7b", "lmsys/vicuna-7b-v1.5", id="a fine-tuned model without its version"),
        pytest.param("ul2", "google/ul2", id="UL2"),
        pytest.param("unet", "stable-diffusion-v1-5/stable-diffusion-v1-5", id="the U-Net of the most used pipeline"),
        pytest.param("mistral", "mistralai/Mistral-7B-v0.3", id="a family of one size by its own name"),
        pytest.param("flan-t5", "google/flan-t5-base", id="a family whose base model bears its name"),
        pytest.param("xlm-roberta", "FacebookAI/xlm-roberta-base", id="another"),
        pytest.param("resnet50", "microsoft/resnet-50", id="a common name"),
    ],
)
def test_a_name_leads_to_its_model(name: str, model_id: str) -> None:
    model = lookup(name)
    assert model is not None
    assert model.id == model_id


def test_an_unknown_name_has_no_model_but_perhaps_a_similar_one() -> None:
    assert lookup("no-such/model") is None
    assert "google-bert/bert-base-uncased" in similar("bert-base-uncase")
    assert "meta-llama/Llama-3.1-8B" in similar("meta-lama/Llama-3.1-8B")
    assert similar("facebook/opt-1.3b") == ("EleutherAI/gpt-neo-1.3B",)
    assert not any("resnet" in one for one in similar("microsoft/phi-2"))  # an owner alone is no likeness
    assert similar("zzzzzzzzzzzzzzzzzz") == ()


FAMILIES = [
    pytest.param("Gemma-2", {"google/gemma-2-2b", "google/gemma-2-9b", "google/gemma-2-27b"}, id="a family's name"),
    pytest.param("meta/llama-2", {f"meta-llama/Llama-2-{size}-hf" for size in ("7b", "13b", "70b")}, id="of an owner"),
    pytest.param("llama-3.1", {f"meta-llama/Llama-3.1-{size}" for size in ("8B", "70B", "405B")}, id="of a version"),
    pytest.param("acme/gpt2", set(), id="one model's name is no family's"),
    pytest.param("gem", set(), id="nor is a part of a word"),
    pytest.param("opt", set(), id="nor what is not known"),
]


@pytest.mark.parametrize(("name", "members"), FAMILIES)
def test_the_members_of_a_family(name: str, members: set[str]) -> None:
    assert {model.id for model in family(name)} == members


def test_a_number_is_no_part_of_a_larger_one() -> None:
    assert "huggyllama/llama-30b" in {model.id for model in family("llama")} - {m.id for m in family("llama-3")}


def test_no_name_means_two_models() -> None:
    names = [name.lower() for i in known_ids() if (model := lookup(i)) for name in (model.id, *model.names)]
    assert len(names) == len(set(names))
