"""From an order to a model on its device: configuration, class, weights. Never remote code, never pickles."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from wattmark.api.model import Weights
from wattmark.api.order import Resolved, RunOrder
from wattmark.api.report import RunFailure
from wattmark.api.runtime import Attention
from wattmark.api.workload import WorkloadType
from wattmark.models import Architecture, Family, Head, Unsupported, architecture, head_for, listed
from wattmark.models.resolve import Impossible, no_fused_attention, resolve
from wattmark_runner.checkpoint import Match, load_checkpoint
from wattmark_runner.device import Device
from wattmark_runner.failures import ESTIMATED_ALONE, RunError
from wattmark_runner.precision import Numerics, numerics
from wattmark_runner.safetensors_files import TensorFile, UnusableError, parsed, read_text, tensor_files
from wattmark_runner.unlisted import unlisted

CONFIG_LIMIT_BYTES = 1 << 20
_CODE = "auto_map"  # of a config.json, where it names code of its repository, which is never run
# Of a config.json, what says not which model it is but how it was used: that code, other files to load, and options of
# the model's caller, which the order alone decides
_NOT_THE_MODEL = (
    _CODE,
    "transformers_weights",
    "fusion_config",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "problem_type",
)
_ATTENTION = {Attention.EAGER: "eager", Attention.SDPA: "sdpa"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from: its configuration, and the files that hold its weights, if any."""

    config: dict[str, Any]
    files: tuple[TensorFile, ...] = ()
    revision: str | None = None
    names_code: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device. `seconds` is from the start of loading or initialising to weights on the device.

    `match` tells how well pretrained weights went into it.
    """

    model: Any
    architecture: Architecture
    resolved: Resolved
    numerics: Numerics
    revision: str | None
    seconds: float
    match: Match | None = None

    @property
    def parameter_count(self) -> int:
        """Parameters, each storage once: PyTorch lists a tied tensor once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def attention(self) -> str | None:
        """The attention implementation that runs, in transformers' words; None for a model without attention."""
        if self.architecture.family is Family.CONVOLUTIONAL:
            return None
        return str(self.model.config._attn_implementation)


def load(order: RunOrder, device: Device, token: str | None) -> Loaded:
    """Load or initialise the ordered model on the device. RunError ModelNotLoadable or InvalidOrder if it cannot be."""
    source, known, resolved = read(order, token)
    return built(order, source, known, resolved, numerics(resolved.precision), device)


def read(order: RunOrder, token: str | None) -> tuple[Source, Architecture, Resolved]:
    """What is ordered, before any of it is loaded. RunError ModelNotLoadable or InvalidOrder if it cannot be."""
    source = find(order, token)
    known = architecture(source.config)
    if not listed(source.config):
        known = unlisted(source.config)
    if isinstance(known, Unsupported):
        code = "; the code that its auto_map names is never run" if source.names_code else ""
        raise _not_loadable(order, f"the configuration's {known}{code}")
    if known.unrunnable:
        raise _not_loadable(order, known.unrunnable)
    resolved = resolve(known, order.workload, order.runtime, order.gpus)
    if isinstance(resolved, Impossible):
        raise RunError(RunFailure.INVALID_ORDER, resolved.message)
    if resolved.quantization is not None:
        raise RunError(RunFailure.INVALID_ORDER, f"runtime.quantization {ESTIMATED_ALONE}")
    return source, known, resolved


def built(
    order: RunOrder, source: Source, known: Architecture, resolved: Resolved, chosen: Numerics, device: Device
) -> Loaded:
    """The model on its device. RunError ModelNotLoadable if it cannot be built."""
    try:
        auto_class, config = _classes(source, known, resolved)
        start = perf_counter()
        model, match = _build(order, source, auto_class, config, resolved, chosen, device.torch_device)
    except UnusableError as error:
        raise _not_loadable(order, str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError, OSError, ImportError) as error:
        raise _not_loadable(order, f"{type(error).__name__}: {error}") from error
    device.synchronize()
    return Loaded(model, known, resolved, chosen, source.revision, perf_counter() - start, match)


