"""Progress as a runner prints it, one JSON line per interval. Pure: for the operator and for runs without a cluster."""

from pydantic import ValidationError

from wattmark.api.benchmarkjob import Progress


def last_progress(log: bytes) -> Progress | None:
    """The newest line of a log's tail that is progress; None where none is."""
    for line in reversed(log.splitlines()):
        try:
            return Progress.model_validate_json(line)
        except ValidationError:
            continue
    return None
