"""The runner's exit codes speak to the Job's failure policy."""

from wattmark.api.report import EXIT_CODES, EXIT_TERMINATED, REPORT_LIMIT_BYTES, RunFailure


def test_every_failure_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(RunFailure)
    assert len(set(EXIT_CODES.values())) == len(RunFailure)


def test_no_exit_code_is_one_that_shells_and_signals_use() -> None:
    signals = range(128, 128 + 32)
    assert not {*EXIT_CODES.values()} & {0, 1, 2, 126, 127, *signals}
    assert EXIT_TERMINATED == 128 + 15


def test_the_limit_is_the_kubelets() -> None:
    assert REPORT_LIMIT_BYTES == 4096
