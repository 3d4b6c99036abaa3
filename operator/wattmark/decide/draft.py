"""A BenchmarkJob's next status while it is being decided, and the ways in which it can be concluded."""

from dataclasses import dataclass, field
from typing import Any

from wattmark.api.benchmarkjob import Attempt, BenchmarkJobSpec, BenchmarkJobStatus, JobReference, RunPhase
from wattmark.api.conditions import ConditionType, Reason
from wattmark.api.figures import Environment
from wattmark.api.report import Report
from wattmark.decide import summary
from wattmark.decide.compare import comparability_key, comparison
from wattmark.decide.plan import Action, Announcement, Plan, Seen
from wattmark.decide.saying import Sayings, dated, in_progress, no, said, settled, timestamp, unknown, yes
from wattmark.decide.validity import energy_valid, measurement_valid
from wattmark.observe import SeenPod
from wattmark.preflight import Preflight

MOST_UNAVAILABLE = 24  # the bound of status.unavailable; the runner names at most 16


@dataclass(slots=True)
class Draft:
    """Collects what changes; `status()` gives the whole next status."""

    seen: Seen
    now: float
    sayings: Sayings = field(init=False)
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sayings = said(self.seen.status.conditions)
        if self.seen.status.start_time is None:
            self.changes["start_time"] = timestamp(self.now)

    @property
    def spec(self) -> BenchmarkJobSpec:
        """The spec; only asked for once it is known to be readable."""
        assert isinstance(self.seen.spec, BenchmarkJobSpec)
        return self.seen.spec

    def status(self) -> BenchmarkJobStatus:
        """The next status as a whole."""
        old, generation = self.seen.status, self.seen.identity.generation
        conditions = dated(self.sayings, old.conditions, self.now, generation)
        update = {**self.changes, "conditions": conditions, "observed_generation": generation}
        return old.model_copy(update=update)

    def preflight(self, found: Preflight) -> None:
        """Store what is known before the run."""
        self.sayings[ConditionType.ACCEPTED] = yes(Reason.ACCEPTED, "the spec is accepted")
        say = unknown if found.fits is None else yes if found.fits else no
        self.sayings[ConditionType.MODEL_FITS] = say(found.reason, found.message)
        self.changes |= {
            "resolved": found.resolved,
            "need": found.need,
            "predictions": list(found.predictions),
            "fallbacks": list(found.fallbacks),
            "adaptation": found.adaptation,
            "unavailable": list(found.unavailable),
            "summary": summary.asked(self.spec, None),
        }

    def job(self) -> None:
        """Store which Job is the run's; a namesake of somebody else's is not."""
        if self.seen.job is not None and self.seen.job.owner_uid == self.seen.identity.uid:
            self.changes["job"] = JobReference(name=self.seen.job.name, uid=self.seen.job.uid)

    def pending(self, reason: Reason, message: str) -> None:
        """The run has not begun, and why."""
        self.changes |= {"phase": RunPhase.PENDING, "progress": None, "summary": summary.asked(self.spec, None)}
        self.sayings[ConditionType.RUNNING] = no(reason, message)
        in_progress(self.sayings, reason, message)

    def running(self, pod: SeenPod) -> None:
        """The runner's container runs."""
        message = f"the runner works on node {pod.node}"
        self.changes |= {
            "phase": RunPhase.RUNNING,
            "progress": self.seen.progress,
            "summary": summary.asked(self.spec, self.seen.progress),
        }
        self.sayings[ConditionType.RUNNING] = yes(Reason.RUNNING, message)
        in_progress(self.sayings, Reason.RUNNING, message)

    def suspended(self) -> None:
        """Nothing runs, because the spec says so."""
        message = "spec.suspend is true; set it to false to run"
        self.changes |= {"phase": RunPhase.SUSPENDED, "progress": None, "summary": summary.asked(self.spec, None)}
        self.sayings[ConditionType.SUSPENDED] = yes(Reason.SUSPENDED, message)
        self.sayings[ConditionType.RUNNING] = no(Reason.SUSPENDED, message)
        in_progress(self.sayings, Reason.SUSPENDED, message)

    def resumed(self) -> None:
        """A suspension, if there was one, is over."""
        if ConditionType.SUSPENDED in self.sayings:
            self.sayings[ConditionType.SUSPENDED] = no(Reason.RESUMED, "spec.suspend is false")

    def failed(self, reason: Reason, message: str, actions: tuple[Action, ...] = ()) -> Plan:
        """The end, without figures."""
        self.job()
        self.changes |= {"phase": RunPhase.FAILED, "progress": None, "completion_time": timestamp(self.now)}
        if isinstance(self.seen.spec, BenchmarkJobSpec):
            self.changes["summary"] = summary.asked(self.spec, None)
        ended = no(reason, message)
        for kind in (ConditionType.RUNNING, ConditionType.RESULTS_AVAILABLE):
            self.sayings[kind] = ended
        self.sayings.setdefault(ConditionType.ACCEPTED, ended)
        self.sayings[ConditionType.FAILED] = yes(reason, message)
        settled(self.sayings, ended)
        return Plan(self.status(), actions, Announcement(True, reason, message))

    def completed(self, pod: SeenPod, report: Report) -> Plan:
        """The end, with figures."""
        results, environment, steadiness = report.results, report.environment, report.steadiness
        assert results is not None and environment is not None and steadiness is not None  # held by accept()
        self.job()
        self.ran_in(pod, environment)
        valid = measurement_valid(steadiness, results)
        done = f"measured {results.iterations} iterations in {results.window_seconds:.1f} s"
        ended_at = pod.ended.finished if pod.ended and pod.ended.finished else self.now
        known = {u.field for u in report.unavailable}
        self.changes |= {
            "phase": RunPhase.COMPLETED,
            "progress": None,
            "results": results,
            "steadiness": steadiness,
            "unavailable": [
                *report.unavailable,
                *(u for u in self.seen.status.unavailable if u.field not in known),
            ][:MOST_UNAVAILABLE],
            "comparison": comparison(self.seen.status.need, results.memory),
            "comparability_key": comparability_key(self.spec, self.seen.status.resolved, environment),
            "summary": summary.measured(self.spec, results, environment, valid.status.value),
            "completion_time": timestamp(ended_at),
        }
        self.sayings |= {
            ConditionType.RUNNING: no(Reason.ENDED, "the runner has ended"),
            ConditionType.RESULTS_AVAILABLE: yes(Reason.MEASURED, done),
            ConditionType.MEASUREMENT_VALID: valid,
            ConditionType.ENERGY_VALID: energy_valid(self.spec, report),
            ConditionType.COMPLETE: yes(Reason.MEASURED, done),
        }
        settled(self.sayings, yes(Reason.MEASURED, done))
        return Plan(self.status(), (), Announcement(False, Reason.MEASURED, done))

    def ran_in(self, pod: SeenPod, environment: Environment | None) -> None:
        """Store where the runner says that it ran, and where its Pod did."""
        if environment is not None:
            where = {"node": pod.node or None, "image_id": pod.image_id or None}
            self.changes["environment"] = environment.model_copy(update=where)

    def attempts(self, attempts: list[Attempt]) -> None:
        """Store the run's Pods, and what they held of GPUs for how long."""
        self.changes["attempts"] = attempts
