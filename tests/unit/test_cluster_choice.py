"""Which cluster is used, and what is said when the machine cannot have it."""

from pathlib import Path

import pytest
from tests.cluster import preflight
from tests.cluster.current import CurrentCluster
from tests.cluster.failure import ClusterError
from tests.cluster.paths import Cache
from tests.cluster.targets import choose

GIB = 1 << 30
BOOKWORM = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n'
UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n'


@pytest.mark.parametrize(
    ("environment", "docker", "kind", "expected"),
    [
        pytest.param({}, False, False, "built", id="without Docker one is built"),
        pytest.param({}, True, False, "built", id="Docker without kind is not enough"),
        pytest.param({}, False, True, "built", id="kind without Docker is not enough"),
        pytest.param({}, True, True, "kind", id="Docker and kind are used"),
        pytest.param({"CLUSTER": "built"}, True, True, "built", id="what is named wins over Docker"),
        pytest.param({"CLUSTER": "current"}, True, True, "current", id="the current context on request"),
        pytest.param({"CLUSTER": ""}, False, False, "built", id="an empty name is none"),
    ],
)
def test_the_cluster(environment: dict[str, str], docker: bool, kind: bool, expected: str) -> None:
    assert choose(environment, docker=docker, kind=kind) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("minikube", "CLUSTER=minikube is unknown\nuse one of: current, kind, built", id="an unknown name"),
        pytest.param(
            "kind", "CLUSTER=kind needs a running Docker engine and the kind program", id="kind without Docker"
        ),
    ],
)
def test_a_cluster_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(ClusterError, match=f"^{message}"):
        choose({"CLUSTER": name}, docker=False, kind=False)


def test_to_take_away_a_release_no_registry_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATTMARK_REGISTRY", raising=False)
    monkeypatch.setattr("tests.cluster.current.program", lambda name, _: name)
    found = CurrentCluster(Cache(tmp_path))
    assert found.without_images().helm == "helm"
    with pytest.raises(ClusterError, match="WATTMARK_REGISTRY names no registry"):
        found.access()


def test_debian_12_is_accepted() -> None:
    preflight.require_debian(BOOKWORM, "x86_64")


@pytest.mark.parametrize(
    ("release", "machine", "found"),
    [
        pytest.param(UBUNTU, "x86_64", "this is ubuntu 24.04 on x86_64", id="another distribution"),
        pytest.param(BOOKWORM.replace("12", "13"), "x86_64", "this is debian 13 on x86_64", id="another release"),
        pytest.param(BOOKWORM, "aarch64", "this is debian 12 on aarch64", id="another processor"),
        pytest.param("", "x86_64", "this is   on x86_64", id="a system without a name"),
    ],
)
def test_other_systems_are_refused_with_the_ways_out(release: str, machine: str, found: str) -> None:
    with pytest.raises(ClusterError, match=f"{found}\ninstall a Docker engine and kind, or .* CLUSTER=current"):
        preflight.require_debian(release, machine)


def test_root_is_asked_for_with_the_remedy() -> None:
    preflight.require_root(0)
    with pytest.raises(ClusterError, match=r"root is needed .*\nrun the same command as root"):
        preflight.require_root(1000)


@pytest.mark.parametrize(
    ("free", "message"),
    [
        pytest.param(30 * GIB, None, id="just enough"),
        pytest.param(31 * GIB, None, id="more than enough"),
        pytest.param(30 * GIB - 1, "/c has 30.0 GiB of free space, and 30 GiB are needed", id="one byte short"),
        pytest.param(5 * GIB, "/c has 5.0 GiB of free space, and 30 GiB are needed", id="far too little"),
    ],
)
def test_disk(free: int, message: str | None) -> None:
    assert preflight.disk_objection(free, 30 * GIB, Path("/c")) == message


def test_only_packages_whose_programs_are_missing_are_installed(tmp_path: Path) -> None:
    program = tmp_path / "runc-of-this-test"
    program.touch(mode=0o755)
    wanted = {"runc-of-this-test": "runc", "absent-of-this-test": "absent", "absent-too-of-this-test": "absent"}
    assert preflight.missing_packages(wanted, str(tmp_path)) == ["absent"]
