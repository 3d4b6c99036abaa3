"""One order, from the first look at the device to the report."""

import os
import sys
import traceback
from collections.abc import Callable
from time import monotonic

from wattmark.api.figures import Environment
from wattmark.api.order import POD_UID_VARIABLE, RunOrder
from wattmark.api.report import SCHEMA_VERSION, Report
from wattmark_runner.failures import RunError, failure_of, past_deadline
from wattmark_runner.progress import Reporter, Tell
from wattmark_runner.report import fitted

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the variable's name, no secret


def execute(order: RunOrder, tell: Tell | None = None, started: float | None = None) -> Report:
    """Carry the order out. Never raises: what went wrong is in the report.

    `tell` is called from a thread of its own, at the start and every `order.progress_seconds`. The deadline counts from
    `started` (monotonic seconds; now by default) and is looked at between iterations.
    """
    run = _Run(order, monotonic() if started is None else started)
    with Reporter(tell, order.progress_seconds) as reporter:
        try:
            report = run.measured(reporter)
        except Exception as error:
            if not isinstance(error, RunError):
                traceback.print_exc(limit=20, file=sys.stderr)
            report = run.failed(error)
    return fitted(report)


class _Run:
    """What is known so far of one run; a failure is told with it."""

    def __init__(self, order: RunOrder, started: float) -> None:
        self._order = order
        self._deadline = started + order.running_seconds
        self._token = os.environ.get(TOKEN_VARIABLE)
        self._doing = "while opening the device"
        self._environment: Environment | None = None
        self._peaks: Callable[[], tuple[int | None, int | None]] = lambda: (None, None)

    def measured(self, reporter: Reporter) -> Report:
        """The report with figures. Raises what goes wrong."""
        # Imported here: torch takes seconds, and an order that cannot be read needs none of it
        from wattmark_runner.device import host_peak_bytes, open_device
        from wattmark_runner.environment import environment
        from wattmark_runner.figures import Ran, rest, results
        from wattmark_runner.measure import measure
        from wattmark_runner.models import load
        from wattmark_runner.workloads import workload

        device = open_device(self._order.gpus)
        self._environment = environment(device, None)
        self._peaks = device.allocator_peaks
        self._doing = "while loading the model"
        loaded = load(self._order, device, self._token)
        parameters = loaded.parameter_count  # before adapters are put in
        self._doing = "while preparing the workload"
        work = workload(loaded, device)
        self._doing = "while running the workload"
        window = measure(work, self._order.measure, device, device.meter(), reporter, self._check)
        memory = device.memory()
        ran = Ran(
            iteration=work,
            parameter_count=parameters,
            model_load_seconds=loaded.seconds,
            host_peak_bytes=host_peak_bytes(),
            devices=memory.devices,
        )
        figures, missing = results(ran, window)
        return Report(
            schema_version=SCHEMA_VERSION,
            run_uid=self._order.run_uid,
            pod_uid=os.environ.get(POD_UID_VARIABLE),
            results=figures,
            steadiness=rest(window, device.seen()),
            unavailable=[*memory.unavailable, *missing],
            environment=environment(device, loaded),
        )

    def failed(self, error: Exception) -> Report:
        """The report without figures."""
        allocated, reserved = self._peaks()
        secrets = (self._token,) if self._token else ()
        return Report(
            schema_version=SCHEMA_VERSION,
            run_uid=self._order.run_uid,
            pod_uid=os.environ.get(POD_UID_VARIABLE),
            environment=self._environment,
            failure=failure_of(error, self._doing, allocated, reserved, secrets),
        )

    def _check(self) -> None:
        if monotonic() >= self._deadline:
            late = past_deadline(self._order.running_seconds)
            raise RunError(late.reason, late.message)
