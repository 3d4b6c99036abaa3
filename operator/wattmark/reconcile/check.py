"""One pass of a ModelCheck."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wattmark import preflight
from wattmark.api.conditions import Reason
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide import benchmark, check
from wattmark.decide.plan import Identity
from wattmark.decide.tracing import Tracing
from wattmark.decide.waiting import Waiting
from wattmark.identity import Key
from wattmark.model_facts import Facts, Refusal
from wattmark.reconcile import stored
from wattmark.reconcile.knowledge import Knowledge, guarded
from wattmark.reconcile.tracing import Attempted, Traces
from wattmark.reconcile.writer import Writer, Written


@dataclass(frozen=True, slots=True)
class CheckPass:
    """Answers a ModelCheck anew. `clock` gives seconds since 1970."""

    knowledge: Knowledge
    traces: Traces
    writer: Writer
    clock: Callable[[], float]

    async def run(self, key: Key, body: dict[str, Any], written: Written, attempted: Attempted) -> float | None:
        """One pass. Returns after how many seconds to look again."""
        identity = stored.identity(key, body)
        if identity.deleting:
            return None
        spec = stored.spec(ModelCheckSpec, body.get("spec"))
        status = stored.status(ModelCheckStatus, body.get("status")) or ModelCheckStatus()
        if isinstance(spec, str):
            await self.writer.write(key, body, check.decide(identity, spec, status, spec, self.clock()), written)
            return written.refresh_seconds
        facts = await self.knowledge.facts(spec.model)
        if isinstance(facts, str):
            silent = Waiting(Reason.HUB_UNREACHABLE, facts, True)
            await self.writer.write(key, body, check.decide(identity, spec, status, silent, self.clock()), written)
            return benchmark.ASK_AGAIN_SECONDS
        tracing = await self._tracing(key, identity, spec, status, facts, attempted)
        answer = tracing.standing or self._answer(key, spec, facts, tracing)
        decided = check.decide(identity, spec, status, answer, self.clock())
        wrote = await self.writer.write(key, body, decided.model_copy(update={"trace": tracing.stored}), written)
        news = await self.traces.act(key, spec, tracing.actions, attempted)
        if wrote and tracing.announcement is not None:
            await self.writer.announce(key, body, tracing.announcement)
        if news and attempted.not_created is not None:
            return 0.0
        hub = benchmark.ASK_AGAIN_SECONDS if self.knowledge.may_hear_more(facts) else None
        wanted = (tracing.look_again_seconds, hub, written.refresh_seconds)
        return min((seconds for seconds in wanted if seconds is not None), default=None)

    async def _tracing(
        self,
        key: Key,
        identity: Identity,
        spec: ModelCheckSpec,
        status: ModelCheckStatus,
        facts: Facts | Refusal,
        attempted: Attempted,
    ) -> Tracing:
        if not isinstance(facts, Refusal) and guarded(
            lambda: preflight.needs_trace(spec, facts),
            lambda why: False,  # the answer fails likewise, and tells
        ):
            return await self.traces.step(key, identity, spec, status, facts.config, attempted)
        return Tracing(None, actions=self.traces.untraced(key, identity))

    def _answer(self, key: Key, spec: ModelCheckSpec, facts: Facts | Refusal, tracing: Tracing) -> preflight.Answer:
        found = tracing.stored.result if tracing.stored else None
        known, experience = tracing.failure or facts, self.knowledge.experience(key.namespace)
        return guarded(
            lambda: preflight.for_check(spec, known, self.knowledge.fleet(), found, experience), preflight.unanswered
        )
