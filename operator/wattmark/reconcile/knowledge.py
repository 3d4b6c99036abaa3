"""What is known for every question: the models' facts, from the hub where it must be asked, and the fleet."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from wattmark import model_facts, preflight
from wattmark.api.model import ModelSpec
from wattmark.evidence import Experience
from wattmark.fit.checks import WeightsSeen
from wattmark.hub import Hub, HubConfig, HubSilent
from wattmark.workqueue import Again
from wattmark.world import World

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


def guarded(estimate: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """What is estimated; where that fails, what is said instead. Tried again it would only fail again, unseen."""
    try:
        return estimate()
    except Exception as error:
        _LOG.exception("an estimate failed")
        return otherwise(
            f"the estimate failed, which is a defect of Wattmark ({type(error).__name__}: {error}); please report this "
            "with the object's spec"
        )


@dataclass(slots=True)
class Knowledge:
    """Reads models and nodes; the fleet is put together once for all who ask between two changes of it."""

    world: World
    hub: Hub
    _fleet: tuple[int, preflight.Fleet] | None = None

    def fleet(self) -> preflight.Fleet | None:
        """The kinds of node; None where nodes may not be read."""
        settings = self.world.settings
        if not settings.read_nodes:
            return None
        if self._fleet is None or self._fleet[0] != self.world.fleet_version:
            pods = self.world.gpu_pods.items.values() if settings.read_all_pods else None
            nodes, slices = self.world.nodes.items.values(), self.world.slices.items.values()
            fleet = preflight.fleet(nodes, pods, settings.assumed_node_types, slices)
            self._fleet = self.world.fleet_version, fleet
        return self._fleet[1]

    def experience(self, namespace: str) -> Experience:
        """The finished runs that this namespace may learn from. Raises Again until earlier ones are read."""
        if self.world.unread:
            raise Again
        return self.world.runs.experience(namespace)

    async def facts(self, model: ModelSpec) -> model_facts.Facts | model_facts.Refusal | str:
        """What is known of the model; a sentence where the hub does not answer."""
        known = await self.model(model)
        if model_facts.wanted_of_hub(model) is not None or not isinstance(known, model_facts.Facts):
            return known
        return replace(known, weights=await self._weights(model))

    async def model(self, model: ModelSpec) -> model_facts.Facts | model_facts.Refusal | str:
        """The same, without whether its weights are there: of one that has run."""
        wanted = model_facts.wanted_of_hub(model)
        if wanted is None:
            return model_facts.facts(model, None)
        answer = await self.hub.config(*wanted)
        if isinstance(answer, HubSilent):
            return answer.message
        return model_facts.facts(model, answer.config if isinstance(answer, HubConfig) else answer.message)

    async def _weights(self, model: ModelSpec) -> WeightsSeen | None:
        """What the hub says of pretrained weights that a run would download; None where it downloads none."""
        wanted = model_facts.weights_of_hub(model)
        if wanted is None:
            return None
        if self.hub.switched_off:
            return WeightsSeen(None, "looking models up on a hub is switched off")
        answer = await self.hub.config(*wanted)
        if isinstance(answer, HubConfig):
            return WeightsSeen(True)
        # What follows in the message is a remedy for a configuration that is missing.
        return WeightsSeen(None if isinstance(answer, HubSilent) else False, answer.message.partition(";")[0])

    def may_hear_more(self, facts: model_facts.Facts | model_facts.Refusal) -> bool:
        """Whether a hub that is silent now may say later if it has the weights."""
        seen = None if isinstance(facts, model_facts.Refusal) else facts.weights
        return seen is not None and seen.there is None and not self.hub.switched_off
