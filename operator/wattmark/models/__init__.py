"""What is known of a model without running it: its geometry, its weights, its work."""

from wattmark.models.architecture import (
    Architecture,
    Audio,
    Convolution,
    Family,
    Head,
    Image,
    Inverted,
    Kind,
    Modality,
    Norm,
    Per,
    Stack,
    Unsupported,
    Wave,
    Weights,
)
from wattmark.models.config import architecture, listed
from wattmark.models.flops import Flops, flops
from wattmark.models.heads import head_for
from wattmark.models.parameters import ParameterCount, parameters, stored_weights
from wattmark.models.registry import KnownModel, family, known_ids, lookup, similar

__all__ = [
    "Architecture",
    "Audio",
    "Convolution",
    "Family",
    "Flops",
    "Head",
    "Image",
    "Inverted",
    "Kind",
    "KnownModel",
    "Modality",
    "Norm",
    "ParameterCount",
    "Per",
    "Stack",
    "Unsupported",
    "Wave",
    "Weights",
    "architecture",
    "family",
    "flops",
    "head_for",
    "known_ids",
    "listed",
    "lookup",
    "parameters",
    "similar",
    "stored_weights",
]
