"""Preflight and ModelChecks with earlier runs: each node type by the deepest source that speaks for it."""

from typing import Any

from tests.unit.finished import GIB, GPU, on_gpu, run, spec
from tests.unit.fleets import LARGE, SMALL, cluster

from wattmark.api.answers import NodeTypeAnswer, Source, Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.figures import Memory
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide.check import decide
from wattmark.decide.compare import comparison
from wattmark.decide.plan import Identity
from wattmark.evidence import Experience, Run
from wattmark.model_facts import facts
from wattmark.preflight import Answer, Preflight, for_benchmark, for_check

ON_T4 = {"environment": GPU | {"gpuProduct": "Tesla T4", "computeCapability": "7.5"}}
FP16 = {"runtime": {"precision": "fp16"}}
OFFERED = {"verdict": "Fits", "fitsNow": "Fits", "reason": "Memory", "message": "", "nodes": 1, "source": "ClosedForm"}


def checked(raw: dict[str, Any], *runs: Run) -> Answer:
    asked = ModelCheckSpec.read(raw)
    return for_check(asked, facts(asked.model, None), cluster(LARGE, SMALL), experience=Experience(runs))


def before(raw: dict[str, Any], *runs: Run) -> Preflight:
    asked = BenchmarkJobSpec.read(raw)
    return for_benchmark(asked, facts(asked.model, None), cluster(LARGE, SMALL), None, Experience(runs))


def by_type(answer: Answer) -> dict[str, NodeTypeAnswer]:
    return {one.node_type.partition("-")[0]: one for one in answer.node_types}


def test_each_node_type_has_its_own_source() -> None:
    answer = checked(spec(**FP16), run(spec(**FP16), on_gpu(3), **ON_T4))
    found = by_type(answer)
    assert (found["Tesla"].source, found["NVIDIA"].source) == (Source.MEASURED, Source.CALIBRATED)
    need = found["Tesla"].need_bytes
    assert need is not None and need.low <= 4 * GIB <= need.high
    wide = by_type(checked(spec(**FP16)))["Tesla"].need_bytes
    assert wide is not None and need.high - need.low < wide.high - wide.low


def test_the_status_says_the_deepest_source_and_which_runs_spoke() -> None:
    answer = checked(spec(**FP16), run(spec(**FP16), on_gpu(3), **ON_T4))
    asked = ModelCheckSpec.read(spec(**FP16))
    status = decide(Identity("team", "check", "u", 1, 0.0, False), asked, ModelCheckStatus(), answer, 0.0)
    assert status.source is Source.MEASURED
    said = {c.type: c for c in status.conditions}[ConditionType.CALIBRATED]
    assert (said.status, said.reason) == (ConditionStatus.TRUE, Reason.MEASURED)


def test_without_runs_the_condition_is_false_and_the_answer_is_as_it_was() -> None:
    asked = ModelCheckSpec.read(spec(**FP16))
    answer = for_check(asked, facts(asked.model, None), cluster(LARGE, SMALL))
    assert answer == checked(spec(**FP16))
    status = decide(Identity("team", "check", "u", 1, 0.0, False), asked, ModelCheckStatus(), answer, 0.0)
    said = {c.type: c for c in status.conditions}[ConditionType.CALIBRATED]
    assert (said.status, said.reason) == (ConditionStatus.FALSE, Reason.NO_EVIDENCE)


def test_a_run_that_ran_out_of_memory_keeps_the_next_from_the_same_gpu() -> None:
    had = {"predictions": [{**OFFERED, "nodeType": "Tesla-T4-15GiB-x8", "offeredBytes": 15360 << 20}]}
    failed = run(spec(**FP16), reason="DeviceOutOfMemory", **ON_T4, **had)
    found = by_type(checked(spec(**FP16), failed))
    assert (found["Tesla"].verdict, found["NVIDIA"].verdict) == (Verdict.DOES_NOT_FIT, Verdict.FITS)
    assert found["Tesla"].out_of_memory_probability == 1


def test_more_of_the_model_surely_fits_where_runs_took_less_than_was_thought() -> None:
    few = by_type(checked(spec(**FP16)))["Tesla"].largest_batch_size_per_device
    less = run(spec(batch=16, **FP16), on_gpu(0.3), **ON_T4)
    many = by_type(checked(spec(**FP16), less))["Tesla"].largest_batch_size_per_device
    assert few is not None and many is not None and many > few


def test_a_second_run_on_a_cpu_is_foreseen_from_the_first() -> None:
    first = before(spec(gpus=0)).need
    again = before(spec(gpus=0), run(spec(gpus=0), {"hostPeakBytes": GIB})).need
    assert first is not None and again is not None and first.host_bytes is not None and again.host_bytes is not None
    assert (first.host_bytes.source, again.host_bytes.source) == (Source.CLOSED_FORM, Source.MEASURED)
    (compared,) = comparison(again, Memory(host_peak_bytes=int(1.01 * GIB)))
    assert compared.within_interval and compared.predicted_bytes is not None
    assert compared.predicted_bytes.source is Source.MEASURED


def test_where_one_kind_of_gpu_is_left_the_need_is_that_ones() -> None:
    only = {"resources": {"gpu": {"products": ["Tesla-T4"]}}, **FP16}
    found = before(spec(**only), run(spec(**FP16), on_gpu(3), **ON_T4)).need
    assert found is not None and found.device_bytes is not None
    assert found.device_bytes.source is Source.MEASURED
