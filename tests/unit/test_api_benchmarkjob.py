"""What a BenchmarkJob's spec means, and that its status survives the way to the API server and back."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import NEED, RESULTS, SEEN, WITH_JOB, onward, succeeded

from wattmark.api.benchmarkjob import (
    PROFILES,
    BenchmarkJobSpec,
    BenchmarkJobStatus,
    MeasureSpec,
    PreflightPolicy,
    Profile,
)

MINIMAL = BenchmarkJobSpec.read({"model": {"id": "gpt2"}})


def test_an_id_alone_is_a_whole_spec() -> None:
    assert MINIMAL.workload.shape.batch_size_per_device == 8
    assert MINIMAL.resources.gpus_per_node == 1
    assert MINIMAL.preflight.policy is PreflightPolicy.ENFORCE
    assert (MINIMAL.deadlines.pending_seconds, MINIMAL.deadlines.running_seconds) == (3600, 3600)
    assert MINIMAL.max_infrastructure_retries == 3 and not MINIMAL.suspend


MEASURES = [
    pytest.param({}, (10, 60, 30), id="Standard by default"),
    pytest.param({"profile": "Smoke"}, (3, 10, 5), id="Smoke"),
    pytest.param({"profile": "Publication"}, (30, 600, 100), id="Publication"),
    pytest.param({"profile": "Smoke", "windowSeconds": 20}, (3, 20, 5), id="a value of one's own"),
    pytest.param({"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2}, (1, 1, 2), id="the least of all"),
]


@pytest.mark.parametrize(("raw", "values"), MEASURES)
def test_measuring(raw: dict[str, Any], values: tuple[int, int, int]) -> None:
    found = MeasureSpec.read(raw).resolved()
    assert (found.warmup_iterations, found.window_seconds, found.min_iterations) == values


def test_profiles_do_what_their_description_says() -> None:
    described = MeasureSpec.model_fields["profile"].description or ""
    for profile, sentence in zip(Profile, described.split(". "), strict=False):
        values = PROFILES[profile]
        assert sentence.startswith(f"{profile.value}: ")
        assert [int(n) for n in re.findall(r"\d+", sentence)] == [
            values.warmup_iterations,
            values.window_seconds,
            values.min_iterations,
        ]


def test_a_status_reads_back_as_it_was_written() -> None:
    done = onward(replace(WITH_JOB, pods=(succeeded(),)), 310).status
    full = done.model_copy(update={"need": NEED})
    assert full.results == RESULTS
    assert BenchmarkJobStatus.read(json.loads(json.dumps(full.wire()))) == full
    assert BenchmarkJobStatus.read({}) == SEEN.status
