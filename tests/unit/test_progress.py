"""Progress as a runner prints it: the newest line that is progress."""

import pytest

from wattmark.api.benchmarkjob import Progress, ProgressPhase
from wattmark.progress import last_progress

HALF = Progress(phase=ProgressPhase.MEASURING, percent=50, remaining_seconds=30.0)
LINE = b'{"phase":"Measuring","percent":50,"remainingSeconds":30.0}'

LOGS = [
    pytest.param(b"", None, id="an empty log"),
    pytest.param(LINE, HALF, id="one line"),
    pytest.param(b'{"phase":"Loading","percent":1}\n' + LINE + b"\n", HALF, id="the newest line"),
    pytest.param(LINE + b"\nsome library's warning\n\xff\xfe\n", HALF, id="other words after it"),
    pytest.param(b'nds":30.0}\n' + LINE, HALF, id="a first line without its head"),
    pytest.param(b'{"phase":"Measuring","percent":101}', None, id="more than all"),
    pytest.param(b'{"phase":"Dreaming","percent":1}', None, id="a phase that does not exist"),
    pytest.param(b'{"phase":"Loading","percent":1,"extra":1}', None, id="a field that is not in the schema"),
    pytest.param(b'{"phase":"Loading","percent":1,"remainingSeconds":1e999}', None, id="an endless rest"),
    pytest.param(b"[" * 2048, None, id="nesting without end"),
]


@pytest.mark.parametrize(("log", "progress"), LOGS)
def test_last_progress(log: bytes, progress: Progress | None) -> None:
    assert last_progress(log) == progress
