"""How many parameters a model has, as stored: tied weights once."""

from dataclasses import dataclass

from wattmark.models.architecture import Architecture, Head, Kind, Weights


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Parameters by what they do. `total` is all that is stored; `active` is what one token passes through.

    `active` is `total` but for experts. `buffers` are floating-point
    elements that are no parameters (batch norm's running statistics) and take memory all the same.
    """

    total: int
    embedding: int
    linear: int
    expert: int
    convolution: int
    norm: int
    other: int
    active: int
    buffers: int


def stored_weights(architecture: Architecture, head: Head, *, pretrained: bool = False) -> tuple[Weights, ...]:
    """The weights that have a storage of their own: a tied one has none. KeyError for a head that is not there."""
    everything = (*architecture.body, *architecture.head_weights(head))
    # A checkpoint that brings a projection of its own unties what a freshly built model shares.
    untied = pretrained and architecture.tied and not architecture.checkpoint_tied
    return tuple(weight for weight in everything if untied or not weight.tied)


def parameters(architecture: Architecture, head: Head, *, pretrained: bool = False) -> ParameterCount:
    """Parameters of the model that transformers builds with this head.

    Equal, to the parameter, to the sum over the unique storages of the framework's own model; with `pretrained`, of
    the model that holds the published checkpoint. KeyError where this kind of model has no such head.
    """
    stored = stored_weights(architecture, head, pretrained=pretrained)
    by_kind = dict.fromkeys(Kind, 0)
    for weight in stored:
        by_kind[weight.kind] += weight.elements * weight.count
    total = sum(by_kind.values())
    idle = sum(weight.elements * max(0, weight.count - weight.passes) for weight in stored)
    return ParameterCount(
        total=total,
        embedding=by_kind[Kind.EMBEDDING],
        linear=by_kind[Kind.LINEAR],
        expert=by_kind[Kind.EXPERT],
        convolution=by_kind[Kind.CONVOLUTION],
        norm=by_kind[Kind.NORM],
        other=by_kind[Kind.OTHER],
        active=total - idle,
        buffers=architecture.buffers,
    )
