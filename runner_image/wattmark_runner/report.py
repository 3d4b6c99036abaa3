"""A report in the shape in which it travels: rounded, at most 4,096 bytes, written at once."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from wattmark.api.report import REPORT_LIMIT_BYTES, Report
from wattmark.api.trace import TraceReport
from wattmark_runner.text import clean, shorten

SIGNIFICANT_DIGITS = 6  # timers and counters are good for fewer
R = TypeVar("R", Report, TraceReport)


def encode(report: Report | TraceReport) -> bytes:
    """The report as compact JSON, in UTF-8."""
    return json.dumps(report.wire(), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def fitted(report: R) -> R:
    """The report with rounded figures and clean text, shortened where its JSON would exceed 4,096 bytes.

    What is shortened, in this order and only as far as needed: the messages of `unavailable` (to 60 characters, then to
    none: field and reason stay), the failure's message, the descriptions of the machine. Figures are never left out.
    ValueError if even that is not enough, which the bounds of a report of eight devices, or of a trace, rule out.
    """
    wire = _clean(report.wire())
    for cut in (_as_it_is, *_CUTS):
        cut(wire)
        short = type(report).model_validate(wire)
        if len(encode(short)) <= REPORT_LIMIT_BYTES:
            return short
    raise ValueError(f"a report of {len(encode(short))} bytes cannot be made to fit {REPORT_LIMIT_BYTES}")


def write(report: Report | TraceReport, path: Path) -> None:
    """Write the report with one system call, so that no reader ever sees half of it. OSError if that cannot be done."""
    data = encode(report)
    # Not through a temporary file: the termination log is a single mounted file that cannot be replaced.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if os.write(descriptor, data) != len(data):
        raise OSError(f"the report could not be written whole to {path}")


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return clean(value, len(value)) if isinstance(value, str) else value


def _as_it_is(wire: dict[str, Any]) -> None:
    pass


def _missing_messages(limit: int) -> Callable[[dict[str, Any]], None]:
    def cut(wire: dict[str, Any]) -> None:
        for missing in wire.get("unavailable", ()):
            missing["message"] = shorten(missing["message"], limit)

    return cut


def _failure_message(limit: int) -> Callable[[dict[str, Any]], None]:
    def cut(wire: dict[str, Any]) -> None:
        if "failure" in wire:
            wire["failure"]["message"] = shorten(wire["failure"]["message"], limit)

    return cut


def _machine(limit: int) -> Callable[[dict[str, Any]], None]:
    def cut(wire: dict[str, Any]) -> None:
        for name, value in wire.get("environment", {}).items():
            if isinstance(value, str) and name != "modelRevision":  # a shortened commit names nothing
                plain = value.encode("ascii", "replace").decode()  # a character may take four bytes
                wire["environment"][name] = shorten(plain, limit)

    return cut


_CUTS = (
    _missing_messages(60),
    _missing_messages(0),
    _failure_message(256),
    _machine(48),
    _machine(24),
    _machine(12),
    _machine(3),
)
