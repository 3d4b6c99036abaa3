"""From a config.json of transformers, or of diffusers, to an Architecture."""

from collections.abc import Callable, Mapping
from typing import Any

from wattmark.models.architecture import Architecture, Unsupported
from wattmark.models.families import (
    albert,
    bert,
    deberta,
    efficientnet,
    gpt2,
    gpt_neo,
    gpt_neox,
    gptj,
    llama,
    resnet,
    t5,
    unet,
    vit,
    wav2vec2,
    whisper,
)
from wattmark.models.fields import Fields, OddFieldError

MOST_LAYERS = 512  # in all: the deepest published model has 126
# By model_type, or by the class's name where a configuration is diffusers', which has no types.
READERS: Mapping[str, Callable[[Fields], Architecture]] = {
    "albert": albert.albert,
    "bert": bert.bert,
    "codegen": gptj.codegen,
    "deberta": deberta.deberta,
    "deberta-v2": deberta.deberta_v2,
    "distilbert": bert.distilbert,
    "efficientnet": efficientnet.efficientnet,
    "gemma2": llama.gemma2,
    "gpt2": gpt2.gpt2,
    "gpt_neo": gpt_neo.gpt_neo,
    "gpt_neox": gpt_neox.gpt_neox,
    "gptj": gptj.gptj,
    "llama": llama.llama,
    "mistral": llama.mistral,
    "mixtral": llama.mixtral,
    "phi3": llama.phi3,
    "qwen2": llama.qwen2,
    "qwen3": llama.qwen3,
    "qwen3_moe": llama.qwen3_moe,
    "resnet": resnet.resnet,
    "roberta": bert.bert,
    "t5": t5.t5,
    "vit": vit.vit,
    "wav2vec2": wav2vec2.wav2vec2,
    "whisper": whisper.whisper,
    "xlm-roberta": bert.bert,
    unet.CLASS: unet.unet,
}


def architecture(config: Mapping[str, Any]) -> Architecture | Unsupported:
    """Read a config.json that may say anything. Never raises: what cannot be read is Unsupported, with its field."""
    if not isinstance(config, Mapping):
        return Unsupported("config", f"is a {type(config).__name__}, not an object")
    kind = config.get("model_type", config.get("_class_name"))
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        if kind is None:
            return Unsupported("model_type", "is missing")
        return Unsupported("model_type", f"{kind!r:.60} is not covered ({', '.join(READERS)} are)")
    try:
        fields = Fields(config)
        fields.must_not("quantization_config", {})
        return _of_known_size(reader(fields))
    except OddFieldError as odd:
        return Unsupported(odd.name, odd.reason)


def listed(config: Mapping[str, Any]) -> bool:
    """Whether its type is one of those that are read here; what is no type at all counts as one."""
    kind = config.get("model_type")
    return not isinstance(kind, str) or kind in READERS


def _of_known_size(found: Architecture) -> Architecture:
    """The architecture, unless it is deeper than any that the closed forms were tried on."""
    layers = sum(stack.layers for stack in (found.encoder, found.decoder) if stack)
    if layers > MOST_LAYERS:
        raise OddFieldError("num_hidden_layers", f"there are {layers} layers in all, at most {MOST_LAYERS} are known")
    return found
