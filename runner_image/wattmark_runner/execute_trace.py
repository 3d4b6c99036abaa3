"""One order to trace, from the model's configuration to the report."""

import os
import sys
import traceback

from wattmark.api.order import POD_UID_VARIABLE, RunOrder
from wattmark.api.report import SCHEMA_VERSION, Failure, RunFailure
from wattmark.api.trace import Trace, TraceReport
from wattmark_runner.execute import TOKEN_VARIABLE
from wattmark_runner.failures import MESSAGE_LIMIT, RunError, failure_of
from wattmark_runner.report import fitted
from wattmark_runner.text import clean

# Fake tensors' own words for code that asks for a value, or for an operator that has no shape rule
_NEEDS_VALUES = (
    "DataDependentOutputException",
    "DynamicOutputShapeException",
    "UnsupportedFakeTensorException",
    "UnsupportedOperatorException",
)


def execute_trace(order: RunOrder) -> TraceReport:
    """Trace the order's model. Never raises: what went wrong is in the report."""
    from wattmark_runner.trace import trace  # torch takes seconds

    token = os.environ.get(TOKEN_VARIABLE)
    found, failure = None, None
    try:
        found = trace(order, token=token)
    except Exception as error:
        if not isinstance(error, RunError):
            traceback.print_exc(limit=20, file=sys.stderr)
        failure = why_not_traced(error, token)
    return trace_report(order.run_uid, order.question or "", found, failure)


def trace_report(run_uid: str, question: str, found: Trace | None, failure: Failure | None) -> TraceReport:
    """What was found, or why nothing was, as it travels."""
    pod_uid = os.environ.get(POD_UID_VARIABLE)
    return fitted(
        TraceReport(
            schema_version=SCHEMA_VERSION,
            run_uid=run_uid,
            pod_uid=pod_uid,
            question=question,
            trace=found,
            failure=failure,
        )
    )


def why_not_traced(error: Exception, token: str | None) -> Failure:
    """The failure that an exception amounts to, whatever raised it."""
    told = failure_of(error, "while tracing the model", None, None, (token,) if token else ())
    if type(error).__name__ not in _NEEDS_VALUES:
        return told
    message = f"the model's code needs values, which a trace has not; measure it with a BenchmarkJob. {told.message}"
    return Failure(reason=RunFailure.NOT_TRACEABLE, message=clean(message, MESSAGE_LIMIT))
