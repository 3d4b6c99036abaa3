"""Several answers for people: each question a row, each kind of node a column; as many tables as the width asks for."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from wattmark.api.answers import NodeTypeAnswer, Verdict
from wattmark.api.conditions import ConditionType
from wattmark.api.modelcheck import ModelCheckStatus
from wattmark.cli.question import Question, stored_as
from wattmark.cli.table import asked, printing, probability, type_name, unchecked, verdict_text, worded
from wattmark.decide.saying import said
from wattmark.decide.summary import gibibytes

Answer = tuple[Question, ModelCheckStatus]
BETWEEN = 3  # blanks from one column to the next
LEAST_SUBJECT = 16  # cells to which a row's name may be folded
HEADER = 16  # cells; a longer product is broken at its hyphens
_TYPE = re.compile(r"(simulated-)?(?:NVIDIA-)?(.*)-([0-9a-zA-Z]+)-x([0-9]+)(.*)")


@dataclass(frozen=True, slots=True)
class _Column:
    """A header, and a cell for each answer."""

    header: str
    cells: tuple[Text, ...]

    @property
    def width(self) -> int:
        lines = [*self.header.splitlines(), *(line for cell in self.cells for line in cell.plain.splitlines())]
        return max(map(len, lines))


def show(answers: Sequence[Answer], file: TextIO) -> None:
    """Print what all questions share, the matrix, and what of it has no answer or was not checked.

    Rows begin with models, or with the questions' own names where those and their formats do not tell them apart.
    """
    precisions = [_precision(*answer) for answer in answers]
    stored = [stored_as(question.spec.runtime.quantization) for question, _ in answers]
    subject, subjects = "model", [question.spec.model.id for question, _ in answers]
    if len(set(zip(subjects, precisions, stored, strict=True))) < len(answers):
        subject, subjects = "check", [question.name for question, _ in answers]
    rows = [_Column(subject, _texts(subjects)), _Column("precision", _texts(precisions))]
    if any(name != "none" for name in stored):
        rows.append(_Column("quantization", _texts(stored)))
    rows.append(_Column("need", _texts(_need(status) for _, status in answers)))
    columns = [_Column(_header(kind), _cells(kind, answers)) for kind in _kinds(answers)]
    with printing(file) as console:
        console.print(Text(", ".join(_shared(answers))))
        # A long id is folded where it would take the place of the answers.
        widest = max(LEAST_SUBJECT, console.width // 3)
        if _taken(rows, LEAST_SUBJECT) + max((column.width + BETWEEN for column in columns), default=0) > console.width:
            rows = [_stacked(rows)]
            widest = LEAST_SUBJECT
        for part in _parts(columns, console.width - _taken(rows, widest)):
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            table.add_column(rows[0].header, overflow="fold", max_width=widest)
            for column in rows[1:]:
                table.add_column(column.header, justify="right" if column.header == "need" else "left", no_wrap=True)
            for column in part:
                table.add_column(column.header, overflow="fold", min_width=column.width)
            for cells in zip(*(column.cells for column in (*rows, *part)), strict=True):
                table.add_row(*cells)
            console.print(table)
        of_rows = zip(subjects, (status for _, status in answers), strict=True)
        unanswered = {row: said(found.conditions)[ConditionType.FITS] for row, found in of_rows if not found.node_types}
        for row, why in unanswered.items():
            console.print(Text(f"{row}: {worded(why.message)}"))
        for message in dict.fromkeys(message for _, status in answers for message in unchecked(status)):
            console.print(Text(message))


def _shared(answers: Sequence[Answer]) -> list[str]:
    """What is asked in all rows: a matrix that was copied is understood without its command.

    Of questions that came to nothing it is not known, but for their workload.
    """
    resolved = [answer for answer in answers if answer[1].resolved is not None]
    first, *others = (asked(*answer) for answer in resolved or answers)
    kinds = {question.spec.workload.type.value for question, _ in answers}
    apart = kinds if len(kinds) > 1 else set()
    return [phrase for phrase in first if phrase not in apart and all(phrase in other for other in others)]


def _texts(words: Iterable[str]) -> tuple[Text, ...]:
    return tuple(map(Text, words))


def _taken(rows: Sequence[_Column], widest: int) -> int:
    """Cells of what each row begins with."""
    subject, *others = rows
    return min(widest, subject.width) + sum(column.width for column in others) + len(rows) * BETWEEN


def _stacked(rows: Sequence[_Column]) -> _Column:
    """What each row begins with, below one another: where there is no room for an answer beside it."""
    cells = zip(*(column.cells for column in rows), strict=True)
    return _Column("\n".join(column.header for column in rows), tuple(Text("\n").join(cell) for cell in cells))


def _parts(columns: Sequence[_Column], room: int) -> Iterator[Sequence[_Column]]:
    """The columns in groups that have room beside one another, each of at least one."""
    part: list[_Column] = []
    left = room
    for column in columns:
        if part and column.width + BETWEEN > left:
            yield part
            part, left = [], room
        part.append(column)
        left -= column.width + BETWEEN
    yield part


def _header(kind: str) -> str:
    """A node type's name in short lines: product, memory, number of GPUs."""
    match = _TYPE.fullmatch(kind)
    if match is None:
        return "\n".join(textwrap.wrap(kind, HEADER))
    simulated, product, memory, count, rest = match.groups(default="")
    return "\n".join([*textwrap.wrap(simulated + product, HEADER), f"{memory} x{count}{rest}"])


def _kinds(answers: Iterable[Answer]) -> list[str]:
    """Node types of all answers, the smallest GPU first."""
    offered = {type_name(kind): kind.offered_bytes or 0 for _, status in answers for kind in status.node_types}
    return sorted(offered, key=lambda name: (offered[name], name))


def _cells(kind: str, answers: Iterable[Answer]) -> tuple[Text, ...]:
    return tuple(_cell({type_name(a): a for a in status.node_types}.get(kind)) for _, status in answers)


def _cell(answer: NodeTypeAnswer | None) -> Text:
    if answer is None:
        return Text("-")
    words = verdict_text(answer.verdict)
    short = answer.headroom_bytes
    if short is None or (answer.verdict in (Verdict.DOES_NOT_FIT, Verdict.UNKNOWN) and short >= 0):
        return words + Text(f"\n{answer.reason}")
    risk, tight = answer.out_of_memory_probability, answer.verdict is Verdict.FITS_TIGHT
    risky = f"\nOOM {probability(risk)}" if tight and risk is not None else ""
    return words + Text(f"\n{'+' if short >= 0 else '-'}{gibibytes(abs(short))}{risky}")


def _precision(question: Question, status: ModelCheckStatus) -> str:
    found = question.spec.runtime.precision if status.resolved is None else status.resolved.precision
    return "-" if found is None else found.value


def _need(status: ModelCheckStatus) -> str:
    need = status.need.required_bytes if status.need is not None else None
    return "-" if need is None else gibibytes(need.likely)
