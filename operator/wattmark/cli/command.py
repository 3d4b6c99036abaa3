"""Arguments and exit codes of `wattmark`, which is `kubectl wattmark` as well."""

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from wattmark import __version__
from wattmark.api.modelcheck import Method
from wattmark.api.runtime import Precision
from wattmark.cli.current import ClusterUnread
from wattmark.cli.manifest import InvalidManifest
from wattmark.cli.question import QUANTIZATIONS
from wattmark.fleet.gpus import short_names

EXIT_CODES = """exit codes:
  0  run: measured, figures are in the status.  check: each question fits at least one node type, or what its
     spec.require asks for is met.  trace, models: done
  1  run: the run failed, see the Failed condition.  check: a question fits no node type, or spec.require is not met.
     models: none with that word
  2  a manifest or an argument cannot be used, asks of a model what it cannot do, or a package is missing; the message
     names it
  3  check: whether a question fits is not known, for the reason that is said; the others fit. Where
     spec.method takes a trace, this machine traces, if wattmark is installed with its extra runner
  4  check: the cluster's nodes cannot be read
  5  check: a question fits a node type tightly at best (the table tells the risk), and spec.require asks for nothing
  130, 143  ended by Ctrl-C or SIGTERM; a runner that was started has ended as well
"""
EXAMPLES = f"""examples:
  wattmark check --model meta-llama/Llama-3.1-8B --gpu H100-SXM --precision bf16 --batch 8 --input-tokens 2048
  wattmark check --model gpt2 bert-base-uncased --gpu T4 L4 A100-80GB:8 --precision fp16 fp32 --training
  wattmark check --model meta-llama/Llama-3.1-70B --gpu A100-80GB L40S --quantization none int8 nf4
  wattmark check -f check.yaml --nodes nodes.yaml --pods pods.yaml -o json
  kubectl wattmark check --model meta-llama/Llama-3.1-8B

GPUs by name:
{textwrap.fill(" ".join(short_names()), 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)}

{EXIT_CODES}"""


def main(arguments: Sequence[str] | None = None, program: str = "wattmark") -> int:
    """Run one command; returns the exit code."""
    parser, check_parser = _parsers(program)
    chosen = parser.parse_args(arguments)
    # What either takes is imported when it is asked for: help and errors are told at once.
    try:
        if chosen.command == "run":
            from wattmark.cli.run import run

            return run(chosen.file, chosen.model_folder, chosen.output)
        if chosen.command == "trace":
            from wattmark.cli.trace import trace

            return trace(chosen.file, chosen.model_folder, chosen.gpu, chosen.output)
        if chosen.command == "models":
            from wattmark.cli.known import known

            return known(chosen.words, chosen.output)
        _refuse_nonsense(chosen, check_parser)
        from wattmark.cli.check import check

        return check(chosen)
    except BrokenPipeError:  # whoever read has read enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("wattmark: interrupted", file=sys.stderr)
        return 130
    except InvalidManifest as invalid:
        print(f"wattmark: {invalid}", file=sys.stderr)
        return 2
    except ClusterUnread as unread:
        print(f"wattmark: {unread}", file=sys.stderr)
        return 4


def kubectl() -> int:
    """`kubectl wattmark`: kubectl runs what is called kubectl-wattmark."""
    return main(program="kubectl wattmark")


