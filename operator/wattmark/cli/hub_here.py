"""What a public hub says of a model that the registry does not know, asked once and from this machine."""

import asyncio
import os
import sys

from wattmark import model_facts
from wattmark.api.conditions import Reason
from wattmark.api.model import ModelSpec
from wattmark.model_facts import Facts, Refusal
from wattmark.observe import clean

PUBLIC_HUB = "https://huggingface.co"
# As the hub's own client reads its variables.
_TRUE = {"1", "ON", "YES", "TRUE"}


def asks_the_hub(model: ModelSpec) -> str:
    """What is said before a hub is asked for a model that is not known here, by the runner or by us."""
    return f"{clean(model.id)} is not in the registry: {_endpoint()} is asked for it{model_facts.meant_by(model)}"


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or PUBLIC_HUB


def facts_here(model: ModelSpec) -> Facts | Refusal:
    """What is known of the model, or why nothing is.

    HF_ENDPOINT names another hub, HF_HUB_OFFLINE=1 keeps it from being asked.
    """
    wanted = model_facts.wanted_of_hub(model)
    if wanted is None:
        return model_facts.facts(model, None)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        why = f'"{model.id}" is not in the registry, and HF_HUB_OFFLINE is set (--config takes its config.json)'
        return model_facts.facts(model, why)
    from wattmark.hub import Hub, HubConfig, HubSilent  # late: few questions need it, and it takes a while to import

    print(f"wattmark: {asks_the_hub(model)}", file=sys.stderr)
    answer = asyncio.run(Hub(_endpoint()).config(*wanted))
    if isinstance(answer, HubSilent):
        said = answer.message.partition(";")[0]
        return Refusal(Reason.HUB_UNREACHABLE, f"{said}; --config takes the model's config.json")
    return model_facts.facts(model, answer.config if isinstance(answer, HubConfig) else answer.message)
