"""An answer for people: components as bars against what each GPU offers.

Width, colour and NO_COLOR are left to rich. Every part has a glyph of its own, so that nothing rests on colour alone.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap
from typing import TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wattmark.api.answers import Component, ComponentName, Need, NodeTypeAnswer, Verdict
from wattmark.api.conditions import ConditionStatus, ConditionType
from wattmark.api.figures import UnavailableReason
from wattmark.api.modelcheck import ModelCheckStatus
from wattmark.cli.question import Question, stored_as
from wattmark.decide.saying import said
from wattmark.decide.summary import gibibytes
from wattmark.estimate.quantized import EXPERTS_APART
from wattmark.observe import clean

GIB = 1 << 30
WIDE = 100  # columns from which on there is room for bars
NARROW = 70  # columns below which there is none for numbers
LEAST_BAR = 16  # cells
WIDEST_BAR = 48  # cells; beyond it a bar tells nothing more
LEAST_CACHED = 100 << 20  # bytes of what is kept for later that are worth a line
VERDICT_STYLES = {
    Verdict.FITS: "bold green",
    Verdict.FITS_TIGHT: "bold yellow",
    Verdict.DOES_NOT_FIT: "bold red",
    Verdict.UNKNOWN: "bold magenta",
}


# Of what is asked, not worth a word.
USUAL = {
    ("outputTokens", "0"),
    ("gradientAccumulationSteps", "1"),
    ("gradientCheckpointing", "None"),
    ("attention", "Auto"),
    ("cache", "Dynamic"),
}
WORDS = {
    "workloadType": "{}",
    "batchSizePerDevice": "batch {}",
    "inputTokens": "{} tokens in",
    "outputTokens": "{} out",
    "heightPixels": "{} pixels high",
    "widthPixels": "{} wide",
    "audioSeconds": "{} s of sound",
    "precision": "{}",
    "quantization": "matrices in {}",
    "optimizer": "{}",
    "lora": "LoRA {}",
    "cache": "{} cache",
    "analysis": "{}",
    "layer": "layer {}",
    "parallelism": "{}",
    "fsdpStrategy": "{}",
    "devices": "on {} GPUs",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a component is drawn: its glyph, the one for terminals without Unicode, and its colour."""

    glyph: str
    ascii: str
    style: str

    def cells(self, number: int, ascii_only: bool) -> Text:
        """So many cells of it."""
        return Text((self.ascii if ascii_only else self.glyph) * number, style=self.style)


LOOKS = {
    ComponentName.WEIGHTS: Look("█", "#", "blue"),
    ComponentName.KV_CACHE: Look("▓", "=", "cyan"),
    ComponentName.ACTIVATIONS: Look("▒", "+", "green"),
    ComponentName.GRADIENTS: Look("▚", "*", "magenta"),
    ComponentName.OPTIMIZER: Look("▞", "%", "yellow"),
}
REST = Look("░", ":", "bright_black")
MISSING = Look("▶", ">", "bold red")
FREE = Look("·", ".", "bright_black")


@dataclass(frozen=True, slots=True)
class Bar:
    """Parts in bytes to the scale of `whole`, and `rest` for what stays free of it; an arrow where they do not fit."""

    parts: tuple[tuple[int, Look], ...]
    whole: int
    rest: Look | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, drawn, done = min(options.max_width, WIDEST_BAR), Text(no_wrap=True), 0
        for size, look in self.parts:
            # Ends are rounded, not sizes: the sum stays true.
            end = min(width, round((done + size) / self.whole * width))
            start = min(width, round(done / self.whole * width))
            drawn += look.cells(end - start, options.ascii_only)
            done += size
        if done > self.whole:
            drawn = drawn[: width - 1] + MISSING.cells(1, options.ascii_only)
        yield drawn if self.rest is None else drawn + self.rest.cells(width - len(drawn), options.ascii_only)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(16, options.max_width), min(WIDEST_BAR, options.max_width))


