"""The operator's settings: read once from WATTMARK_*, frozen, and passed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wattmark.api.schema import DNS_LABEL
from wattmark.fleet.gpus import gpu_product, short_names
from wattmark.fleet.nodes import AssumedNodes

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MOST_GPUS_PER_NODE = 64
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class InvalidSetting(ValueError):  # noqa: N818 - the administrator's, not ours
    """A WATTMARK_* variable cannot be read; the message names it and says what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every field but the runner's image, which nobody publishes yet, has a default for a small cluster."""

    runner_image: str
    runner_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    namespace: str | None = None  # the one namespace that is served; None serves all
    read_nodes: bool = True
    read_all_pods: bool = True  # needed to know what is free now
    assumed_node_types: tuple[AssumedNodes, ...] = ()  # reckoned with although none may be there: scale from zero
    evidence_namespaces: tuple[str, ...] = ()  # every namespace learns from the runs of these, beside its own
    hub_endpoint: str | None = None  # None: unknown models are not looked up
    progress_seconds: float = 5.0  # 0 switches live progress off
    log_level: str = "INFO"
    health_port: int = 8080
    workers: int = 8  # concurrent passes; each holds at most one request


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InvalidSetting(f'{name} is "{value}"; it takes {", ".join(allowed[:-1])} or {allowed[-1]}')
    return value


def _flag(name: str, value: str) -> bool:
    return _one_of(name, value, ("true", "false")) == "true"


def _listed(value: str) -> tuple[str, ...]:
    return tuple(entry for part in value.split(",") if (entry := part.strip()))


def _names(name: str, value: str) -> tuple[str, ...]:
    found = _listed(value)
    odd = next((one for one in found if not re.fullmatch(DNS_LABEL, one) or len(one) > 63), None)
    if odd is not None:
        raise InvalidSetting(f'{name} holds "{odd}"; it takes names of namespaces, with commas between them')
    return found


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise InvalidSetting(f'{name} is "{value}"; it takes seconds from 0 to 3600')
    return seconds


def _assumed(name: str, value: str) -> tuple[AssumedNodes, ...]:
    try:
        return tuple(_assumed_one(entry) for entry in json.loads(value))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        takes = 'a JSON list of objects like {"product": "H100-SXM", "gpus": 8}'
        raise InvalidSetting(f"{name} cannot be read ({error}); it takes {takes}") from error


def _assumed_one(entry: Mapping[str, object]) -> AssumedNodes:
    product, gpus = gpu_product(str(entry["product"])), entry["gpus"]
    if product is None:
        known = ", ".join(short_names())
        raise ValueError(f"product {entry['product']!r:.64} is not in the table of products, which has {known}")
    if not isinstance(gpus, int) or not 0 < gpus <= MOST_GPUS_PER_NODE:
        raise ValueError(f"gpus is {gpus!r:.64}, not a number from 1 to {MOST_GPUS_PER_NODE}")
    return AssumedNodes(product, gpus)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from WATTMARK_* variables; an empty one counts as unset. Raises InvalidSetting."""
    image = environment.get("WATTMARK_RUNNER_IMAGE")
    if not image:
        raise InvalidSetting("WATTMARK_RUNNER_IMAGE is not set; it takes the image that runner Pods use")
    default = Settings(image)

    def text(name: str) -> str | None:
        return environment.get(f"WATTMARK_{name}") or None

    def flag(name: str, otherwise: bool) -> bool:
        value = text(name)
        return otherwise if value is None else _flag(f"WATTMARK_{name}", value)

    progress = text("PROGRESS_SECONDS")
    port = text("HEALTH_PORT") or str(default.health_port)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidSetting(f'WATTMARK_HEALTH_PORT is "{port}"; it takes a port number')
    return Settings(
        runner_image=image,
        runner_pull_policy=_one_of(
            "WATTMARK_RUNNER_PULL_POLICY", text("RUNNER_PULL_POLICY") or default.runner_pull_policy, PULL_POLICIES
        ),
        image_pull_secrets=_listed(text("IMAGE_PULL_SECRETS") or ""),
        namespace=text("NAMESPACE"),
        read_nodes=flag("READ_NODES", default.read_nodes),
        read_all_pods=flag("READ_ALL_PODS", default.read_all_pods),
        assumed_node_types=_assumed("WATTMARK_ASSUMED_NODE_TYPES", text("ASSUMED_NODE_TYPES") or "[]"),
        evidence_namespaces=_names("WATTMARK_EVIDENCE_NAMESPACES", text("EVIDENCE_NAMESPACES") or ""),
        hub_endpoint=text("HUB_ENDPOINT"),
        progress_seconds=default.progress_seconds
        if progress is None
        else _seconds("WATTMARK_PROGRESS_SECONDS", progress),
        log_level=_one_of("WATTMARK_LOG_LEVEL", text("LOG_LEVEL") or default.log_level, LOG_LEVELS),
        health_port=int(port),
    )
