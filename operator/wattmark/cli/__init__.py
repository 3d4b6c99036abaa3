"""The command `wattmark`: the same answers and the same status as the operator's, without a cluster."""

from wattmark.cli.command import kubectl, main

__all__ = ["kubectl", "main"]