def find(order: RunOrder, token: str | None) -> Source:
    """The configuration and the weights' folder; what is on the hub is downloaded, safetensors only."""
    folder = Path(order.folder) if order.folder else None
    revision = None
    if order.hub:
        folder = _download(order, token)
        revision = folder.name  # the hub's cache names a snapshot's folder after its commit
    config = _config(order, folder)
    kept = {key: value for key, value in config.items() if key not in _NOT_THE_MODEL}
    source = Source(kept, revision=revision, names_code=_CODE in config)
    if order.weights is Weights.RANDOM:
        return source
    if folder is None:
        raise RunError(RunFailure.INVALID_ORDER, "pretrained weights need a folder or a hub repository to come from")
    try:
        return replace(source, files=tensor_files(folder))
    except UnusableError as error:
        raise _not_loadable(order, str(error)) from error


def _download(order: RunOrder, token: str | None) -> Path:
    from huggingface_hub import snapshot_download

    assert order.hub is not None  # the caller asked
    patterns = ["config.json"]
    if order.weights is Weights.PRETRAINED:
        patterns += ["*.safetensors", "*.safetensors.index.json"]
    try:
        # "consolidated" files hold the same weights once more, in another layout; subfolders hold other formats
        folder = snapshot_download(
            order.hub.repository,
            revision=order.hub.revision,
            token=token,
            allow_patterns=patterns,
            ignore_patterns=["*/*", "consolidated*"],
        )
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's
        raise _not_loadable(order, f"the hub does not give it: {error}") from error
    return Path(folder)


def _config(order: RunOrder, folder: Path | None) -> dict[str, Any]:
    try:
        if order.config:
            return parsed(order.config, "its configuration")
        if folder is not None:
            return parsed(read_text(folder, "config.json", CONFIG_LIMIT_BYTES), "config.json")
    except UnusableError as error:
        raise _not_loadable(order, str(error)) from error
    raise RunError(RunFailure.INVALID_ORDER, "the order names no configuration, folder or hub repository")


def _classes(source: Source, known: Architecture, resolved: Resolved) -> tuple[Any, Any]:
    """The auto class and the configuration; the model's own module is imported, so that no timer has to wait for it."""
    import transformers

    transformers.logging.disable_progress_bar()
    config = transformers.CONFIG_MAPPING[known.model_type].from_dict(source.config)
    config.architectures = config.architectures or []  # looked through where a type has several classes, even if None
    head = head_for(known, resolved.workload_type, resolved.analysis)
    if head is Head.SEQUENCE_CLASSIFICATION and config.num_labels > 1:
        # What BERT finds out from the first labels. DeBERTa looks through all labels for it, which a trace cannot.
        config.problem_type = "single_label_classification"
    auto_class = getattr(transformers, head.value)
    classes = auto_class._model_mapping[type(config)]  # the lookup imports the module
    classes = classes if isinstance(classes, tuple) else (classes,)
    if resolved.attention is Attention.SDPA and not any(one._supports_sdpa for one in classes):
        raise RunError(RunFailure.INVALID_ORDER, no_fused_attention(known))
    return auto_class, config


def _build(
    order: RunOrder,
    source: Source,
    auto_class: Any,
    config: Any,
    resolved: Resolved,
    chosen: Numerics,
    device: torch.device,
) -> tuple[Any, Match | None]:
    options: dict[str, Any] = {"dtype": chosen.weights}
    if resolved.attention in _ATTENTION:
        options["attn_implementation"] = _ATTENTION[resolved.attention]
    torch.manual_seed(0)
    match = None
    if order.weights is Weights.RANDOM:
        with device:  # initialised where it will run: a GPU fills 8 billion parameters in a second, a CPU in a minute
            model = auto_class.from_config(config, trust_remote_code=False, **options)
        model.to(device)  # what a class makes on the CPU, whatever the default: wav2vec 2.0 the mask that it learns
        # DeBERTa makes some biases fp32 whatever is asked for; a checkpoint's are loaded in the format of the others.
        for parameter in model.parameters():
            if parameter.dtype != chosen.weights:
                parameter.data = parameter.data.to(chosen.weights)
    else:
        from transformers.models.auto.auto_factory import _get_model_class

        model_class = _get_model_class(config, auto_class._model_mapping)  # of some types there are several
        model, match = load_checkpoint(model_class, config, source.files, device, options)
    return (model.train() if resolved.workload_type is WorkloadType.TRAINING else model.eval()), match


def _not_loadable(order: RunOrder, why: str) -> RunError:
    return RunError(RunFailure.MODEL_NOT_LOADABLE, f"{order.model_id} cannot be loaded: {why}")
