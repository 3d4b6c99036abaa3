"""Names, labels and keys that tie objects of the cluster together."""

from typing import NamedTuple

from wattmark.api.schema import GROUP

KIND_LABEL = f"{GROUP}/kind"
NAME_LABEL = f"{GROUP}/name"
QUESTION_LABEL = f"{GROUP}/question"  # of a trace: the digest of what it was asked
SIMULATED_LABEL = f"{GROUP}/simulated"
CONTAINER = "runner"  # the container of a runner Pod that runs the model
BENCHMARK_JOB = "BenchmarkJob"
MODEL_CHECK = "ModelCheck"


class Key(NamedTuple):
    """One object of ours: what the work queue holds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def run_name(benchmark: str) -> str:
    """Name of a BenchmarkJob's Job; fixed, so that creating it twice gives a conflict and never a second run."""
    return f"{benchmark}-run"


def trace_name(check: str) -> str:
    """Name of the Job that traces a ModelCheck's model; fixed likewise, and none that a BenchmarkJob's Job can have."""
    return f"{check}-trace"
