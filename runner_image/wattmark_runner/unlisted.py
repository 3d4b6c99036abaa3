"""Models of types that no closed form describes: what transformers itself knows of them, and nothing else."""

from collections.abc import Mapping
from typing import Any

from wattmark.models import Architecture, Family, Image, Modality, Unsupported
from wattmark.models.config import MOST_LAYERS
from wattmark.models.resolve import DEFAULT_PIXELS

UNMODELLED = "layers of a type that it does not list"
# How a class is run, by the auto class that builds it; of several that know a configuration, the first that it names.
_RUN_AS = (
    ("AutoModelForSeq2SeqLM", Family.ENCODER_DECODER),
    ("AutoModelForCausalLM", Family.DECODER),
    ("AutoModelForMaskedLM", Family.ENCODER),
    ("AutoModelForImageClassification", Family.VISION_TRANSFORMER),
)
_HEADS = ("num_attention_heads", "num_heads")  # one of them is in every configuration that speaks of attention
_DEPTHS = ("num_hidden_layers", "encoder_layers", "decoder_layers")


def unlisted(config: Mapping[str, Any]) -> Architecture | Unsupported:
    """How a model of text or images is run, or why it is not: by transformers' own classes for its model_type."""
    import transformers

    kind = str(config.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        return Unsupported("model_type", f"{kind!r:.60} is no type that this release of transformers knows")
    if config.get("quantization_config"):
        return Unsupported("quantization_config", "weights that are quantized are not run")
    try:
        read = transformers.CONFIG_MAPPING[kind].from_dict(dict(config))
        family = _family(read)
    except Exception as error:  # a configuration's class may raise whatever its author liked
        return Unsupported("model_type", f"{kind!r:.60}: {type(error).__name__}: {error}")
    if family is None:
        return Unsupported("model_type", f"{kind!r:.60}: transformers has no class of it for text or images alone")
    depth = max((n for name in _DEPTHS if isinstance(n := getattr(read, name, 0), int)), default=0)
    if depth > MOST_LAYERS:
        return Unsupported("num_hidden_layers", f"there are {depth} layers, at most {MOST_LAYERS} are run")
    if family is Family.VISION_TRANSFORMER:
        return _of_images(kind, read)
    words, longest = getattr(read, "vocab_size", None), getattr(read, "max_position_embeddings", None)
    if not isinstance(words, int):
        return Unsupported("vocab_size", f"is {words!r:.60}, not a whole number")
    return Architecture(
        model_type=kind,
        family=family,
        modality=Modality.TEXT,
        hidden=0,
        body=(),
        heads=(),
        vocab=words,
        max_positions=longest if isinstance(longest, int) and longest > 0 else None,
        unmodelled=UNMODELLED,
    )


def _of_images(kind: str, config: Any) -> Architecture:
    """A classifier of images: of the size that its configuration names, else of any."""
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    fixed = len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)
    height, width = sides if fixed else (DEFAULT_PIXELS, DEFAULT_PIXELS)
    attends = any(hasattr(config, name) for name in _HEADS)
    return Architecture(
        model_type=kind,
        family=Family.VISION_TRANSFORMER if attends else Family.CONVOLUTIONAL,
        modality=Modality.IMAGE,
        hidden=0,
        body=(),
        heads=(),
        image=Image(height, width, channels if isinstance(channels, int) else 3, None, fixed_size=fixed and attends),
        labels=config.num_labels,
        unmodelled=UNMODELLED,
    )


def _family(config: Any) -> Family | None:
    """How the configuration's class is run: as it says, and where it says nothing, by its flags."""
    import transformers

    named = set(getattr(config, "architectures", None) or ())
    known: list[Family] = []
    for auto_class, family in _RUN_AS:
        mapping = getattr(transformers, auto_class)._model_mapping
        if type(config) not in mapping or (family is Family.VISION_TRANSFORMER and type(config).sub_configs):
            continue  # what has parts of its own reads more than images
        classes = mapping[type(config)]
        if named & {one.__name__ for one in (classes if isinstance(classes, tuple) else (classes,))}:
            return family
        known.append(family)
    if len(known) < 2:
        return known[0] if known else None
    if Family.ENCODER_DECODER in known and config.is_encoder_decoder:
        return Family.ENCODER_DECODER
    return Family.DECODER if getattr(config, "is_decoder", False) or Family.ENCODER not in known else Family.ENCODER