def _refuse_nonsense(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Options that mean nothing together are not passed over."""
    of_a_question = (
        "config", "precision", "quantization", "method", "batch", "input_tokens", "output_tokens", "training", "set",
    )  # fmt: skip
    values = {f"--{name.replace('_', '-')}": getattr(chosen, name) for name in of_a_question}
    given = [option for option, value in values.items() if value not in (None, []) and value is not False]
    if chosen.file is None and not chosen.model:
        named = "--config is of a model that --model names: give a name with it"
        parser.error(named if chosen.config else "give -f FILE or --model ID, which ask the question")
    if chosen.file is not None and chosen.model:
        parser.error("-f FILE and --model both ask the question: give one of them")
    if chosen.file is not None and given:
        parser.error(f"{', '.join(given)}: the file asks the question")
    if chosen.config is not None and len(chosen.model) > 1:
        parser.error("--config is of one model")
    if chosen.pods is not None and chosen.nodes is None:
        parser.error("--pods goes with --nodes")
    if chosen.resource_slices is not None and chosen.nodes is None:
        parser.error("--resource-slices goes with --nodes")
    if chosen.context is not None and chosen.nodes is not None:
        parser.error("--context and --nodes both say which nodes")


def _parsers(program: str) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=program,
        description="Ask whether a model fits, and measure what it really does.",
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="run a BenchmarkJob here and print the status that the operator would write")
    runs.add_argument("-f", "--file", type=Path, required=True, help="manifest of the BenchmarkJob")
    runs.add_argument(
        "--model-folder", type=Path, help="local folder with config.json and safetensors, in place of the source"
    )
    traces = commands.add_parser("trace", help="trace a ModelCheck's model without a GPU and print what it needs")
    traces.add_argument("-f", "--file", type=Path, required=True, help="manifest of the ModelCheck")
    traces.add_argument("--model-folder", type=Path, help="local folder with config.json, in place of the source")
    traces.add_argument(
        "--gpu", help="product, for example NVIDIA-L4; default: one that is not known, as in status.need"
    )
    for command in (runs, traces):
        command.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="form of the status")
    checks = commands.add_parser(
        "check",
        help="ask whether models fit nodes: of the current cluster, of a file, or of GPUs by name",
        description="Answers as the operator does, by the same code. Without --nodes and --gpu: for the cluster of "
        "kubectl's current context.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    _question_options(checks)
    _node_options(checks)
    checks.add_argument(
        "-o", "--output", choices=("table", "yaml", "json"), default="table", help="form of the answer (table)"
    )
    known = commands.add_parser(
        "models",
        help="list the models that are known by name, offline",
        description="The models that --model and spec.model.id take without a hub: how large they are, and how their "
        "needs are found.",
    )
    known.add_argument(
        "words", metavar="WORD", nargs="*", help="only those with one of the words in a name or a family"
    )
    known.add_argument(
        "-o", "--output", choices=("table", "yaml", "json"), default="table", help="form of the list (table)"
    )
    return parser, checks


def _question_options(parser: argparse.ArgumentParser) -> None:
    asked = parser.add_argument_group("the question")
    asked.add_argument("-f", "--file", type=Path, help="manifest of ModelChecks, in place of all below")
    asked.add_argument(
        "--model",
        metavar="ID",
        action="extend",
        nargs="+",
        default=[],
        help="one or more, of the registry or of a public hub",
    )
    asked.add_argument(
        "--config", type=Path, help="config.json of a model that neither has, which --model then only names"
    )
    asked.add_argument(
        "--precision",
        metavar="P",
        action="extend",
        nargs="+",
        default=[],
        choices=[precision.value for precision in Precision],
        help="one or more of fp32, tf32, bf16, fp16, bf16-mixed, fp16-mixed; default: bf16, in training bf16-mixed",
    )
    asked.add_argument(
        "--quantization",
        metavar="Q",
        action="extend",
        nargs="+",
        default=[],
        choices=list(QUANTIZATIONS),
        help="one or more of none, int8, nf4: how matrices are stored, by bitsandbytes; default: none",
    )
    asked.add_argument(
        "--method",
        choices=[method.value for method in Method],
        help="how needs are found; default: ClosedForm. Traced and Auto trace on this machine",
    )
    asked.add_argument("--batch", type=int, help="samples per step and GPU; default 8")
    asked.add_argument("--input-tokens", type=int, help="tokens per sample going in")
    asked.add_argument("--output-tokens", type=int, help="tokens generated per sample")
    asked.add_argument("--training", action="store_true", help="training steps, not inference")
    asked.add_argument(
        "--set",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="any other field of spec, for example runtime.attention=Eager; may be repeated",
    )


def _node_options(parser: argparse.ArgumentParser) -> None:
    nodes = parser.add_argument_group("the nodes")
    nodes.add_argument("--nodes", type=Path, help="nodes, as `kubectl get nodes -o yaml` prints them")
    nodes.add_argument(
        "--pods", type=Path, help="pods, as `kubectl get pods -A -o yaml` prints them: for what is free now"
    )
    nodes.add_argument(
        "--resource-slices",
        type=Path,
        metavar="SLICES",
        help="ResourceSlices, as `kubectl get resourceslices -o yaml` prints them: for GPUs that are offered by claim",
    )
    nodes.add_argument(
        "--gpu",
        metavar="NAME[:COUNT]",
        action="extend",
        nargs="+",
        default=[],
        help="one or more GPUs of the table of products, COUNT of them in a node; beside --nodes or --context: as what "
        "an autoscaler would add",
    )
    nodes.add_argument(
        "--runs",
        type=Path,
        help="finished BenchmarkJobs, as `kubectl get benchmarkjobs -o yaml` prints them: with what they measured the "
        "answer is more exact; default: those of the context's namespace",
    )
    nodes.add_argument("--context", help="context of kubectl whose nodes are asked for; default: the current one")
