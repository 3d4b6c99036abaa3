"""What is known of a model, by its source."""

import json
from typing import Any

import pytest

from wattmark.api.conditions import Reason
from wattmark.api.model import ModelSpec
from wattmark.model_facts import Facts, Refusal, compact, facts, meant_by, wanted_of_hub

COMMIT = "0" * 40
HUB = {"type": "Hub", "hub": {"revision": COMMIT}}
GATED = {"type": "Hub", "hub": {"revision": COMMIT, "tokenSecretRef": {"name": "hub", "key": "token"}}}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}


def inline(config: str) -> dict[str, Any]:
    return {"type": "Inline", "inline": {"config": config}}


ASKED = [
    pytest.param({"id": "gpt2"}, None, id="a model of the registry"),
    pytest.param({"id": "org/new"}, ("org/new", None), id="a model that the registry does not know"),
    pytest.param({"id": "org/new", "source": {"type": "Registry"}}, None, id="the registry, and nothing else"),
    pytest.param({"id": "gpt2", "source": HUB}, ("gpt2", COMMIT), id="a commit of one's own"),
    pytest.param({"id": "gpt2", "source": GATED}, None, id="a gated model, whose token is the tenant's"),
    pytest.param({"id": "gpt2", "source": VOLUME}, None, id="a volume"),
    pytest.param({"id": "gpt2", "source": inline("{}")}, None, id="a configuration in the manifest"),
]


@pytest.mark.parametrize(("model", "wanted"), ASKED)
def test_what_a_hub_is_asked_for(model: dict[str, Any], wanted: tuple[str, str | None] | None) -> None:
    assert wanted_of_hub(ModelSpec.read(model)) == wanted


BERT: dict[str, Any] = {"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT |= {"intermediate_size": 128, "vocab_size": 97, "max_position_embeddings": 64}
KNOWN = [
    pytest.param({"id": "gpt2"}, None, id="from the registry"),
    pytest.param({"id": "org/new"}, BERT, id="from the hub"),
    pytest.param({"id": "mine", "source": inline(json.dumps(BERT))}, None, id="from the manifest"),
]


@pytest.mark.parametrize(("model", "hub"), KNOWN)
def test_facts(model: dict[str, Any], hub: dict[str, Any] | None) -> None:
    found = facts(ModelSpec.read(model), hub)
    assert isinstance(found, Facts) and not isinstance(found.architecture, str)
    assert found.config is not None and json.loads(found.config)["model_type"] in ("bert", "gpt2")


MEANT = [
    pytest.param("gtp2", "; did you mean openai-community/gpt2?", id="a slip of the pen"),
    pytest.param(
        "codegen",
        "; of that name there are Salesforce/codegen-350M-mono, Salesforce/codegen-2B-mono, "
        "Salesforce/codegen-6B-mono, Salesforce/codegen-16B-mono: say which",
        id="a family: its members, the smallest first",
    ),
    pytest.param("llama", "meta-llama/Llama-3.1-8B and 9 more: say which", id="a large family: six of them"),
    pytest.param("zzzzzz", "", id="nothing like it"),
]


@pytest.mark.parametrize(("name", "words"), MEANT)
def test_what_an_unknown_name_may_mean(name: str, words: str) -> None:
    told = meant_by(ModelSpec.read({"id": name}))
    assert told.endswith(words) and bool(told) is bool(words)


OPAQUE = [pytest.param(VOLUME, "volume", id="a volume"), pytest.param(GATED, "gated", id="a gated model")]


@pytest.mark.parametrize(("source", "words"), OPAQUE)
def test_what_only_the_runner_can_read_is_said_and_not_refused(source: dict[str, Any], words: str) -> None:
    found = facts(ModelSpec.read({"id": "mine", "source": source}), None)
    assert isinstance(found, Facts) and found.config is None
    assert isinstance(found.architecture, str) and words in found.architecture


def test_a_type_that_is_not_listed_is_left_to_the_runner_with_its_configuration() -> None:
    config = {"model_type": "opt", "auto_map": {"AutoModel": "code.Model"}}
    found = facts(ModelSpec.read({"id": "mine", "source": inline(json.dumps(config))}), None)
    assert isinstance(found, Facts) and found.config is not None
    assert json.loads(found.config) == config  # the runner never runs the code that it names
    assert found.architecture == "the closed form does not describe a model of type 'opt'"


REFUSED = [
    pytest.param({"id": "gtp2"}, "no such model", Reason.UNKNOWN_MODEL, "gpt2", id="a slip of the pen"),
    pytest.param({"id": "x", "source": {"type": "Registry"}}, None, Reason.UNKNOWN_MODEL, "registry", id="no entry"),
    pytest.param({"id": "x", "source": inline("{odd}")}, None, Reason.UNKNOWN_MODEL, "not JSON", id="no JSON"),
    pytest.param({"id": "x", "source": inline("[1]")}, None, Reason.UNKNOWN_MODEL, "no JSON object", id="no object"),
    pytest.param({"id": "x", "source": inline("[" * 16000)}, None, Reason.UNKNOWN_MODEL, "not JSON", id="too deep"),
    pytest.param(
        {"id": "x", "source": inline('{"model_type":"gpt2","n_embd":"wide"}')},
        None,
        Reason.UNSUPPORTED_MODEL,
        "n_embd",
        id="a field that says nothing",
    ),
    pytest.param(
        {"id": "x", "source": inline('{"model_type":7}')}, None, Reason.UNSUPPORTED_MODEL, "7", id="a type that is none"
    ),
    pytest.param({"id": "x"}, {}, Reason.UNSUPPORTED_MODEL, "", id="a hub's empty object"),
]


@pytest.mark.parametrize(("model", "hub", "reason", "words"), REFUSED)
def test_refusals(model: dict[str, Any], hub: Any, reason: Reason, words: str) -> None:
    found = facts(ModelSpec.read(model), hub)
    assert isinstance(found, Refusal) and found.reason is reason
    assert words in found.message and len(found.message) <= 512


CLASSES = {"id2label": {"0": "cat", "1": "dog", "2": "eel"}, "label2id": {"cat": 0, "dog": 1, "eel": 2}}
COMPACT = [
    pytest.param(CLASSES, 200, CLASSES, id="as it is where there is room"),
    pytest.param(CLASSES, 20, {"num_labels": 3}, id="of the classes their number"),
    pytest.param({**CLASSES, "num_labels": 9}, 20, {"num_labels": 3}, id="the number of the names, which outweighs"),
    pytest.param({"id2label": {}, "num_labels": 9}, 20, {"num_labels": 9}, id="no names: the number that is given"),
    pytest.param({"a": "b" * 30}, 20, {"a": "b" * 30}, id="what else is too long stays"),
]


@pytest.mark.parametrize(("config", "most", "kept"), COMPACT)
def test_a_configuration_as_text(config: dict[str, Any], most: int, kept: dict[str, Any]) -> None:
    assert json.loads(compact(config, most)) == kept
