"""Runs one order: loads a model, measures its workload, reports. `python -m wattmark_runner` is it in a Pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wattmark.api.benchmarkjob import Progress
    from wattmark.api.order import RunOrder
    from wattmark.api.report import Report

__all__ = ["run"]


def run(order: RunOrder, progress: Callable[[Progress], None] | None = None) -> Report:
    """Carry the order out in this process and return its report; see `wattmark_runner.execute.execute`."""
    from wattmark_runner.execute import execute  # here: the process entry answers signals before it imports anything

    return execute(order, progress)
