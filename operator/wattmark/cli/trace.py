"""`wattmark trace`: what a ModelCheck's model and workload need, traced on this machine without a GPU."""

import json
from pathlib import Path

import yaml

from wattmark import preflight
from wattmark.api.benchmarkjob import MeasureSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import HubModel, RunOrder
from wattmark.cli.local_runner import require_packages
from wattmark.cli.manifest import InvalidManifest, one
from wattmark.estimate import Gpu
from wattmark.fleet.gpus import gpu_product
from wattmark.identity import MODEL_CHECK

DEADLINE_SECONDS = 3600


def trace(file: Path, model_folder: Path | None, product: str | None, form: str) -> int:
    """Trace the file's ModelCheck and print the need on each device. Raises InvalidManifest."""
    require_packages()
    from wattmark_runner.failures import RunError  # torch is needed for this command alone
    from wattmark_runner.trace import trace as traced

    name, spec = one(file, MODEL_CHECK, ModelCheckSpec)
    gpu = _gpu(spec, product)
    try:
        need = traced(_order(name, spec, model_folder), gpu)
    except RunError as error:
        raise InvalidManifest(f"{file} cannot be traced: {error}") from error
    told = need.wire()
    print(json.dumps(told, indent=2) if form == "json" else str(yaml.safe_dump(told, sort_keys=False)).rstrip())
    return 0


def _gpu(spec: ModelCheckSpec, product: str | None) -> Gpu:
    """The GPU that is named, here or as the only product in the spec; kernels are chosen by its compute capability."""
    asked = spec.resources.gpu.products if spec.resources.gpu and spec.resources.gpu.products else []
    name = product or (asked[0] if len(asked) == 1 else None)
    if name is None:
        return Gpu()
    known = gpu_product(name)
    if known is None:
        raise InvalidManifest(f"the GPU {name} is not in the table of products")
    return Gpu(known.capability)


def _order(name: str, spec: ModelCheckSpec, folder: Path | None) -> RunOrder:
    config, hub = None, None
    wanted = None if folder else preflight.wanted_of_hub(spec.model)
    if wanted is not None:
        hub = HubModel(repository=wanted[0], revision=wanted[1])
    elif folder is None:
        facts = preflight.facts(spec.model, None)
        if isinstance(facts, preflight.Refusal):
            raise InvalidManifest(facts.message)
        if facts.config is None:
            raise InvalidManifest(f"the model cannot be read from here: {facts.architecture}; give --model-folder")
        config = facts.config
    return RunOrder(
        run_uid=name,
        model_id=spec.model.id,
        weights=spec.model.weights,
        config=config,
        folder=str(folder.resolve()) if folder else None,
        hub=hub,
        workload=spec.workload,
        runtime=spec.runtime,
        measure=MeasureSpec().resolved(),
        gpus=spec.resources.gpus_per_node,
        running_seconds=DEADLINE_SECONDS,
    )