@contextmanager
def printing(file: TextIO) -> Iterator[Console]:
    """A console of which the lines reach the file without the blanks that fill tables, beside them and between."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")  # a terminal without Unicode shows the rest
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        yield console
    before = ""
    for line in map(str.rstrip, captured.get().splitlines()):
        if line or before:
            file.write(f"{line}\n")
        before = line


def show(question: Question, status: ModelCheckStatus, file: TextIO) -> None:
    """Print one answer in full."""
    with printing(file) as console:
        _one(console, question, status)


def _one(console: Console, question: Question, status: ModelCheckStatus) -> None:
    console.print(_headline(question, status), Text(", ".join(asked(question, status))), sep="\n")
    fits = said(status.conditions)[ConditionType.FITS]
    if status.need is not None:
        console.print(_needed(status.need, question.spec.resources.gpus_per_node))
        console.print(_phases(status.need))
        spoke = said(status.conditions).get(ConditionType.CALIBRATED)
        if spoke is not None and spoke.status is ConditionStatus.TRUE:
            console.print(Text(f"{clean(spoke.message)}; the parts below are those of the formulas"))
        needed = [part for part in status.need.components if part.name is not ComponentName.ALLOCATOR_CACHE]
        console.print(Padding(_components(needed, console.options.ascii_only), (1, 0, 0, 2)))
        if any(EXPERTS_APART in part.formula for part in needed):
            kept = "Not quantized: the mixture's experts; transformers quantizes linear layers, and they are none"
            console.print(Text(f"\n{kept}"))
        cached = sum(part.likely_bytes for part in status.need.components if part not in needed)
        if cached >= LEAST_CACHED:
            words = "more where there is room: PyTorch keeps it for later, and gives it back before memory runs out"
            console.print(Text(f"\n{gibibytes(cached)} {words}"))
    if status.node_types:
        console.print(_node_types(status, console.width))
        for (verdict, message), names in _explained(status.node_types).items():
            console.print(verdict_text(verdict), Text(f"{', '.join(names)}: {worded(message)}"))
    else:
        console.print(Text(f"\n{fits.reason.value}: {worded(fits.message)}"))
    for message in unchecked(status):
        console.print(Text(message))
    if status.fallbacks:
        console.print(Text("\nWith one of these it fits (patches: -o yaml):", style="bold"))
    elif status.node_types and all(answer.verdict is Verdict.DOES_NOT_FIT for answer in status.node_types):
        console.print(Text("\nNo change that is tried makes it fit."))
    several = len(status.node_types) > 1
    for fallback in status.fallbacks:
        kept = "" if fallback.changes_result else " (the result stays the same)"
        where = f" on {clean(fallback.node_type)}" if several else ""
        needs = f"{gibibytes(fallback.need_bytes.likely)}{where}"
        console.print(Text(f"{fallback.rank}. {clean(fallback.message)}{kept}; {needs}"))


def worded(message: str) -> str:
    """A message of the status, safe to show, with the option of what it says to set."""
    return clean(message).replace("set spec.method to", "set spec.method (--method) to")


def unchecked(status: ModelCheckStatus) -> list[str]:
    """What would have to be looked at somewhere else for the answer to be true of a run."""
    found = (one for one in status.unavailable if one.reason is UnavailableReason.NOT_CHECKED)
    return [f"Not checked: {clean(one.message)}" for one in found]


def _headline(question: Question, status: ModelCheckStatus) -> Text:
    count = status.parameter_count
    size = "" if count is None else f"  {count_text(count)} parameters"
    return Text(question.spec.model.id, style="bold") + Text(size)


def asked(question: Question, status: ModelCheckStatus) -> list[str]:
    """What is asked of the model, a phrase for each field that is worth one."""
    if status.resolved is None:
        return [question.spec.workload.type.value]
    told = status.resolved.wire()
    told |= told.pop("input")
    if status.resolved.quantization is not None:
        told["quantization"] = stored_as(status.resolved.quantization)
    if status.resolved.lora is not None:
        told["lora"] = f"of rank {status.resolved.lora.rank} on {status.resolved.lora.targets.value}"
    rest = sorted(told.keys() - WORDS.keys())
    said_of = ((name, str(told[name])) for name in (*WORDS, *rest) if name in told)
    return [WORDS.get(one[0], f"{one[0]} {{}}").format(one[1]) for one in said_of if one not in USUAL]


def _needed(need: Need, gpus: int) -> Text:
    where = "one GPU" if gpus == 1 else f"each of {gpus} GPUs"
    total = need.required_bytes or need.allocated_bytes
    return (
        Text("\nneeds ")
        + Text(gibibytes(total.likely), style="bold")
        + Text(
            f" of {where}, {gibibytes(total.low)} to {gibibytes(total.high)} in {total.coverage_ratio:.0%} of cases "
            f"({total.source.value}), most in phase {need.peak_phase.value}"
        )
    )


def _phases(need: Need) -> Text:
    """What tensors take in each phase."""
    each = (f"{one.phase.value} {gibibytes(one.likely_bytes)}" for one in need.phases)
    return Text(f"allocated by phase: {', '.join(each)}")


def _components(components: Sequence[Component], ascii_only: bool) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    largest = max((c.likely_bytes for c in components), default=0) or 1
    for component in components:
        look = LOOKS.get(component.name, REST)
        size = Text(gibibytes(component.likely_bytes))
        bar = Bar(((component.likely_bytes, look),), largest)
        table.add_row(look.cells(1, ascii_only), Text(component.name.value), size, bar)
    return table


def _explained(answers: Iterable[NodeTypeAnswer]) -> dict[tuple[Verdict, str], list[str]]:
    """Of what does not simply fit: the message, and which node types it is true of."""
    found: dict[tuple[Verdict, str], list[str]] = {}
    for answer in answers:
        if answer.verdict is not Verdict.FITS:
            found.setdefault((answer.verdict, answer.message), []).append(type_name(answer))
    return found


def _node_types(status: ModelCheckStatus, width: int) -> Table:
    answers = status.node_types
    sizes, there = [_sizes(answer) for answer in answers], [_there(answer) for answer in answers]
    numbers, bars = width >= NARROW, width >= WIDE
    # A name is broken so that it leaves room for the rest: rich would cut off the last columns.
    rest = [max(map(len, sizes)), len("OOM risk")] * numbers + [LEAST_BAR] * bars
    rest += [
        max(map(len, ["verdict", *(answer.verdict.value for answer in answers)])),
        max(map(len, [*there, "nodes"])),
    ]
    table = Table(box=box.SIMPLE_HEAD, expand=bars, pad_edge=False)
    widest = max(12, width - sum(rest) - 3 * len(rest) - 2)
    table.add_column("node type", overflow="fold", max_width=widest)
    table.add_column("verdict", no_wrap=True)
    if bars:
        table.add_column("of one GPU", ratio=1, min_width=LEAST_BAR)
    if numbers:
        table.add_column("need / offer", justify="right", no_wrap=True)
        table.add_column("OOM risk", justify="right", no_wrap=True)
    table.add_column("nodes", justify="right")
    for answer, size, nodes in zip(answers, sizes, there, strict=True):
        row: list[RenderableType] = ["\n".join(wrap(type_name(answer), widest)), verdict_text(answer.verdict)]
        row += [_bar(status.need, answer)] * bars
        row += [size, probability(answer.out_of_memory_probability)] * numbers
        table.add_row(*row, nodes)
    return table


def _sizes(answer: NodeTypeAnswer) -> str:
    sizes = (None if answer.need_bytes is None else answer.need_bytes.likely, answer.offered_bytes)
    return " / ".join("-" if size is None else f"{size / GIB:.1f}" for size in sizes) + " GiB"


def _bar(need: Need | None, answer: NodeTypeAnswer) -> Bar | str:
    if need is None or answer.need_bytes is None or not answer.offered_bytes:
        return ""
    drawn = [(c.likely_bytes, LOOKS[c.name]) for c in need.components if c.name in LOOKS]
    known = sum(size for size, _ in drawn)
    return Bar((*drawn, (max(0, answer.need_bytes.likely - known), REST)), answer.offered_bytes, FREE)


def verdict_text(verdict: Verdict) -> Text:
    """The verdict in its colour."""
    return Text(verdict.value, style=VERDICT_STYLES[verdict])


def type_name(answer: NodeTypeAnswer) -> str:
    """The node type, safe to show."""
    return clean(answer.node_type)


def probability(value: float | None) -> str:
    """In whole percent, and what is next to nothing or all as that."""
    if value is None:
        return "-"
    return "< 1 %" if value < 0.01 else "> 99 %" if value > 0.99 else f"{value:.0%}".replace("%", " %")


def _there(answer: NodeTypeAnswer) -> str:
    if answer.assumed:
        return "assumed"
    free = [] if answer.free_gpus is None else [f"{answer.free_gpus} free"]
    gone = (
        (answer.cordoned_nodes, "cordoned"),
        (answer.not_ready_nodes, "not ready"),
        (answer.tainted_nodes, "tainted"),
    )
    return ", ".join((str(answer.nodes), *free, *(f"{number} {why}" for number, why in gone if number)))


def count_text(number: int) -> str:
    """A number in three digits and the unit of its size."""
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number}"
