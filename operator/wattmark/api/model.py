"""Which model: its id, where its configuration and its weights come from."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from wattmark.api.schema import Model, ObjectName, Rule, ruled


class Weights(StrEnum):
    """Where a model's weights come from."""

    RANDOM = "Random"
    PRETRAINED = "Pretrained"


class SourceType(StrEnum):
    """Where a model's configuration (and pretrained weights) are read."""

    REGISTRY = "Registry"
    HUB = "Hub"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    INLINE = "Inline"


class SecretKeyRef(Model):
    """One key of a Secret in the object's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="Key within the Secret whose value is used."
    )


class HubSource(Model):
    """A model repository on the Hugging Face hub."""

    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", max_length=40)] = Field(
        description="Commit of the model repository, 40 hexadecimal digits. A branch is refused: it moves."
    )
    token_secret_ref: SecretKeyRef | None = Field(
        None, description="Secret with a hub access token, for gated models. Only the runner Pod reads it."
    )


class ClaimSource(Model):
    """A folder with config.json and safetensors on a PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="Name of the PersistentVolumeClaim, in the same namespace.")
    path: Annotated[
        str, Field(max_length=255, pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)?$")
    ] = Field("", description="Folder within the volume that holds config.json; empty for its root.")


MOST_INLINE_CHARACTERS = 16384


class InlineSource(Model):
    """The model's configuration, in the manifest itself."""

    config: Annotated[str, Field(min_length=2, max_length=MOST_INLINE_CHARACTERS)] = Field(
        description="The model's config.json as a string: JSON in the form transformers writes it."
    )


class ModelSource(Model):
    """Where the model's configuration and pretrained weights come from."""

    model_config = ruled(
        Rule("(self.type == 'Hub') == has(self.hub)", "source.hub goes with source.type Hub, and only with it"),
        Rule(
            "(self.type == 'PersistentVolumeClaim') == has(self.persistentVolumeClaim)",
            "source.persistentVolumeClaim goes with source.type PersistentVolumeClaim, and only with it",
        ),
        Rule(
            "(self.type == 'Inline') == has(self.inline)",
            "source.inline goes with source.type Inline, and only with it",
        ),
    )

    type: SourceType = Field(
        description="Registry: the built-in registry of known models. Hub: the Hugging Face hub at a fixed commit. "
        "PersistentVolumeClaim: a folder of a volume. Inline: the configuration given here."
    )
    hub: HubSource | None = Field(None, description="The hub repository's revision; with type Hub.")
    persistent_volume_claim: ClaimSource | None = Field(
        None, description="The volume; with type PersistentVolumeClaim."
    )
    inline: InlineSource | None = Field(None, description="The configuration; with type Inline.")

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        for kind, member, name in (
            (SourceType.HUB, self.hub, "hub"),
            (SourceType.PERSISTENT_VOLUME_CLAIM, self.persistent_volume_claim, "persistentVolumeClaim"),
            (SourceType.INLINE, self.inline, "inline"),
        ):
            if (self.type is kind) != (member is not None):
                raise ValueError(f"source.{name} goes with source.type {kind.value}, and only with it")
        return self


MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"


class ModelSpec(Model):
    """Which model."""

    model_config = ruled(
        Rule(
            "self.weights != 'Pretrained' || !has(self.source) || self.source.type != 'Inline'",
            "weights Pretrained needs a source that holds weights: Hub or PersistentVolumeClaim, not Inline",
        )
    )

    id: Annotated[str, Field(min_length=1, max_length=96, pattern=MODEL_ID)] = Field(
        description="A name that the registry knows (bert-base-uncased, gpt2, meta-llama/Llama-3.1-8B), or a hub id. "
        "With source.type Inline or PersistentVolumeClaim: a name of your choice."
    )
    weights: Weights = Field(
        Weights.RANDOM,
        description="Random: weights are initialised at random and nothing is downloaded; speed and memory do not "
        "depend on their values, energy hardly does. Pretrained: safetensors are loaded; no other format, no remote "
        "code.",
    )
    source: ModelSource | None = Field(
        None, description="Where the configuration comes from. Default: the registry if it knows the id, else the hub."
    )

    @model_validator(mode="after")
    def _weights_have_a_source(self) -> Self:
        if self.weights is Weights.PRETRAINED and self.source and self.source.type is SourceType.INLINE:
            raise ValueError(
                "weights Pretrained needs a source that holds weights: Hub or PersistentVolumeClaim, not Inline"
            )
        return self
