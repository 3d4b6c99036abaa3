"""A ModelCheck's model, traced on this machine: for `wattmark trace`, and where `wattmark check` needs it."""

import json
import sys
from pathlib import Path

import yaml

from wattmark import model_facts
from wattmark.api.conditions import Reason
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import RunOrder
from wattmark.api.trace import Trace
from wattmark.cli.hub_here import asks_the_hub
from wattmark.cli.local_runner import missing_packages, require_packages
from wattmark.cli.manifest import InvalidManifest, one
from wattmark.estimate import Gpu
from wattmark.estimate.traced import kind_of, traced
from wattmark.fleet.gpus import gpu_product
from wattmark.identity import MODEL_CHECK
from wattmark.manifests import question, trace_order
from wattmark.observe import clean


def trace(file: Path, model_folder: Path | None, product: str | None, form: str) -> int:
    """Trace the file's ModelCheck and print the need on each device. Raises InvalidManifest.

    Without a product it is what the operator writes into status.need, else what it compares with such a GPU.
    """
    require_packages()
    from wattmark_runner.execute_trace import why_not_traced  # torch is needed for this command alone
    from wattmark_runner.trace import trace as found_by

    name, spec = one(file, MODEL_CHECK, ModelCheckSpec)
    if spec.resources.gpus_per_node > 1:
        raise InvalidManifest(f"{file} cannot be traced: a trace is of one GPU, and spec.resources.gpusPerNode is more")
    gpu = _gpu(product)
    if model_folder is None and model_facts.wanted_of_hub(spec.model) is not None:
        print(f"wattmark: {asks_the_hub(spec.model)}", file=sys.stderr)
    order = _order(name, spec, model_folder)
    try:
        found = found_by(order, (kind_of(gpu),))
    except Exception as error:  # a model's code may raise anything
        raise InvalidManifest(f"{file} cannot be traced: {why_not_traced(error, None).message}") from error
    told = traced(found, spec.model.weights, gpu).wire()
    print(json.dumps(told, indent=2) if form == "json" else str(yaml.safe_dump(told, sort_keys=False)).rstrip())
    return 0


def traced_here(name: str, spec: ModelCheckSpec) -> Trace | model_facts.Refusal:
    """What the operator would have traced in a Pod; or why that cannot be had here."""
    absent = missing_packages()
    if absent:
        return model_facts.Refusal(
            Reason.NOT_ESTIMATED,
            f"the question is answered by a trace, for which {' and '.join(absent)} must be installed here: install "
            "wattmark with its extra runner, or ask on a cluster",
        )
    from wattmark_runner.execute_trace import why_not_traced
    from wattmark_runner.trace import trace as found_by

    try:
        order = _order(name, spec, None)
    except InvalidManifest as invalid:
        return model_facts.Refusal(Reason.NOT_ESTIMATED, clean(invalid))
    try:
        return found_by(order)
    except Exception as error:  # a model's code may raise anything
        failure = why_not_traced(error, None)
        return model_facts.Refusal(Reason(failure.reason.value), clean(failure.message))


def _gpu(product: str | None) -> Gpu:
    """The GPU of this name; kernels are chosen by its compute capability."""
    if product is None:
        return Gpu()
    known = gpu_product(product)
    if known is None:
        raise InvalidManifest(f"the GPU {product} is not in the table of products")
    return Gpu(known.capability)


def _order(name: str, spec: ModelCheckSpec, folder: Path | None) -> RunOrder:
    """What the operator would tell its runner, but for a model that is read from here."""
    digest = question(spec)
    if folder is not None:
        told = trace_order(name, digest, None, spec)
        return told.model_copy(update={"folder": str(folder.resolve()), "hub": None})
    if model_facts.wanted_of_hub(spec.model) is not None:
        return trace_order(name, digest, None, spec)
    facts = model_facts.facts(spec.model, None)
    if isinstance(facts, model_facts.Refusal):
        raise InvalidManifest(facts.message)
    if facts.config is None:
        raise InvalidManifest(
            f"the model cannot be read from here: {facts.architecture}; give wattmark trace its --model-folder"
        )
    return trace_order(name, digest, facts.config, spec)
