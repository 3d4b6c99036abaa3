"""Runs found again by what they have in common, and what they then say."""

from dataclasses import replace

import pytest
from tests.unit.finished import GIB, GPU, about, on_gpu, run, spec

from wattmark.evidence import Experience, Lesson, Run
from wattmark.evidence.experience import MOST, MOST_MEASURED
from wattmark.evidence.run import Figure

HERE, OTHER = "nvidia-l4", {"environment": GPU | {"gpuProduct": "NVIDIA A10G", "computeCapability": "8.6"}}
OLD = {"environment": GPU | {"torchVersion": "2.4.1"}}
RAN = run(spec(), on_gpu(3))
NEIGHBOUR = run(spec(batch=4), on_gpu(2), name="neighbour")


def learnt(*runs: Run, device: str | None = HERE) -> Lesson:
    return Experience(runs).lesson(about(spec()), device)


def width(lesson: Lesson, figure: Figure = Figure.DEVICE) -> float:
    found = lesson.deviations[figure]
    assert found is not None
    return found.high - found.low


SAME = [
    pytest.param([RAN], HERE, 1, id="the same on the same GPU"),
    pytest.param([RAN, replace(RAN, name="again")], HERE, 2, id="twice"),
    pytest.param([RAN], "nvidia-a10g", 0, id="on another GPU"),
    pytest.param([RAN], None, 0, id="on a GPU that is not known"),
    pytest.param([NEIGHBOUR], HERE, 0, id="another batch"),
    pytest.param([run(spec(), on_gpu(3), **OLD)], HERE, 0, id="with another PyTorch"),
    pytest.param([], HERE, 0, id="none"),
]


@pytest.mark.parametrize(("runs", "device", "same"), SAME)
def test_who_has_measured_the_same(runs: list[Run], device: str | None, same: int) -> None:
    found = learnt(*runs, device=device)
    assert found.same == same
    assert (found.measured[Figure.DEVICE] is not None) == bool(same)


def test_what_was_measured_is_told_with_its_margin_and_who_did() -> None:
    found = learnt(RAN, replace(RAN, name="later", packed=run(spec(), on_gpu(3.1), second=9).packed))
    size = found.measured[Figure.ALLOCATED]
    assert size is not None and size.low < 3 * GIB < int(3.1 * GIB) < size.high
    assert found.names == (("team", "later"), ("team", "run"))


BROADER = [
    pytest.param(run(spec(batch=4), on_gpu(3)), id="another batch on the same GPU"),
    pytest.param(run(spec(batch=4), on_gpu(3), **OTHER), id="another batch on another GPU"),
    pytest.param(run(spec("gpt2-medium"), on_gpu(3)), id="another model of the family on the same GPU"),
    pytest.param(run(spec("gpt2-medium"), on_gpu(3), **OTHER), id="another model of the family on another GPU"),
]


def test_the_less_is_alike_the_wider_the_interval() -> None:
    as_far_off = [replace(param.values[0], packed=RAN.packed) for param in BROADER]  # type: ignore[type-var]
    widths = [width(learnt(one)) for one in as_far_off]  # type: ignore[arg-type]
    assert widths == sorted(widths) and widths[0] < widths[-1]


@pytest.mark.parametrize("one", BROADER)
def test_who_calibrates(one: Run) -> None:
    found = learnt(one)
    assert (found.same, found.alike) == (0, 1) and found.measured == (None,) * 5


def test_another_family_on_the_same_gpu_calibrates_and_on_another_does_not() -> None:
    bert = spec("bert-base-uncased")
    assert learnt(run(bert, on_gpu(3))).alike == 1
    assert learnt(run(bert, on_gpu(3), **OTHER)).alike == 0


def test_a_question_that_ran_out_of_memory_is_known_by_what_it_had() -> None:
    offered = {"nodeType": "NVIDIA-L4-22GiB-x1", "verdict": "Fits", "fitsNow": "Fits", "reason": "", "message": ""}
    offered |= {"offeredBytes": 22 * GIB, "nodes": 1, "source": "ClosedForm"}  # type: ignore[dict-item]
    failed = run(spec(), reason="DeviceOutOfMemory", predictions=[offered], name="failed")
    found = learnt(failed)
    assert found.too_little[Figure.DEVICE] == 22 * GIB and found.names == (("team", "failed"),)
    assert learnt(failed, device="nvidia-a10g").too_little == (None,) * 5
    assert learnt(failed).alike == 0


def test_a_question_that_ran_as_well_as_it_ran_out_of_memory_is_known_by_what_it_took() -> None:
    failed = replace(RAN, name="failed", enough=False)
    assert learnt(RAN, failed).too_little == (None,) * 5


def test_of_many_runs_the_likest_and_newest_are_listened_to() -> None:
    again = [replace(RAN, name=f"again-{i}") for i in range(3 * MOST_MEASURED)]
    batches = [run(spec(batch=i), on_gpu(2), name=f"batch-{i}") for i in range(20, 60)]
    found = learnt(*again, *batches)
    assert found.same == MOST_MEASURED and found.alike <= MOST


def test_a_lesson_is_worked_out_once() -> None:
    experience = Experience([RAN])
    assert experience.lesson(about(spec()), HERE) is experience.lesson(about(spec()), HERE)
