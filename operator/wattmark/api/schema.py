"""Building blocks of the API: the base model, CEL rules, bounded types. Nothing here knows a kind."""

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema

GROUP = "wattmark.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Model(BaseModel):
    """Every object of the API: camelCase on the wire, closed, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_enum_values=False
    )

    @classmethod
    def read(cls, raw: object, extra: Literal["forbid", "ignore"] = "forbid") -> Self:
        """Read a manifest's part as the API server takes it: "8" is not 8, true is not 1. Raises ValidationError."""
        text = json.dumps(raw, default=str)  # YAML turns some words into dates
        return cls.model_validate_json(text, strict=True, extra=extra, by_alias=True, by_name=False)

    def wire(self) -> dict[str, Any]:
        """The JSON that the API server holds: camelCase, what is unknown left out."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


class Rule:
    """A CEL rule that the API server enforces on the type or class it annotates."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        self.message = message

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core)
        return (
            add_rules(handler.resolve_ref_schema(schema), (self,))
            if "$ref" not in schema
            else schema | {"x-kubernetes-validations": [*schema.get("x-kubernetes-validations", []), self.entry()]}
        )

    def entry(self) -> dict[str, str]:
        """The rule as an item of `x-kubernetes-validations`."""
        return {"rule": self.rule, "message": self.message}


def add_rules(schema: dict[str, Any], rules: tuple[Rule, ...]) -> dict[str, Any]:
    """Append CEL rules to a schema, keeping those it has."""
    schema.setdefault("x-kubernetes-validations", []).extend(rule.entry() for rule in rules)
    return schema


def ruled(*rules: Rule) -> ConfigDict:
    """A class's own configuration that carries CEL rules on its object schema."""

    def extend(schema: dict[str, Any]) -> None:
        add_rules(schema, rules)

    return ConfigDict(json_schema_extra=extend)


def map_list(key: str) -> Any:
    """A list of objects merged by one key, as server-side apply and merge tools expect."""
    return Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]})


ATOMIC = Field(json_schema_extra={"x-kubernetes-list-type": "atomic"})
AS_SET = Field(json_schema_extra={"x-kubernetes-list-type": "set"})

Text = Annotated[str, Field(max_length=1024)]
ShortText = Annotated[str, Field(max_length=128)]
# The API server compares bounds as floating-point numbers, which hold integers exactly only up to here: 8 PiB.
Bytes = Annotated[int, Field(ge=0, le=2**53)]
Count = Annotated[int, Field(ge=0, le=2**53)]
# Upper bounds keep a nonsense report out of status; each lies far beyond any machine of today.
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Joules = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Watts = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
PerSecond = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
# Of an object of ours
OWN_NAME, OWN_NAME_LENGTH = r"^[a-z]([-a-z0-9]*[a-z0-9])?$", 48
OWN_NAME_MESSAGE = (
    f"metadata.name must be at most {OWN_NAME_LENGTH} characters: lower-case letters, digits and '-', beginning with a "
    "letter"
)
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]

# The part of Kubernetes' grammar that whatever reads a quantity here understands.
_QUANTITY = r"^([0-9]+(\.[0-9]+)?)(m|k|[MGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?$"
_POSITIVE = (
    f"type(self) == int ? self > 0 : self.matches(r'{_QUANTITY}') && quantity(self).isGreaterThan(quantity('0'))"
)
_QUANTITY_MESSAGE = 'must be a quantity above zero, for example 4, "500m" or "16Gi"'


def _above_zero(value: str | int) -> str | int:
    number = re.match(_QUANTITY, str(value))
    if number is None or float(number[1]) == 0:
        raise ValueError(_QUANTITY_MESSAGE)
    return value


class _IntOrString:
    """Kubernetes' own int-or-string, bounded, held to a positive quantity by CEL."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "x-kubernetes-validations": [{"rule": _POSITIVE, "message": _QUANTITY_MESSAGE}],
        }


Quantity = Annotated[
    int | Annotated[str, Field(max_length=32)],
    Field(union_mode="left_to_right"),
    AfterValidator(_above_zero),
    _IntOrString(),
]
