"""A BenchmarkJob that does not fit as it is: refused with what would help, or changed once and run so."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import NO, SEEN, YES, onward, says, spec, step

from wattmark.api.answers import BytesEstimate, Source
from wattmark.api.conditions import ConditionType, Reason
from wattmark.api.fallback import Change, Fallback
from wattmark.api.order import ORDER_VARIABLE
from wattmark.decide.plan import CreateJob, Plan
from wattmark.preflight import Preflight

FALLBACK = Fallback(
    rank=1,
    changes=[Change.ATTENTION],
    changes_result=False,
    patch='{"spec":{"runtime":{"attention":"Auto"}}}',
    message="fused attention",
    node_type="A",
    need_bytes=BytesEstimate(low=1, likely=2, high=3, source=Source.CLOSED_FORM),
)
BATCH = FALLBACK.model_copy(update={"changes": [Change.BATCH_SIZE], "changes_result": True, "message": "a batch of 4"})
ADAPT = spec(preflight={"policy": "Adapt"}, runtime={"attention": "Eager"})
WITH_IT = spec(preflight={"policy": "Adapt"})
assert isinstance(SEEN.preflight, Preflight)
ADAPTED = replace(
    SEEN.preflight,
    reason=Reason.FITS_ADAPTED,
    message="adapted, see status.adaptation: fused attention. With it: fits",
    adaptation=FALLBACK,
    spec=WITH_IT,
)
SHORT = replace(SEEN.preflight, fits=False, reason=Reason.DOES_NOT_FIT, message="fits none", fallbacks=(BATCH,))


def order(plan: Plan) -> dict[str, Any]:
    (created,) = [action for action in plan.actions if isinstance(action, CreateJob)]
    (container,) = created.manifest["spec"]["template"]["spec"]["containers"]
    told: dict[str, Any] = json.loads(next(v["value"] for v in container["env"] if v["name"] == ORDER_VARIABLE))
    return told


def test_the_runner_is_told_the_adapted_spec_and_status_says_so_before() -> None:
    plan = step(replace(SEEN, spec=ADAPT, preflight=ADAPTED))
    assert says(plan, ConditionType.MODEL_FITS) == (YES, Reason.FITS_ADAPTED)
    assert plan.status is not None and plan.status.adaptation == FALLBACK
    assert order(plan)["runtime"]["attention"] == "Auto"


def test_an_adaptation_is_kept_while_it_waits() -> None:
    suspended = spec(preflight={"policy": "Adapt"}, runtime={"attention": "Eager"}, suspend=True)
    seen = onward(replace(SEEN, spec=suspended, preflight=ADAPTED))
    assert seen.status.adaptation == FALLBACK
    resumed = step(replace(seen, spec=ADAPT))
    assert resumed.status is not None and resumed.status.adaptation == FALLBACK
    assert order(resumed)["runtime"]["attention"] == "Auto"


REFUSALS = [
    pytest.param("Enforce", "fits none; status.fallbacks has what makes it fit, first: a batch of 4", id="enforced"),
    pytest.param(
        "Adapt", "no change that leaves the result as it is makes it fit; status.fallbacks", id="none is harmless"
    ),
]


@pytest.mark.parametrize(("policy", "words"), REFUSALS)
def test_a_run_that_does_not_fit_is_refused_with_what_would_help(policy: str, words: str) -> None:
    plan = step(replace(SEEN, spec=spec(preflight={"policy": policy}), preflight=SHORT))
    assert says(plan, ConditionType.FAILED) == (YES, Reason.DOES_NOT_FIT)
    assert says(plan, ConditionType.MODEL_FITS) == (NO, Reason.DOES_NOT_FIT)
    assert plan.status is not None and plan.status.fallbacks == [BATCH] and not plan.actions
    assert plan.announcement is not None and words in plan.announcement.message


def test_a_warning_runs_as_it_was_asked() -> None:
    warned = spec(preflight={"policy": "Warn"}, runtime={"attention": "Eager"})
    plan = step(replace(SEEN, spec=warned, preflight=SHORT))
    assert order(plan)["runtime"]["attention"] == "Eager"
    assert plan.status is not None and plan.status.fallbacks == [BATCH]
