"""The runner's process: order from the environment, progress on stdout, report to the termination log, exit code."""

import os
import sys
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from wattmark_runner.ending import Ending

if TYPE_CHECKING:
    from wattmark.api.benchmarkjob import Progress
    from wattmark.api.order import RunOrder
    from wattmark.api.report import Failure, Report


def main() -> NoReturn:
    """Run the order in WATTMARK_ORDER and end the process."""
    started = monotonic()
    ending = Ending()
    ending.answer_sigterm()
    # Imports from here on: SIGTERM is answered while they run
    from wattmark.api.order import REPORT_PATH_VARIABLE, TERMINATION_LOG
    from wattmark_runner.execute import execute
    from wattmark_runner.failures import past_deadline

    path = Path(os.environ.get(REPORT_PATH_VARIABLE, TERMINATION_LOG))
    order = _order()
    if not isinstance(order, tuple):
        run_uid = order.run_uid
        if order.hub is None:
            os.environ["HF_HUB_OFFLINE"] = "1"  # what needs no hub asks none, even where one could be reached
        watchdog = Timer(
            max(0.0, started + order.running_seconds - monotonic()),
            lambda: ending.finish(_failed(run_uid, past_deadline(order.running_seconds)), path),
        )
        watchdog.daemon = True
        watchdog.start()
        ending.finish(execute(order, _print, started), path)
    ending.finish(_failed(*order), path)


def _order() -> "RunOrder | tuple[str, Failure]":
    """The order, or the run's UID as far as it can be read and why the rest cannot."""
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
        read = json.loads(text)
        uid = read.get("runUid") if isinstance(read, dict) else None
    except ValueError:
        uid = None
    run_uid = clean(uid, 64) if isinstance(uid, str) else ""
    return run_uid, Failure(reason=RunFailure.INVALID_ORDER, message=clean(f"the order cannot be read: {why}", 512))


def _failed(run_uid: str, failure: "Failure") -> "Report":
    from wattmark.api.order import POD_UID_VARIABLE
    from wattmark.api.report import SCHEMA_VERSION, Report
    from wattmark_runner.report import fitted

    pod_uid = os.environ.get(POD_UID_VARIABLE)
    return fitted(Report(schema_version=SCHEMA_VERSION, run_uid=run_uid, pod_uid=pod_uid, failure=failure))


def _print(progress: "Progress") -> None:
    import json

    sys.stdout.write(json.dumps(progress.wire(), separators=(",", ":")) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
