"""How the runner's process ends: once, by whichever comes first of result, deadline and SIGTERM."""

import os
import signal
import sys
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from wattmark.api.report import Report
    from wattmark.api.trace import TraceReport

TERMINATED = 143  # as wattmark.api.report.EXIT_TERMINATED, which is not imported yet when signals are to be answered


class Ending:
    """Ends the process. The first caller wins; the others wait in vain, for the process is gone."""

    def __init__(self) -> None:
        self._lock = Lock()

    def answer_sigterm(self) -> None:
        """From now on SIGTERM ends the process with 143, without a report, whatever the main thread is in.

        To be called before any other thread starts: a thread that waits for the signal works inside long kernels, where
        a Python signal handler would not run, and as process 1, where a signal without a handler would be dropped.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=self._wait_for_sigterm, name="sigterm", daemon=True).start()

    def finish(self, report: "Report | TraceReport", path: Path) -> NoReturn:
        """Write the report and leave with its exit code; without the interpreter's own slow way out."""
        from wattmark.api.report import EXIT_CODES, RunFailure
        from wattmark_runner.report import write

        self._lock.acquire()
        code = EXIT_CODES[report.failure.reason] if report.failure else 0
        try:
            write(report, path)
        except OSError as error:
            print(f"the report cannot be written: {error}", file=sys.stderr, flush=True)
            code = EXIT_CODES[RunFailure.RUNNER_ERROR]
        os._exit(code)

    def _wait_for_sigterm(self) -> NoReturn:
        signal.sigwait({signal.SIGTERM})
        self._lock.acquire()
        os._exit(TERMINATED)
