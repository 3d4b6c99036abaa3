"""A model's folder may come from anybody: what is refused of it, in which words, and that nothing waits or grows."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattmark_runner import safetensors_files
from wattmark_runner.safetensors_files import INDEX, SINGLE, UnusableError, parsed, read_text, tensor_files

Build = Callable[[Path], None]


def tensor(first: int = 0, last: int = 8, dtype: Any = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def file(header: Any, data: int = 8, claimed: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if claimed is None else claimed
    return length.to_bytes(8, "little") + text + b"\0" * data


def single(content: bytes) -> Build:
    return lambda folder: void((folder / SINGLE).write_bytes(content))


def sharded(placed: Any, **contents: bytes) -> Build:
    def build(folder: Path) -> None:
        (folder / INDEX).write_text(placed if isinstance(placed, str) else json.dumps({"weight_map": placed}))
        for name, content in contents.items():
            (folder / f"{name}.safetensors").write_bytes(content)

    return build


def linked(target: str) -> Build:
    def build(folder: Path) -> None:
        (folder.parent / "outside.safetensors").write_bytes(file({"w": tensor()}))
        (folder / SINGLE).symlink_to(target)

    return build


def pipe(name: str) -> Build:
    return lambda folder: os.mkfifo(folder / name)


def sparse(folder: Path) -> None:
    with (folder / SINGLE).open("wb") as out:
        out.write((1 << 33).to_bytes(8, "little"))
        out.truncate(1 << 34)  # takes no room on disk


def void(_: object) -> None:
    pass


ODD = {"s": tensor(0, 4, "F32", []), "e": tensor(4, 4, "BF16", [0, 7]), "f": tensor(4, 6, "F4", [4])}
TWO = file({"v": tensor(), "x": tensor(8, 16)}, 16)
ONE = file({"w": tensor()})
MANY = {f"t{i}": tensor(8 * i, 8 * i + 8) for i in range(5)}

REFUSED: list[Any] = [
    pytest.param(void, "there are no safetensors", id="an empty folder"),
    pytest.param(single(b"\1\0"), "cut off or no safetensors", id="too short for a header's length"),
    pytest.param(single(file({"w": tensor()}, claimed=10**6)), "claims 1000000 bytes", id="a header beyond the end"),
    pytest.param(single(b"\xff" * 64), "cut off or no safetensors", id="a header of 16 exbibytes"),
    pytest.param(sparse, "at most 16 MiB in one file", id="a header of 8 GiB in a file of 16 GiB is not read"),
    pytest.param(single(file(b"{]")), "is not JSON", id="a header that is no JSON"),
    pytest.param(single(file(b"[]")), "is not a JSON object", id="a header of another kind"),
    pytest.param(single(file(b"\xff\xfe{}")), "not UTF-8", id="a header of no text"),
    pytest.param(single(file(b"[" * 100_000)), "is not JSON", id="a deeply nested header"),
    pytest.param(single(file(b'{"w": 1, "w": 2}')), "names a key twice", id="a tensor named twice"),
    pytest.param(single(file(b'{"w": {"dtype": "F32", "dtype": "U8"}}')), "names a key twice", id="a type named twice"),
    pytest.param(single(file({"w": 3})), "'w' of model.safetensors", id="a tensor that is a number"),
    pytest.param(single(file({"w": tensor(dtype="PICKLE")})), "unknown type", id="a type that nobody knows"),
    pytest.param(single(file({"w": tensor(dtype=["F32"])})), "unknown type", id="a type that is a list"),
    pytest.param(single(file({"w": tensor(shape=[3])})), "not as long as", id="a shape of more bytes than there are"),
    pytest.param(single(file({"w": tensor(shape=[-1, -2])})), "not as long as", id="negative sides"),
    pytest.param(single(file({"w": tensor(shape=[True, 2])})), "not as long as", id="a side that is true"),
    pytest.param(single(file({"w": tensor(shape=[0, 1 << 60])})), "not as long as", id="a side beyond all machines"),
    pytest.param(single(file({"w": tensor(shape=[1] * 10**5)})), "not as long as", id="a hundred thousand sides"),
    pytest.param(
        single(file({"w": tensor(), "v": tensor()})), "overlap or leave gaps at byte 0", id="two tensors on one another"
    ),
    pytest.param(single(file({"w": tensor(8, 16)}, data=16)), "overlap or leave gaps", id="a gap before the tensor"),
    pytest.param(single(file({"w": tensor()}, data=7)), "cut off or longer", id="a file that was cut off"),
    pytest.param(single(file({"w": tensor()}, data=9)), "cut off or longer", id="bytes behind the last tensor"),
    pytest.param(pipe(SINGLE), "not a regular file", id="a pipe is not waited for"),
    pytest.param(pipe(INDEX), "not a regular file", id="a pipe as index"),
    pytest.param(lambda folder: (folder / SINGLE).mkdir(), "cannot be read", id="a folder of that name"),
    pytest.param(linked("../outside.safetensors"), "outside the model's folder", id="a link out of the folder"),
    pytest.param(linked("/dev/zero"), "outside the model's folder", id="a link to a device"),
    pytest.param(linked(SINGLE), "cannot be read", id="a link to itself"),
    pytest.param(linked("nothing"), "cannot be read", id="a link to nothing"),
    pytest.param(sharded("{]"), "is not JSON", id="an index that is no JSON"),
    pytest.param(sharded('{"weight_map": {}}'), "has no weight_map", id="an index of nothing"),
    pytest.param(
        sharded('{"weight_map": {"w": "a", "w": "b"}}'), "names a key twice", id="an index that says it twice"
    ),
    pytest.param(sharded({"w": "../a.safetensors"}), "'../a.safetensors'", id="an index that leaves the folder"),
    pytest.param(sharded({"w": "/etc/a.safetensors"}), "'/etc/a.safetensors'", id="an index of absolute paths"),
    pytest.param(sharded({"w": "sub/a.safetensors"}), "'sub/a.safetensors'", id="an index of a folder within"),
    pytest.param(sharded({"w": "..\\a.safetensors"}), "of its own folder", id="a path of another system"),
    pytest.param(sharded({"w": "a\0.safetensors"}), "of its own folder", id="a name with a zero byte"),
    pytest.param(sharded({"w": "pytorch_model.bin"}), "end in .safetensors", id="an index that names a pickle"),
    pytest.param(sharded({"w": ["a.safetensors"]}), "of its own folder", id="an index that names a list"),
    pytest.param(sharded({"w": "a.safetensors"}), "a.safetensors cannot be read", id="a file that is not there"),
    pytest.param(
        sharded({str(i): f"{i}.safetensors" for i in range(2049)}), "more than 2048 files", id="thousands of files"
    ),
    pytest.param(
        sharded({"w": "a.safetensors", **dict.fromkeys(("k", "l", "m", "n"), "a.safetensors")}, a=ONE),
        "names 4 tensors that its files do not hold: k, l, m and 1 more",
        id="tensors that the files do not hold",
    ),
    pytest.param(
        sharded({"w": "a.safetensors", "v": "b.safetensors"}, a=ONE, b=file({"w": tensor(), "v": tensor(8, 16)}, 16)),
        "1 tensors are in two files: w",
        id="a tensor in two files",
    ),
    pytest.param(
        lambda folder: void((folder / "weights.safetensors").write_bytes(ONE)),
        "only weights.safetensors",
        id="another name",
    ),
]


@pytest.mark.parametrize(("build", "words"), REFUSED)
def test_what_is_refused_says_why(tmp_path: Path, build: Build, words: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    build(folder)
    with pytest.raises(UnusableError) as refused:
        tensor_files(folder)
    assert words in str(refused.value)


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="its folder cannot be read"):
        tensor_files(tmp_path / "nowhere")


def test_all_headers_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each below its own limit, and too much in all."""
    monkeypatch.setattr(safetensors_files, "HEADERS_LIMIT_BYTES", 4 << 20)
    padding = {"__metadata__": {"x": "x" * (1 << 20)}}
    contents = {f"f{i}": file(padding | {f"t{i}": tensor()}) for i in range(5)}
    sharded({f"t{i}": f"f{i}.safetensors" for i in range(5)}, **contents)(tmp_path)
    with pytest.raises(UnusableError, match="4 MiB in all"):
        tensor_files(tmp_path)


