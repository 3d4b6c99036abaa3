"""Who learns from which runs, and when."""

from tests.unit.finished import about, on_gpu, run, spec

from wattmark.evidence import NO_EXPERIENCE, Runs
from wattmark.identity import BENCHMARK_JOB, Key

HERE = "nvidia-l4"


def key(namespace: str, name: str = "run") -> Key:
    return Key(BENCHMARK_JOB, namespace, name)


def told(runs: Runs, namespace: str) -> int:
    """How many runs of the same speak to this namespace."""
    return runs.experience(namespace).lesson(about(spec()), HERE).same


RAN = run(spec(), on_gpu(3))


def test_a_run_is_its_own_namespaces_and_of_no_other() -> None:
    runs = Runs()
    assert runs.put(key("team"), RAN)
    assert told(runs, "team") == 1 and told(runs, "other") == 0


def test_all_learn_from_the_namespaces_that_are_named() -> None:
    runs = Runs(["perf"])
    assert told(runs, "team") == 0
    runs.put(key("perf"), RAN)
    runs.put(key("team"), RAN)
    assert (told(runs, "team"), told(runs, "other"), told(runs, "perf")) == (2, 1, 1)


def test_with_its_object_a_run_is_forgotten() -> None:
    runs = Runs()
    runs.put(key("team"), RAN)
    assert told(runs, "team") == 1
    assert runs.put(key("team"), None)
    assert told(runs, "team") == 0 and runs.experience("team") is NO_EXPERIENCE


def test_what_is_held_already_is_no_news() -> None:
    runs = Runs()
    assert not runs.put(key("team"), None)
    runs.put(key("team"), RAN)
    before = runs.experience("team")
    assert not runs.put(key("team"), run(spec(), on_gpu(3)))
    assert runs.experience("team") is before


def test_news_of_one_namespace_leaves_what_others_know() -> None:
    runs = Runs()
    runs.put(key("team"), RAN)
    before = runs.experience("team")
    runs.put(key("other"), RAN)
    assert runs.experience("team") is before
