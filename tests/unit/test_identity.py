"""Names that tie objects together stay within what Kubernetes takes."""

import re

from wattmark.identity import BENCHMARK_JOB, Key, run_name

DNS_LABEL = r"[a-z]([-a-z0-9]*[a-z0-9])?"


def test_the_longest_name_gives_a_job_and_a_pod_hostname_within_63_characters() -> None:
    longest = run_name("a" * 48)
    assert re.fullmatch(DNS_LABEL, longest)
    assert len(longest) + len("-abcde") <= 63


def test_two_benchmarks_never_share_a_job() -> None:
    names = ["a", "a-run", "a-run-run"]
    assert len({run_name(name) for name in names}) == len(names)


def test_a_key_reads_as_kind_and_place() -> None:
    assert str(Key(BENCHMARK_JOB, "team", "bert")) == "BenchmarkJob team/bert"
