"""What a finished BenchmarkJob says of other needs, taken in."""

from dataclasses import dataclass

from wattmark import evidence, model_facts
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.identity import Key
from wattmark.models import Architecture
from wattmark.reconcile import stored
from wattmark.reconcile.knowledge import Knowledge
from wattmark.world import World

ASK_AGAIN_SECONDS = 600.0  # for a model that the hub does not tell just now: one voice less until then


@dataclass(frozen=True, slots=True)
class Lessons:
    """Reads finished runs into the world's store. The closed form that they are held against is this release's."""

    world: World
    knowledge: Knowledge

    async def take(self, key: Key) -> float | None:
        """Take in a finished object. Returns after how many seconds to look again."""
        body = self.world.body(key)
        if body is None:
            return None
        spec = stored.spec(BenchmarkJobSpec, body.get("spec"))
        status = stored.status(BenchmarkJobStatus, body.get("status"))
        run = None
        if isinstance(spec, BenchmarkJobSpec) and status is not None and status.job is not None:
            facts = await self.knowledge.model(spec.model)
            if isinstance(facts, str):
                return ASK_AGAIN_SECONDS
            if isinstance(facts, model_facts.Facts) and isinstance(facts.architecture, Architecture):
                run = evidence.read(key.namespace, key.name, spec, status, facts.architecture)
        self.world.learn(key, run)
        return None
