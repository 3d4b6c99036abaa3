"""Whether a runner's report is accepted: size, JSON, schema, finite numbers, and that it is of this very run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from wattmark.api.conditions import Reason
from wattmark.api.report import REPORT_LIMIT_BYTES, Report
from wattmark.api.trace import TraceReport
from wattmark.estimate.traced import complete
from wattmark.observe import clean

R = TypeVar("R", Report, TraceReport)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a report is not believed."""

    reason: Reason
    message: str


_OF_ANOTHER_RUN = Rejected(
    Reason.REPORT_OF_ANOTHER_RUN,
    "the report in this Pod's termination message is of another run; nothing of it is used",
)


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


def _cleaned(value: Any) -> Any:
    """The same with every text made safe to show: what is accepted goes into status, and from there to terminals."""
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return clean(value, len(value)) if isinstance(value, str) else value


def accept(message: str, run_uid: str, pod_uid: str | None) -> Report | Rejected:
    """The report in a container's termination message, or why it is rejected. Never raises."""
    report = _read(Report, message)
    if isinstance(report, Rejected):
        return report
    if (report.results is None) == (report.failure is None):
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report must hold either results or a failure")
    if report.results is not None and (report.environment is None or report.steadiness is None):
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report holds results without environment and steadiness")
    if _names_twice([u.field for u in report.unavailable]) or (
        report.results is not None and _names_twice([d.index for d in report.results.devices])
    ):
        # Both are lists by key in the CRD: the API server would refuse the whole status.
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report speaks of one device or missing figure twice")
    if report.run_uid != run_uid or (pod_uid is not None and report.pod_uid != pod_uid):
        return _OF_ANOTHER_RUN
    return report


def accept_trace(message: str, check_uid: str, pod_uid: str | None, question: str) -> TraceReport | Rejected:
    """The report of a trace, or why it is rejected: it must be of this object, this Pod and this very question."""
    report = _read(TraceReport, message)
    if isinstance(report, Rejected):
        return report
    if (report.trace is None) == (report.failure is None):
        return Rejected(Reason.REPORT_MALFORMED, "the runner's report must hold either a trace or a failure")
    if report.trace is not None and (
        not complete(report.trace) or any(_names_twice([c.name for c in one.components]) for one in report.trace.memory)
    ):
        return Rejected(
            Reason.REPORT_MALFORMED,
            "the runner's trace must speak of each kind of GPU and each component once; use the runner image of this "
            "release",
        )
    if (report.run_uid, report.question) != (check_uid, question) or report.pod_uid != pod_uid:
        return _OF_ANOTHER_RUN
    return report


def _read(kind: type[R], message: str) -> R | Rejected:
    size = len(message.encode("utf-8", "surrogatepass"))
    # A longer message arrives without its head, at exactly the kubelet's limit.
    if size > REPORT_LIMIT_BYTES or (size == REPORT_LIMIT_BYTES and not message.startswith("{")):
        return Rejected(
            Reason.REPORT_TOO_LARGE,
            f"the runner's report exceeds {REPORT_LIMIT_BYTES} bytes and arrived cut; use the runner image of this "
            "release",
        )
    try:
        raw = json.loads(message, parse_constant=_not_finite, object_pairs_hook=_without_repeats)
        # Strict, and by the names on the wire alone: "5" is no number, and true is not 1.
        return kind.model_validate_json(json.dumps(_cleaned(raw)), strict=True, by_alias=True, by_name=False)
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


def _names_twice(keys: Sequence[object]) -> bool:
    return len(set(keys)) != len(keys)


def _malformed(error: Exception) -> Rejected:
    first = error.errors(include_url=False, include_input=False)[0] if isinstance(error, ValidationError) else None
    if first is None or first["type"] == "json_invalid":
        return Rejected(
            Reason.REPORT_MALFORMED,
            "the runner's report is not JSON; see the Pod's log, and use this release's runner image",
        )
    where = clean(".".join(str(part) for part in first["loc"]), 128)
    if first["type"] == "finite_number":
        return Rejected(
            Reason.REPORT_NOT_FINITE, f"the runner's report holds no finite number at {where}; nothing of it is used"
        )
    return Rejected(
        Reason.REPORT_MALFORMED,
        f"the runner's report is malformed at {where}: {clean(first['msg'], 128)}; use the runner image of this "
        "release",
    )
