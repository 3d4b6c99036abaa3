"""Published measurements as they lie in tests/data/measured: one file a source, with its provenance."""

import hashlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "tests" / "data" / "measured"
HELD_OUT = MEASURED / "held_out.txt"
UNITS = {"B": 1, "MB": 10**6, "MiB": 1 << 20, "GiB": 1 << 30}
DEFINITIONS = ("allocated", "reserved", "process", "device")
RAN, OUT_OF_MEMORY = "Ran", "OutOfMemory"


@dataclass(frozen=True)
class Point:
    """One run. `measured` holds bytes by definition, `resolution` half of which the print may have rounded away.

    `ran` tells whether the run went through: False where memory ran out. `differs` is what it did that our runner does
    not, None where nothing is known. `seen` tells that formulas were written with it in sight.
    """

    id: str
    series: str
    spec: Mapping[str, Any]
    measured: Mapping[str, float]
    resolution: float
    ran: bool
    capability: tuple[int, int] | None
    memory_bytes: int | None
    differs: str | None
    seen: bool

    @property
    def held_out(self) -> bool:
        """Whether nothing may be fitted to it."""
        return not self.seen and held_out(self.series)

    @property
    def training(self) -> bool:
        """Whether steps were trained."""
        return bool(self.spec["workload"]["type"] == "Training")

    @property
    def gpus(self) -> int:
        """GPUs of the run."""
        return int(self.spec.get("resources", {}).get("gpusPerNode", 1))


@dataclass(frozen=True)
class Component:
    """A part of a peak that was measured: `low` to `high` bytes, and the runs whose estimates are subtracted."""

    title: str
    of: tuple[str, ...]
    phase: str
    low: float
    high: float
    more: Mapping[str, Any]
    less: Mapping[str, Any] | None


def held_out(series: str) -> bool:
    """The half that is held out: by a hash of the series, so that neighbours on one curve stay on one side."""
    return hashlib.sha256(series.encode()).digest()[0] % 2 == 1


def points() -> tuple[Point, ...]:
    """All points, by file and in its order."""
    return tuple(point for file in sorted(MEASURED.glob("*.yaml")) for point in _of_file(file))


def components() -> tuple[Component, ...]:
    """Measured parts of peaks."""
    files = sorted((MEASURED / "components").glob("*.yaml"))
    return tuple(_component(entry) for file in files for entry in yaml.safe_load(file.read_text("utf-8")))


def _of_file(file: Path) -> Iterator[Point]:
    table = yaml.safe_load(file.read_text("utf-8"))
    gpu, unit = table["gpu"], UNITS[table["unit"]]
    capability = tuple(int(part) for part in gpu["capability"].split(".")) if "capability" in gpu else None
    for series in table["series"]:
        base = merged(table["spec"], series.get("spec", {}))
        for key, value in series["points"].items():
            name = f"{file.stem}/{series['name']}"
            by_definition = value if isinstance(value, Mapping) else {table["definition"]: value}
            numbers = {k: v * unit for k, v in by_definition.items() if not isinstance(v, str)}
            yield Point(
                id=f"{name}/{key}",
                series=name,
                spec=_with(base, table["vary"], key) if "vary" in table else base,
                measured=numbers,
                resolution=table["resolution"] * unit,
                ran=value != OUT_OF_MEMORY,
                capability=capability,  # type: ignore[arg-type]
                memory_bytes=_mib(gpu.get("memory")),
                differs=series.get("differs", table.get("differs")),
                seen=table["seen"],
            )


def _component(entry: Mapping[str, Any]) -> Component:
    unit, spec = UNITS[entry["unit"]], entry["spec"]
    if "measured" in entry:
        size = entry["measured"] * unit
        return Component(entry["title"], tuple(entry["of"]), entry["phase"], size, size, spec, None)
    more, less, logits = entry["more"], entry["less"], entry["logits"]
    size = (more["peak"] - less["peak"]) * unit
    once = (more["batch"] - less["batch"]) * logits["tokens"] * logits["vocabulary"] * 2
    batch = "workload.training.batchSizePerDevice"
    runs = (_with(spec, batch, run["batch"]) for run in (more, less))
    fewest, most = logits["copies"]
    return Component(
        entry["title"], tuple(entry["of"]), entry["phase"], size - most * once, size - fewest * once, *runs
    )


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One specification over another, field by field."""
    result = deepcopy(dict(base))
    for key, value in over.items():
        inner = result.get(key)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        result[key] = merged(inner, value) if both else deepcopy(value)
    return result


def _with(spec: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    assert isinstance(value, Mapping)
    return merged(spec, value)


def _mib(text: str | None) -> int | None:
    return None if text is None else int(text.removesuffix(" MiB")) * UNITS["MiB"]
