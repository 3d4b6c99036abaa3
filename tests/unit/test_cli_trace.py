"""`wattmark trace`: what is asked of the runner, and what cannot be asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.cli.manifest import InvalidManifest
from wattmark.cli.trace import _gpu, _order
from wattmark.estimate import Gpu


def spec(**fields: Any) -> ModelCheckSpec:
    return ModelCheckSpec.read({"model": {"id": "gpt2"}, **fields})


@pytest.mark.parametrize(
    ("product", "gpu"),
    [
        pytest.param(None, Gpu(), id="no product: a GPU that is not known, as in status.need"),
        pytest.param("NVIDIA-L4", Gpu((8, 9)), id="the one that the command names"),
    ],
)
def test_the_gpu_is_the_named_one(product: str | None, gpu: Gpu) -> None:
    assert _gpu(product) == gpu


def test_a_product_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="not in the table"):
        _gpu("ACME-1")


def test_the_order_holds_the_registrys_configuration() -> None:
    told = _order("q", spec(), None)
    assert told.config is not None
    assert json.loads(told.config)["model_type"] == "gpt2"


def test_a_folder_stands_for_the_source(tmp_path: Path) -> None:
    told = _order("q", spec(model={"id": "some/model"}), tmp_path)
    assert (told.folder, told.config, told.hub) == (str(tmp_path), None, None)


def test_a_model_of_the_hub_is_read_there() -> None:
    told = _order("q", spec(model={"id": "some/model"}), None)
    assert told.hub is not None
    assert told.hub.repository == "some/model"


def test_what_lies_on_a_volume_has_to_be_given() -> None:
    source = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}
    with pytest.raises(InvalidManifest, match="--model-folder"):
        _order("q", spec(model={"id": "mine", "source": source}), None)
