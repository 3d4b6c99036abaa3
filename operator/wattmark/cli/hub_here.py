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

    endpoint = os.environ.get("HF_ENDPOINT") or PUBLIC_HUB
    print(f"wattmark: {clean(model.id)} is not in the registry: {endpoint} is asked for it", file=sys.stderr)
    answer = asyncio.run(Hub(endpoint).config(*wanted))
    if isinstance(answer, HubSilent):
        said = answer.message.partition(";")[0]
        why = f"{said}; --config takes the model's config.json{model_facts.meant_by(model)}"
        return Refusal(Reason.HUB_UNREACHABLE, why)
    return model_facts.facts(model, answer.config if isinstance(answer, HubConfig) else answer.message)
