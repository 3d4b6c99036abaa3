"""One pass of a ModelCheck."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wattmark import preflight
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide import benchmark, check
from wattmark.identity import Key
from wattmark.reconcile import stored
from wattmark.reconcile.knowledge import Knowledge, guarded
from wattmark.reconcile.writer import Writer, Written


@dataclass(frozen=True, slots=True)
class CheckPass:
    """Answers a ModelCheck anew. `clock` gives seconds since 1970."""

    knowledge: Knowledge
    writer: Writer
    clock: Callable[[], float]

    async def run(self, key: Key, body: dict[str, Any], written: Written) -> float | None:
        """One pass. Returns after how many seconds to look again."""
        identity = stored.identity(key, body)
        if identity.deleting:
            return None
        spec = stored.spec(ModelCheckSpec, body.get("spec"))
        status = stored.status(ModelCheckStatus, body.get("status")) or ModelCheckStatus()
        answer: preflight.Answer | str = spec if isinstance(spec, str) else ""
        again = None
        if isinstance(spec, ModelCheckSpec):
            facts = await self.knowledge.facts(spec.model)
            if isinstance(facts, str):
                answer, again = facts, benchmark.ASK_AGAIN_SECONDS
            else:
                answer = guarded(lambda: preflight.for_check(spec, facts, self.knowledge.fleet()), preflight.unanswered)
                again = benchmark.ASK_AGAIN_SECONDS if self.knowledge.may_hear_more(facts) else None
        await self.writer.write(key, body, check.decide(identity, spec, status, answer, self.clock()), written)
        return written.refresh_seconds if again is None else again
