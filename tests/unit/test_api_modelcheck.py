"""What a ModelCheck's spec means by default, and that it shares its parts with BenchmarkJob."""

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.modelcheck import Method, ModelCheckSpec, Require


def test_an_id_alone_is_a_whole_question() -> None:
    spec = ModelCheckSpec.read({"model": {"id": "gpt2"}})
    assert spec.require is Require.NONE and spec.resources.gpus_per_node == 1
    assert spec.method is Method.CLOSED_FORM  # what is stored already must not begin to make Pods


def test_what_is_asked_about_one_gpu_can_be_run_unchanged() -> None:
    shared = set(ModelCheckSpec.model_fields) - {"method", "parallelism", "require"}
    assert shared <= set(BenchmarkJobSpec.model_fields)
    for name in shared:
        question, run = ModelCheckSpec.model_fields[name], BenchmarkJobSpec.model_fields[name]
        assert (question.annotation, question.default) == (run.annotation, run.default)
