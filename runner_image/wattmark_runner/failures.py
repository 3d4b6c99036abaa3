"""Failures of a run: each has one reason, and a message that says what to do."""

from wattmark.api.report import Failure, RunFailure
from wattmark_runner.text import clean

MESSAGE_LIMIT = 512
GIB = 2**30

# CUDA's own and its libraries' words for "no memory", where they do not arrive as torch.OutOfMemoryError
_DEVICE_MEMORY = (
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)
ESTIMATED_ALONE = "is estimated, not run or traced; leave it out, or ask a ModelCheck with method ClosedForm"
_HOST_MEMORY = "DefaultCPUAllocator"


class RunError(Exception):
    """The run ends here, for a reason that the runner itself can tell."""

    def __init__(self, reason: RunFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def past_deadline(running_seconds: int) -> Failure:
    """The failure of a run that took longer than it may."""
    return Failure(
        reason=RunFailure.RUNNING_DEADLINE_EXCEEDED,
        message=f"the run was not done {running_seconds} s after its start; raise deadlines.runningSeconds, "
        "or measure less (measure.profile, measure.windowSeconds)",
    )


def trace_past_deadline(running_seconds: int) -> Failure:
    """The failure of a trace that took longer than it may."""
    return Failure(
        reason=RunFailure.RUNNING_DEADLINE_EXCEEDED,
        message=f"the trace was not done {running_seconds} s after its start; generate fewer outputTokens, or use "
        "method ClosedForm where there is a closed form",
    )


def is_out_of_device_memory(error: BaseException) -> bool:
    """Whether the error is the device's lack of memory; by name, so that torch need not be imported to ask."""
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return named or any(words in str(error) for words in _DEVICE_MEMORY)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is a lack of memory, the device's or the host's."""
    return is_out_of_device_memory(error) or _HOST_MEMORY in str(error) or isinstance(error, MemoryError)


def failure_of(
    error: Exception, doing: str, allocated: int | None, reserved: int | None, secrets: tuple[str, ...]
) -> Failure:
    """The failure that an exception amounts to.

    `doing` is what the runner was about ("while loading the model"); `allocated` and `reserved` are the allocator's
    peaks in bytes before the error, None where there is no device.
    """
    if isinstance(error, RunError):
        reason, message = error.reason, str(error)
    elif is_out_of_device_memory(error):
        reason, message = RunFailure.DEVICE_OUT_OF_MEMORY, _out_of_memory(error, doing, allocated, reserved)
    elif is_out_of_memory(error):
        reason = RunFailure.HOST_OUT_OF_MEMORY
        message = f"host memory ran out {doing}; raise resources.memory or lower batchSizePerDevice. {error}"
    else:
        reason, message = RunFailure.RUNNER_ERROR, f"{type(error).__name__} {doing}: {error}"
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    return Failure(reason=reason, message=clean(message, MESSAGE_LIMIT))


def _out_of_memory(error: Exception, doing: str, allocated: int | None, reserved: int | None) -> str:
    peaks = ""
    if allocated is not None and reserved is not None:
        peaks = f" Peak before it: {allocated / GIB:.2f} GiB allocated, {reserved / GIB:.2f} GiB reserved."
    return (
        f"the device ran out of memory {doing}.{peaks} Lower batchSizePerDevice or the input size, choose a smaller "
        f"precision, or ask for a GPU with more memory. {error}"
    )
