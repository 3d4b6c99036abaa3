"""Every manifest under crds/examples holds to the API, names a known model, and explains itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from wattmark.api.benchmarkjob import BenchmarkJobSpec, Profile
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.api.schema import API_VERSION
from wattmark.models.architecture import Architecture
from wattmark.models.config import architecture
from wattmark.models.registry import lookup
from wattmark.models.resolve import resolve

EXAMPLES = Path(__file__).parents[2] / "crds" / "examples"
ALL = sorted(EXAMPLES.rglob("*.yaml"))
SPECS: dict[str, type[BenchmarkJobSpec] | type[ModelCheckSpec]] = {
    "BenchmarkJob": BenchmarkJobSpec,
    "ModelCheck": ModelCheckSpec,
}


def _manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return manifest


def _spec(path: Path) -> BenchmarkJobSpec | ModelCheckSpec:
    manifest = _manifest(path)
    return SPECS[manifest["kind"]].model_validate(manifest["spec"])


each = pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(EXAMPLES).as_posix())


@each
def test_it_is_named_after_its_file_and_begins_with_what_it_asks(path: Path) -> None:
    manifest = _manifest(path)
    assert manifest["apiVersion"] == API_VERSION
    assert manifest["metadata"] == {"name": path.stem}
    assert path.read_text(encoding="utf-8").startswith("# ")


@each
def test_its_model_is_known_and_its_workload_possible(path: Path) -> None:
    spec = _spec(path)
    known = lookup(spec.model.id)
    assert known is not None
    facts = architecture(known.config)
    assert isinstance(facts, Architecture)
    resolved = resolve(facts, spec.workload, spec.runtime, spec.resources.gpus_per_node)
    assert isinstance(resolved, Resolved), resolved


@pytest.mark.parametrize("path", [p for p in ALL if p.parent == EXAMPLES], ids=lambda path: path.stem)
def test_those_of_the_top_folder_run_without_a_gpu_in_a_short_time(path: Path) -> None:
    spec = _spec(path)
    if isinstance(spec, BenchmarkJobSpec):
        assert spec.resources.gpus_per_node == 0
        assert spec.measure.profile is Profile.SMOKE


def test_names_differ_so_that_all_can_be_applied_at_once() -> None:
    names = [_manifest(path)["metadata"]["name"] for path in ALL]
    assert len(names) == len(set(names))
