"""Arguments and exit codes of `wattmark`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from wattmark import __version__
from wattmark.cli import check, run, trace
from wattmark.cli.manifest import InvalidManifest

EXIT_CODES = """exit codes:
  0  run: measured, figures are in the status.  check: the model fits at least one node type.  trace: done
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
        if chosen.command == "trace":
            return trace.trace(chosen.file, chosen.model_folder, chosen.gpu, chosen.output)
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
    traces = commands.add_parser("trace", help="trace a ModelCheck's model without a GPU and print what it needs")
    traces.add_argument("-f", "--file", type=Path, required=True, help="manifest of the ModelCheck")
    traces.add_argument("--model-folder", type=Path, help="local folder with config.json, in place of the source")
    traces.add_argument("--gpu", help="product, for example NVIDIA-L4: the only one in the manifest, if it names one")
    for command in (runs, checks, traces):
        command.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="form of the status")
    return parser
