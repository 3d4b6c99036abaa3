"""The runner's process: order from the environment, progress on stdout, report to the termination log, exit code."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from wattmark_runner.ending import Ending

if TYPE_CHECKING:
    from wattmark.api.benchmarkjob import Progress
    from wattmark.api.order import RunOrder
    from wattmark.api.report import Failure, Report
    from wattmark.api.trace import TraceReport


def main() -> NoReturn:
    """Run the order in WATTMARK_ORDER and end the process."""
    started = monotonic()
    ending = Ending()
    ending.answer_sigterm()
    # Imports from here on: SIGTERM is answered while they run
    from wattmark.api.order import REPORT_PATH_VARIABLE, TERMINATION_LOG

    path = Path(os.environ.get(REPORT_PATH_VARIABLE, TERMINATION_LOG))
    order = _order()
    if isinstance(order, _Unread):
        ending.finish(_failed(order.run_uid, order.question, order.failure), path)
    if order.hub is None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # what needs no hub asks none, even where one could be reached
    watchdog = Timer(
        max(0.0, started + order.running_seconds - monotonic()),
        lambda: ending.finish(_failed(order.run_uid, order.question, _late(order)), path),
    )
    watchdog.daemon = True
    watchdog.start()
    ending.finish(_carried_out(order, started), path)


def _carried_out(order: "RunOrder", started: float) -> "Report | TraceReport":
    if order.question is not None:
        from wattmark_runner.execute_trace import execute_trace

        return execute_trace(order)
    from wattmark_runner.execute import execute

    return execute(order, _print, started)


@dataclass(frozen=True, slots=True)
class _Unread:
    """Why an order cannot be read, and what can be read of it."""

    run_uid: str
    question: str | None
    failure: "Failure"


def _order() -> "RunOrder | _Unread":
    import json

    from pydantic import ValidationError

    from wattmark.api.order import ORDER_VARIABLE, RunOrder
    from wattmark.api.report import Failure, RunFailure
    from wattmark_runner.text import clean

    text = os.environ.get(ORDER_VARIABLE, "")
    try:
        return RunOrder.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or ORDER_VARIABLE
        why = f"{where}: {first['msg']}; operator and runner image may be of different versions"
    try:
        loaded = json.loads(text)
    except ValueError:
        loaded = None
    read = loaded if isinstance(loaded, dict) else {}
    uid, question = read.get("runUid"), read.get("question")
    return _Unread(
        clean(uid, 64) if isinstance(uid, str) else "",
        clean(question, 64) if isinstance(question, str) else None,
        Failure(reason=RunFailure.INVALID_ORDER, message=clean(f"the order cannot be read: {why}", 512)),
    )


def _late(order: "RunOrder") -> "Failure":
    from wattmark_runner.failures import past_deadline, trace_past_deadline

    return (past_deadline if order.question is None else trace_past_deadline)(order.running_seconds)


def _failed(run_uid: str, question: str | None, failure: "Failure") -> "Report | TraceReport":
    from wattmark.api.order import POD_UID_VARIABLE
    from wattmark.api.report import SCHEMA_VERSION, Report
    from wattmark_runner.execute_trace import trace_report
    from wattmark_runner.report import fitted

    if question is not None:
        return trace_report(run_uid, question, None, failure)
    pod_uid = os.environ.get(POD_UID_VARIABLE)
    return fitted(Report(schema_version=SCHEMA_VERSION, run_uid=run_uid, pod_uid=pod_uid, failure=failure))


def _print(progress: "Progress") -> None:
    import json

    sys.stdout.write(json.dumps(progress.wire(), separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
