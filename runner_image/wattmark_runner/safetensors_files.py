"""The safetensors files of a model's folder, checked before anything else reads them. Nothing of them is executed.

A folder may come from anybody: what is here takes bounded memory, opens regular files of that folder only, and ends in
a sentence. Format: 8 bytes little-endian length of the header, the header as JSON, the tensors' bytes.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
INDEX_LIMIT_BYTES = 32 << 20  # three times the index of the largest public models, of 100,000 tensors
HEADER_LIMIT_BYTES = 16 << 20  # of one file; the format itself allows 100 MB, which take gigabytes to parse
HEADERS_LIMIT_BYTES = 64 << 20  # of all files together
MOST_FILES = 2048
_MOST_SIDES, _LONGEST_SIDE = 16, 2**53  # products of more would take as long as whoever wrote the file likes
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class UnusableError(Exception):
    """The model's files cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class TensorFile:
    """One file whose header holds what it says, and the names of its tensors."""

    path: Path
    tensors: frozenset[str]


def tensor_files(folder: Path) -> tuple[TensorFile, ...]:
    """The files that hold the model: `model.safetensors`, else those that its index names. UnusableError if none do."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise UnusableError(f"its folder cannot be read: {error}") from error
    if SINGLE in names:
        return (_checked(folder, SINGLE, HEADERS_LIMIT_BYTES)[0],)
    if INDEX not in names:
        raise UnusableError(_no_weights(names))
    placed = _index(folder)
    files: list[TensorFile] = []
    room = HEADERS_LIMIT_BYTES
    for name in sorted(set(placed.values())):
        file, size = _checked(folder, name, room)
        room -= size
        files.append(file)
    _agree(placed, files)
    return tuple(files)


def few(names: Iterable[str]) -> str:
    """At most three of the names, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(ordered[:3]) + more


def read_text(folder: Path, name: str, limit: int) -> str:
    """The text of a regular file of the folder. UnusableError if it is none, above `limit` bytes, or not UTF-8."""
    try:
        data = _read(_own(folder, name), 0, limit + 1)
    except OSError as error:
        raise UnusableError(f"{name} cannot be read: {error}") from error
    if len(data) > limit:
        raise UnusableError(f"{name} is larger than {limit >> 20} MiB")
    return _utf8(data, name)


def parsed(text: str, what: str) -> dict[str, Any]:
    """A JSON object that names nothing twice. UnusableError if it is none."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise UnusableError(f"{what} names a key twice: nobody can say which one counts")
        return found

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnusableError(f"{what} is not a JSON object")
    return value


def _no_weights(names: list[str]) -> str:
    others = [name for name in names if name.endswith(".safetensors")]
    if others:
        return f"it has neither {SINGLE} nor {INDEX}, only {few(others)}"
    pickled = next((name for name in names if name.endswith(_PICKLES)), None)
    if pickled:
        return f"its weights are in {pickled}, which can run code when it is read; convert them to safetensors"
    return f"there are no safetensors in its folder: neither {SINGLE} nor {INDEX}"


def _index(folder: Path) -> Mapping[str, str]:
    """Each tensor's file, by an index that names nothing but files of its own folder."""
    index = parsed(read_text(folder, INDEX, INDEX_LIMIT_BYTES), INDEX)
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise UnusableError(f"{INDEX} has no weight_map")
    for name in placed.values():
        if not isinstance(name, str) or not _plain(name):
            raise UnusableError(
                f"{INDEX} names {str(name)[:64]!r}; it may only name files of its own folder that end in .safetensors"
            )
    if len(set(placed.values())) > MOST_FILES:
        raise UnusableError(f"{INDEX} names more than {MOST_FILES} files")
    return placed


def _plain(name: str) -> bool:
    return name.endswith(".safetensors") and name == Path(name).name and not set(name) & {"\\", "\0"}


def _own(folder: Path, name: str) -> Path:
    """The file's real path, inside the folder; of a snapshot in the hub's cache, also among its repository's blobs."""
    try:
        real, home = (folder / name).resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise UnusableError(f"{name} cannot be read: {error}") from error
    homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    if not any(real.is_relative_to(one) for one in homes):
        raise UnusableError(f"{name} is a link to a file outside the model's folder; put the file itself there")
    return real


def _read(path: Path, offset: int, most: int) -> bytes:
    """At most that many bytes of a regular file; a pipe or a device would be waited for without end. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        file.seek(offset)
        return file.read(most)


def _checked(folder: Path, name: str, room: int) -> tuple[TensorFile, int]:
    """The file, and its header's bytes, of which there may be `room` at most."""
    path = _own(folder, name)
    try:
        size = path.stat().st_size
        length = int.from_bytes(_read(path, 0, 8), "little")
        if size < 8 or length > size - 8:
            raise UnusableError(
                f"{name} is cut off or no safetensors file: its header claims {length} bytes, the file has {size}"
            )
        if length > min(room, HEADER_LIMIT_BYTES):
            raise UnusableError(
                f"the header of {name} claims {length} bytes; at most {HEADER_LIMIT_BYTES >> 20} MiB in one file and "
                f"{HEADERS_LIMIT_BYTES >> 20} MiB in all are read"
            )
        text = _utf8(_read(path, 8, length), f"the header of {name}")
    except OSError as error:
        raise UnusableError(f"{name} cannot be read: {error}") from error
    tensors = parsed(text, f"the header of {name}")
    tensors.pop("__metadata__", None)
    _lies_without_gaps(tensors, size - 8 - length, name)
    return TensorFile(path, frozenset(tensors)), length


def _lies_without_gaps(tensors: dict[str, Any], size: int, name: str) -> None:
    """Each tensor is as long as its type and shape say, and together they are what the file holds, each byte once."""
    spans = sorted(_span(tensor, key, name) for key, tensor in tensors.items())
    end = 0
    for first, last in spans:
        if first != end:
            raise UnusableError(f"the tensors of {name} overlap or leave gaps at byte {min(first, end)} of its data")
        end = last
    if end != size:
        raise UnusableError(f"{name} is cut off or longer than it says: its tensors take {end} bytes, it holds {size}")


def _span(tensor: Any, key: str, name: str) -> tuple[int, int]:
    """First byte of a tensor, and the one behind its last."""
    try:
        bits, shape, (first, last) = _BITS[tensor["dtype"]], tensor["shape"], tensor["data_offsets"]
        integers = all(type(number) is int and 0 <= number <= _LONGEST_SIDE for number in (*shape, first, last))
        if integers and len(shape) <= _MOST_SIDES and prod(shape) * bits == 8 * (last - first):
            return first, last
    except (KeyError, TypeError, ValueError):
        pass
    raise UnusableError(f"{key[:64]!r} of {name} is of an unknown type, or not as long as its type and shape say")


def _agree(placed: Mapping[str, str], files: Iterable[TensorFile]) -> None:
    """Each file holds what the index says it holds, and no tensor is in two files."""
    seen: set[str] = set()
    for file in files:
        twice = seen & file.tensors
        if twice:
            raise UnusableError(f"{len(twice)} tensors are in two files: {few(twice)}")
        seen |= file.tensors
    absent = {tensor for tensor in placed if tensor not in seen}
    if absent:
        raise UnusableError(f"{INDEX} names {len(absent)} tensors that its files do not hold: {few(absent)}")


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnusableError(f"{what} is not UTF-8 text") from error
