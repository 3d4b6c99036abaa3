"""What a spec asks of a node."""

import json
from typing import Any

import pytest

from wattmark import models
from wattmark.api.model import ModelSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fit.demand import demand, download_bytes
from wattmark.models.resolve import Impossible

BERT: dict[str, Any] = {"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
BERT |= {"intermediate_size": 128, "vocab_size": 97, "max_position_embeddings": 64}
ARCHITECTURE = models.architecture(BERT)
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}
assert isinstance(ARCHITECTURE, models.Architecture)
COUNT = models.parameters(ARCHITECTURE, models.Head.BASE).total

DOWNLOADS = [
    pytest.param({}, {}, 2 * COUNT, id="a format that is not told: two bytes a parameter at least"),
    pytest.param({}, {"dtype": "float32"}, 4 * COUNT, id="fp32, as transformers 5 writes it"),
    pytest.param({}, {"torch_dtype": "float32"}, 4 * COUNT, id="fp32, as it wrote before"),
    pytest.param({}, {"dtype": "bfloat16"}, 2 * COUNT, id="bf16"),
    pytest.param({}, {"quantization_config": {}}, None, id="quantized: not known"),
    pytest.param({"weights": "Random"}, {}, None, id="random weights are not downloaded"),
    pytest.param({"source": VOLUME}, {}, None, id="a volume's are there"),
]


@pytest.mark.parametrize(("model", "config", "size"), DOWNLOADS)
def test_bytes_to_download(model: dict[str, Any], config: dict[str, Any], size: int | None) -> None:
    read = ModelSpec.read({"id": "mine", "weights": "Pretrained", **model})
    assert isinstance(ARCHITECTURE, models.Architecture)
    assert download_bytes(ARCHITECTURE, json.dumps(BERT | config), read) == size


def test_what_the_model_cannot_do_is_no_demand() -> None:
    inference = {"input": {"text": {"inputTokens": 65}}}
    spec = ModelCheckSpec.read({"model": {"id": "mine"}, "workload": {"type": "Inference", "inference": inference}})
    assert isinstance(ARCHITECTURE, models.Architecture)
    found = demand(spec, ARCHITECTURE, json.dumps(BERT), only_asks=True)
    assert isinstance(found, Impossible) and "at most 64 tokens" in found.message
