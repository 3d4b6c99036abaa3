"""Whether a runner's report is accepted: size, JSON, schema, finite numbers, and that it is of this very run."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from wattmark.api.conditions import Reason
from wattmark.api.report import REPORT_LIMIT_BYTES, Report
from wattmark.observe import clean


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a report is not believed."""

    reason: Reason
    message: str


class _NotFiniteError(ValueError):
    pass


class _RepeatedKeyError(ValueError):
    pass


def _not_finite(constant: str) -> NoReturn:
    raise _NotFiniteError(constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RepeatedKeyError
    return result


def accept(message: str, run_uid: str, pod_uid: str | None) -> Report | Rejected:
    """The report in a container's termination message, or why it is rejected. Never raises."""
    size = len(message.encode("utf-8", "surrogatepass"))
    # A longer message arrives without its head, at exactly the kubelet's limit.
    if size > REPORT_LIMIT_BYTES or (size == REPORT_LIMIT_BYTES and not message.startswith("{")):
        return Rejected(
            Reason.REPORT_TOO_LARGE,
            f"the runner's report exceeds {REPORT_LIMIT_BYTES} bytes and arrived cut; use the runner image of this release",
        )
    try:
        raw = json.loads(message, parse_constant=_not_finite, object_pairs_hook=_without_repeats)
        report = Report.model_validate(raw)
    except _NotFiniteError as error:
        return Rejected(
            Reason.REPORT_NOT_FINITE, f"the runner's report holds {error}, which is no number; nothing of it is used"
        )
    except _RepeatedKeyError:
        return Rejected(
            Reason.REPORT_MALFORMED, "the runner's report names a field twice; use the runner image of this release"
        )
    except (ValueError, RecursionError) as error:
        return _malformed(error)
    if (report.results is None) == (report.failure is None):
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report must hold either results or a failure")
    if report.results is not None and (report.environment is None or report.steadiness is None):
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report holds results without environment and steadiness")
    if report.run_uid != run_uid or (pod_uid is not None and report.pod_uid != pod_uid):
        return Rejected(
            Reason.REPORT_OF_ANOTHER_RUN,
            "the report in this Pod's termination message is of another run; nothing of it is used",
        )
    return report


def _malformed(error: Exception) -> Rejected:
    if not isinstance(error, ValidationError):
        return Rejected(
            Reason.REPORT_MALFORMED,
            "the runner's report is not JSON; see the Pod's log, and use this release's runner image",
        )
    first = error.errors(include_url=False, include_input=False)[0]
    where = clean(".".join(str(part) for part in first["loc"]), 128)
    if first["type"] == "finite_number":
        return Rejected(
            Reason.REPORT_NOT_FINITE, f"the runner's report holds no finite number at {where}; nothing of it is used"
        )
    return Rejected(
        Reason.REPORT_MALFORMED,
        f"the runner's report is malformed at {where}: {clean(first['msg'], 128)}; use the runner image of this release",
    )
