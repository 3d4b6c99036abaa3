"""From an order to a model on its device: configuration, class, weights. Never remote code, never pickles."""

import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from wattmark.api.model import Weights
from wattmark.api.order import Resolved, RunOrder
from wattmark.api.report import RunFailure
from wattmark.api.runtime import Attention
from wattmark.api.workload import WorkloadType
from wattmark.models import Architecture, Family, Unsupported, architecture, head_for
from wattmark.models.resolve import Impossible, resolve
from wattmark_runner.device import Device
from wattmark_runner.failures import RunError
from wattmark_runner.precision import Numerics, numerics

CONFIG_LIMIT_BYTES = 1 << 20
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
# Of a config.json, what says not which model it is but how it was used: code of its repository (never run), and options
# of the model's caller, which the order alone decides
_NOT_THE_MODEL = (
    "auto_map",
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
    """Where a model comes from: its configuration, and the folder that holds its weights, if any."""

    config: dict[str, Any]
    folder: Path | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device. `seconds` is from the start of loading or initialising to weights on the device."""

    model: Any
    architecture: Architecture
    resolved: Resolved
    numerics: Numerics
    revision: str | None
    seconds: float

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
    if isinstance(known, Unsupported):
        raise _not_loadable(order, f"the configuration's {known}")
    resolved = resolve(known, order.workload, order.runtime, order.gpus)
    if isinstance(resolved, Impossible):
        raise RunError(RunFailure.INVALID_ORDER, resolved.message)
    return source, known, resolved


def built(
    order: RunOrder, source: Source, known: Architecture, resolved: Resolved, chosen: Numerics, device: Device
) -> Loaded:
    """The model on its device. RunError ModelNotLoadable if it cannot be built."""
    try:
        auto_class, config = _classes(source, known, resolved)
        start = perf_counter()
        model = _build(order, source, auto_class, config, resolved, chosen, device.torch_device)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, ImportError) as error:
        raise _not_loadable(order, f"{type(error).__name__}: {error}") from error
    device.synchronize()
    return Loaded(model, known, resolved, chosen, source.revision, perf_counter() - start)


def find(order: RunOrder, token: str | None) -> Source:
    """The configuration and the weights' folder; what is on the hub is downloaded, safetensors only."""
    folder = Path(order.folder) if order.folder else None
    revision = None
    if order.hub:
        folder = _download(order, token)
        revision = folder.name  # the hub's cache names a snapshot's folder after its commit
    config = parse_config(order.config) if order.config else _read_config(order, folder)
    if order.weights is Weights.RANDOM:
        return Source(config, revision=revision)
    if folder is None:
        raise RunError(RunFailure.INVALID_ORDER, "pretrained weights need a folder or a hub repository to come from")
    _require_safetensors(order, folder)
    return Source(config, folder, revision)


def parse_config(text: str) -> dict[str, Any]:
    """A config.json without what would name code to run or change how the model is called.

    RunError ModelNotLoadable if it is no JSON object.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(RunFailure.MODEL_NOT_LOADABLE, f"the model's configuration is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise RunError(RunFailure.MODEL_NOT_LOADABLE, "the model's configuration is not a JSON object")
    return {key: value for key, value in config.items() if key not in _NOT_THE_MODEL}


def _download(order: RunOrder, token: str | None) -> Path:
    from huggingface_hub import snapshot_download

    assert order.hub is not None  # the caller asked
    patterns = ["config.json"]
    if order.weights is Weights.PRETRAINED:
        patterns += ["generation_config.json", "*.safetensors", "*.safetensors.index.json"]
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


def _read_config(order: RunOrder, folder: Path | None) -> dict[str, Any]:
    if folder is None:
        raise RunError(RunFailure.INVALID_ORDER, "the order names no configuration, folder or hub repository")
    try:
        with (folder / "config.json").open(encoding="utf-8") as file:
            text = file.read(CONFIG_LIMIT_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise _not_loadable(order, f"config.json cannot be read: {error}") from error
    if len(text) > CONFIG_LIMIT_BYTES:
        raise _not_loadable(order, "config.json is larger than 1 MiB")
    return parse_config(text)


def _require_safetensors(order: RunOrder, folder: Path) -> None:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise _not_loadable(order, f"its folder cannot be read: {error}") from error
    if any(name.endswith(".safetensors") for name in names):
        return
    pickled = next((name for name in names if name.endswith(_PICKLES)), None)
    if pickled:
        raise _not_loadable(
            order, f"its weights are in {pickled}, which can run code when it is read; convert them to safetensors"
        )
    raise _not_loadable(order, f"there are no safetensors in {folder}")


def _classes(source: Source, known: Architecture, resolved: Resolved) -> tuple[Any, Any]:
    """The auto class and the configuration; the model's own module is imported, so that no timer has to wait for it."""
    import transformers

    transformers.logging.disable_progress_bar()
    config = transformers.CONFIG_MAPPING[known.model_type].from_dict(source.config)
    auto_class = getattr(transformers, head_for(known, resolved.workload_type).value)
    auto_class._model_mapping[type(config)]  # the lookup imports the module
    return auto_class, config


def _build(
    order: RunOrder,
    source: Source,
    auto_class: Any,
    config: Any,
    resolved: Resolved,
    chosen: Numerics,
    device: torch.device,
) -> Any:
    options: dict[str, Any] = {"dtype": chosen.weights, "trust_remote_code": False}
    if resolved.attention in _ATTENTION:
        options["attn_implementation"] = _ATTENTION[resolved.attention]
    torch.manual_seed(0)
    if order.weights is Weights.RANDOM:
        with device:  # initialised where it will run: a GPU fills 8 billion parameters in a second, a CPU in a minute
            model = auto_class.from_config(config, **options)
    else:
        model = auto_class.from_pretrained(
            source.folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            device_map={"": device},
            **options,
        )
    return model.train() if resolved.workload_type is WorkloadType.TRAINING else model.eval()


def _not_loadable(order: RunOrder, why: str) -> RunError:
    return RunError(RunFailure.MODEL_NOT_LOADABLE, f"{order.model_id} cannot be loaded: {why}")
