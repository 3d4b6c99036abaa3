"""`wattmark models`: which models are known offline, how large they are, and how their needs are found."""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TextIO

import yaml
from rich import box
from rich.table import Table
from rich.text import Text

from wattmark import models
from wattmark.api.answers import Source
from wattmark.api.model import Weights
from wattmark.api.runtime import RuntimeSpec
from wattmark.api.workload import WorkloadSpec, WorkloadType
from wattmark.cli.table import count_text, printing
from wattmark.estimate import Gpu, Unknown, need
from wattmark.models import Architecture, KnownModel, ParameterCount
from wattmark.models.resolve import Impossible, resolve

ASKED = (WorkloadType.INFERENCE, WorkloadType.TRAINING)
WORDS = {Source.CLOSED_FORM: Text("formula", style="green"), Source.TRACED: Text("trace", style="yellow")}
NOTHING = Text("-", style="magenta")
LEGEND = (
    "Need by formula: at once; by trace: with method Traced or Auto; -: not known, and -o yaml says why; two words: of "
    "inference / of training."
)
ROOMY = 110  # columns from which on names stand beside the figures
INDENT, INNER = "  ", "    "
FIGURES, ACTIVE = 19, 11  # cells: columns of figures with the blanks between, and that of mixtures alone


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the registry. `sources` tells how the need of each workload is found, in its default shape.

    None where it is not: no formula describes it, and the runner cannot trace it.
    """

    model: KnownModel
    architecture: Architecture
    count: ParameterCount
    sources: dict[WorkloadType, Source | None]

    @property
    def kind(self) -> str:
        """What it has in common with others of its section."""
        read = self.architecture
        return f"{read.model_type} ({read.family.value}, {read.modality.value})"

    @property
    def mixture(self) -> bool:
        """Whether a token passes through a part of the parameters only."""
        return self.count.active != self.count.total

    def wire(self) -> dict[str, Any]:
        """As data: what is not known is absent, and named."""
        told: dict[str, Any] = {
            "id": self.model.id,
            "names": list(self.model.names),
            "modelType": self.architecture.model_type,
            "family": self.architecture.family.value,
            "modality": self.architecture.modality.value,
            "parameterCount": self.count.total,
        }
        if self.mixture:
            told["activeParameterCount"] = self.count.active
        told["needBy"] = {kind.value.lower(): found.value for kind, found in self.sources.items() if found is not None}
        missing = [kind for kind, found in self.sources.items() if found is None]
        if missing:
            why = f"no formula describes it, and it cannot be traced: {self.architecture.unrunnable}"
            told["unavailable"] = [{"field": f"needBy.{kind.value.lower()}", "message": why} for kind in missing]
        return told


def known(words: Sequence[str], form: str) -> int:
    """Print the models in which one of the words occurs, all without words; the exit code."""
    found = sorted(_entries(words), key=lambda one: (one.kind.lower(), one.count.total, one.model.id))
    if form == "json":
        print(json.dumps([one.wire() for one in found], indent=2))
    elif form == "yaml":
        print(yaml.safe_dump([one.wire() for one in found], sort_keys=False, allow_unicode=True).rstrip())
    elif found:
        show(found, sys.stdout)
    if found:
        return 0
    meant = dict.fromkeys(name for word in words for name in models.similar(word))
    hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
    print(f"wattmark: no known model has {' or '.join(words)} in a name or its family{hint}", file=sys.stderr)
    return 1


def show(entries: Sequence[Entry], file: TextIO) -> None:
    """Print the table: a section for each kind, the smallest model first."""
    with printing(file) as console:
        beside = console.width >= ROOMY
        mixtures = any(one.mixture for one in entries)
        figures = FIGURES + ACTIVE * mixtures + max(len("need by"), *(len(_need_by(one)) for one in entries))
        longest = len(INDENT) + max(len(one.model.id) for one in entries) + 1
        room = longest if beside else max(longest // 4, console.width - figures)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("model", overflow="fold", min_width=room if beside else None)
        table.add_column("parameters", justify="right", no_wrap=True)
        if mixtures:
            table.add_column("active", justify="right", no_wrap=True)
        table.add_column("need by", no_wrap=True)
        if beside:
            table.add_column("also known as", style="dim", no_wrap=True)
        for kind, section in groupby(entries, key=lambda one: one.kind):
            table.add_section()
            table.add_row(Text(kind, style="italic"))
            for one in section:
                names = ", ".join(one.model.names)
                model = Text(_wrapped(one.model.id, room, INDENT, INNER), style="bold")
                if names and not beside:
                    model += Text(f"\n{_wrapped(names, room, INNER, INNER)}", style="not bold dim")
                active = [count_text(one.count.active) if one.mixture else ""] * mixtures
                row: list[str | Text] = [model, count_text(one.count.total), *active, _need_by(one)]
                table.add_row(*row, *([_wrapped(names, console.width - room - figures)] if beside else []))
        console.print(table)
        console.print(Text(f"Models: {len(entries)}. {LEGEND}"))


def _wrapped(text: str, width: int, indent: str = "", inner: str = "") -> str:
    """Lines of at most this width; an id that is longer is broken behind its publisher."""
    words = (word.replace("/", "/ ") if len(inner + word) > width else word for word in text.split())
    lines = textwrap.wrap(
        " ".join(words), width, initial_indent=indent, subsequent_indent=inner, break_on_hyphens=False
    )
    return "\n".join(line.replace("/ ", "/") for line in lines)


def _need_by(one: Entry) -> Text:
    """One word where that is true of inference and of training, else one for each."""
    told = [WORDS[found] if found else NOTHING for found in one.sources.values()]
    return told[0] if told[0] == told[1] else Text(" / ").join(told)


def _entries(words: Sequence[str]) -> Iterator[Entry]:
    for model_id in models.known_ids():
        model = models.lookup(model_id)
        read = None if model is None else models.architecture(model.config)
        if model is None or not isinstance(read, Architecture):
            continue
        names = " ".join((model.id, *model.names, read.model_type, read.family)).lower()
        if not words or any(word.lower() in names for word in words):
            count = models.parameters(read, models.head_for(read, WorkloadType.INFERENCE))
            yield Entry(model, read, count, {kind: _source(read, kind) for kind in ASKED})


def _source(architecture: Architecture, kind: WorkloadType) -> Source | None:
    """What finds the need, by asking for it."""
    workload = WorkloadSpec.model_validate({"type": kind, kind.value.lower(): {}})
    resolved = resolve(architecture, workload, RuntimeSpec(), 1)
    if isinstance(resolved, Impossible):
        return None
    found = need(architecture, resolved, Weights.RANDOM, Gpu(), simulate=False)
    if not isinstance(found, Unknown):
        return Source.CLOSED_FORM
    return None if architecture.unrunnable else Source.TRACED