@pytest.mark.parametrize(
    ("build", "names"),
    [
        pytest.param(single(file(MANY, 40)), {SINGLE: set(MANY)}, id="one file"),
        pytest.param(single(file({}, 0)), {SINGLE: set()}, id="a file without tensors"),
        pytest.param(
            single(file(ODD, 6)),
            {SINGLE: set(ODD)},
            id="a scalar, an empty tensor, half bytes",
        ),
        pytest.param(
            sharded({"w": "a.safetensors", "v": "b.safetensors"}, a=ONE, b=TWO),
            {"a.safetensors": {"w"}, "b.safetensors": {"v", "x"}},
            id="two files by index, one with a tensor more",
        ),
        pytest.param(
            lambda folder: (single(ONE)(folder), sharded({"w": "gone.safetensors"})(folder))[0],
            {SINGLE: {"w"}},
            id="the single file counts where there is an index too",
        ),
        pytest.param(
            lambda folder: ((folder / "data").write_bytes(ONE), (folder / SINGLE).symlink_to("data"))[1],
            {"data": {"w"}},
            id="a link within the folder, as a mounted ConfigMap has them",
        ),
    ],
)  # fmt: skip
def test_what_is_taken(tmp_path: Path, build: Build, names: dict[str, set[str]]) -> None:
    build(tmp_path)
    assert {file.path.name: set(file.tensors) for file in tensor_files(tmp_path)} == names


def test_a_snapshot_of_the_hubs_cache_links_to_its_repositorys_blobs(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "sha").write_bytes(ONE)
    (snapshot / SINGLE).symlink_to("../../blobs/sha")
    assert [file.path for file in tensor_files(snapshot)] == [blobs / "sha"]
    (tmp_path / "other").write_bytes(ONE)
    (snapshot / SINGLE).unlink()
    (snapshot / SINGLE).symlink_to("../../../other")
    with pytest.raises(UnusableError, match="outside"):
        tensor_files(snapshot)


def test_a_text_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("x" * (2 << 20))
    assert read_text(tmp_path, "config.json", 2 << 20) == "x" * (2 << 20)
    with pytest.raises(UnusableError, match="larger than 1 MiB"):
        read_text(tmp_path, "config.json", 1 << 20)


@settings(max_examples=100, deadline=None)
@given(
    header=st.binary(max_size=64) | st.text(max_size=64).map(str.encode), claimed=st.integers(0, 2**64 - 1) | st.none()
)
def test_no_bytes_end_in_anything_but_an_answer(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, claimed: int | None
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / SINGLE).write_bytes(file(header, 0, claimed))
    try:
        tensor_files(folder)
    except UnusableError as refused:
        assert str(refused)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4)) | st.lists(st.none()) | st.integers())
def test_json_is_an_object_or_refused(value: Any) -> None:
    try:
        assert parsed(json.dumps(value), "it") == value
    except UnusableError:
        assert not isinstance(value, dict)
