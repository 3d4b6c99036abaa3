"""Arguments and exit codes of `wattmark`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from wattmark import __version__
from wattmark.cli import check, run
from wattmark.cli.manifest import InvalidManifest

EXIT_CODES = """exit codes:
  0  run: measured, figures are in the status.  check: the model fits at least one node type
  1  run: the run failed, see the Failed condition.  check: it fits none
  2  the manifest or an argument cannot be used; the message names the field
  3  check: unknown; the message says what is missing
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "run":
            return run.run(chosen.file, chosen.model_folder, chosen.output)
        return check.check(chosen.file, chosen.nodes, chosen.pods, chosen.output)
    except InvalidManifest as invalid:
        print(f"wattmark: {invalid}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wattmark",
        description="Ask whether a model fits, and measure what it really does.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="run a BenchmarkJob here and print the status that the operator would write")
    runs.add_argument("-f", "--file", type=Path, required=True, help="manifest of the BenchmarkJob")
    runs.add_argument(
        "--model-folder", type=Path, help="local folder with config.json and safetensors, in place of the source"
    )
    checks = commands.add_parser("check", help="answer a ModelCheck for the nodes of a file")
    checks.add_argument("-f", "--file", type=Path, required=True, help="manifest of the ModelCheck")
    checks.add_argument("--nodes", type=Path, required=True, help="nodes, as `kubectl get nodes -o yaml` prints them")
    checks.add_argument(
        "--pods", type=Path, help="pods, as `kubectl get pods -A -o yaml` prints them: for what is free now"
    )
    for command in (runs, checks):
        command.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="form of the status")
    return parser
