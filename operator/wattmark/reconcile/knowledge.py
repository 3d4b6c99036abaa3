"""What is known for every question: the models' facts, from the hub where it must be asked, and the fleet."""

from dataclasses import dataclass

from wattmark import preflight
from wattmark.api.model import ModelSpec
from wattmark.hub import Hub, HubConfig, HubSilent
from wattmark.world import World


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

    async def facts(self, model: ModelSpec) -> preflight.Facts | preflight.Refusal | str:
        """What is known of the model; a sentence where the hub does not answer."""
        wanted = preflight.wanted_of_hub(model)
        if wanted is None:
            return preflight.facts(model, None)
        answer = await self.hub.config(*wanted)
        if isinstance(answer, HubSilent):
            return answer.message
        return preflight.facts(model, answer.config if isinstance(answer, HubConfig) else answer.message)
