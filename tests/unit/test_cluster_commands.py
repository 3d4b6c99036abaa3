"""Command lines, files and lines of the cluster's tooling that no cluster is needed for."""

import base64
import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import archive, demo, kind, machine, network, tools
from tests.cluster.certificates import kubeconfig
from tests.cluster.images import OPERATOR, RUNNER, build_command
from tests.cluster.install import chart_values
from tests.cluster.leftovers import mounts_inside
from tests.cluster.paths import GO_MODULES, TOOLS, Cache
from tests.cluster.progress import elapsed, live_line
from tests.cluster.targets import Access

CACHE = Cache(Path("/c"))


def test_a_new_kind_cluster_is_made_with_a_kubeconfig_of_ours() -> None:
    assert kind.cluster_commands(CACHE, there=False) == [
        ["kind", "create", "cluster", "--name", "wattmark", "--wait", "180s", "--kubeconfig", "/c/state/kubeconfig"]
    ]


def test_a_kind_cluster_that_is_there_is_started_and_used() -> None:
    assert kind.cluster_commands(CACHE, there=True) == [
        ["docker", "start", "wattmark-control-plane"],
        ["kind", "export", "kubeconfig", "--name", "wattmark", "--kubeconfig", "/c/state/kubeconfig"],
    ]


def test_images_for_kind_are_built_by_docker_and_loaded() -> None:
    build, load = kind.image_commands(OPERATOR)
    assert build[:4] == ["docker", "buildx", "build", "--load"]
    assert build[build.index("--file") + 1].endswith("/operator/Dockerfile")
    assert load == ["kind", "load", "docker-image", "localhost/wattmark-operator:dev", "--name", "wattmark"]


def test_buildkit_gets_the_local_base_and_the_secrets() -> None:
    command = build_command(CACHE, RUNNER, {"machine": Path("/s/machine"), "ca": Path("/s/ca")})
    assert "build-arg:BASE=localhost/wattmark-base:bookworm" in command
    assert "id=machine,src=/s/machine" in command
    assert "id=ca,src=/s/ca" in command
    assert command[-1].startswith("type=image,name=localhost/wattmark-runner:dev,unpack=true")


def test_secrets_export_what_clients_need_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "pip_file", lambda: {"PIP_TRUSTED_HOST": "index.example"})
    environment = {
        "PIP_INDEX_URL": "https://index.example/simple?a=b c",
        "PIP_FIND_LINKS": "/opt/wheels",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "AWS_SECRET_ACCESS_KEY": "not yours",
    }
    lines = machine.settings(environment, with_authorities=True).splitlines()
    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert exported["PIP_INDEX_URL"] == exported["UV_DEFAULT_INDEX"] == "https://index.example/simple?a=b c"
    assert exported["SSL_CERT_FILE"] == "/run/secrets/ca"
    assert exported["PIP_TRUSTED_HOST"] == "index.example"
    assert exported["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert not {"PIP_FIND_LINKS", "AWS_SECRET_ACCESS_KEY"} & set(exported)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        pytest.param("", {}, id="no configuration"),
        pytest.param(
            "global.index-url='https://i.example/simple'", {"PIP_INDEX_URL": "https://i.example/simple"}, id="an index"
        ),
        pytest.param(":env:.timeout='180'\nglobal.cert='/ca.crt'", {}, id="what is not about the index is left out"),
        pytest.param("install.trusted-host='\\na.example'", {"PIP_TRUSTED_HOST": "\\na.example"}, id="a section"),
    ],
)
def test_pip_configuration(listing: str, expected: dict[str, str]) -> None:
    assert machine.parse_pip_config(listing) == expected


def test_a_kubeconfig_holds_its_certificates() -> None:
    config = json.loads(kubeconfig(b"ca", b"cert", b"key"))
    assert config["current-context"] == config["contexts"][0]["name"]
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == b"key"
    assert config["clusters"][0]["cluster"]["server"] == "https://10.244.0.1:6443"


@pytest.mark.parametrize("module", TOOLS)
def test_every_tool_comes_from_a_package_that_its_module_names(module: str) -> None:
    if module == "pause":
        assert tools.package_of(module, "pause") == "."
        return
    text = (GO_MODULES / module / "go.mod").read_text()
    for name in TOOLS[module]:
        assert f"\t{tools.package_of(module, name)}\n" in text


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"),
    ],
)
def test_the_name_that_go_gives_a_program(package: str, name: str) -> None:
    assert tools.program_name(package) == name


def test_the_version_stamp_is_the_one_that_is_built() -> None:
    version = tools.required_version("kubernetes", "k8s.io/kubernetes")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in tools.linker_flags("kubernetes")
    assert tools.linker_flags("containers") == "-s -w"


def test_go_versions_compare_as_numbers() -> None:
    assert tools.parse_version("1.27.3") > tools.parse_version("1.9.10")
    assert tools.go_line("module x\n\ngo 1.26.0\n") == (1, 26, 0)


def test_sysctls_are_put_back_only_where_they_changed(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    for name in network.SYSCTLS[:2]:
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_text("1\n")
    record = tmp_path / "record.json"
    network.record_sysctls(record, proc)
    (proc / network.SYSCTLS[0]).write_text("2\n")
    network.record_sysctls(record, proc)  # a second start, on a half-dead cluster
    assert network.restore_sysctls(record, proc) == [network.SYSCTLS[0].replace("/", ".")]
    assert (proc / network.SYSCTLS[0]).read_text() == "1"
    assert network.restore_sysctls(record, proc) == []


def test_mounts_are_found_below_our_folders_only() -> None:
    points = ["/", "/run/wattmark/a", "/run/wattmark-other/b", "/c/state/with\\040space", "/proc"]
    mountinfo = "".join(f"36 35 98:0 /root {point} rw - ext4 /dev/x rw\n" for point in points)
    found = mounts_inside(mountinfo, [Path("/run/wattmark"), Path("/c/state")])
    assert found == ["/run/wattmark/a", "/c/state/with space"]


def test_an_image_archive_holds_its_layer_under_the_digest_of_its_contents(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"program")
    archive.pause_image(program, "localhost/p:1", tmp_path / "p.tar")
    with tarfile.open(tmp_path / "p.tar") as whole:
        manifest = json.load(whole.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(whole.extractfile(manifest[0]["Config"]) or pytest.fail("no config"))
        packed = (whole.extractfile("layer.tar") or pytest.fail("no layer")).read()
    unpacked = subprocess.run(["sh", "-c", "gzip -dc | sha256sum"], input=packed, capture_output=True, check=True)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{unpacked.stdout.split()[0].decode()}"]
    assert manifest[0]["RepoTags"] == ["localhost/p:1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.tar", "pause"]


def test_the_chart_is_told_our_images_and_their_change() -> None:
    access = Access(
        "kubectl", "helm", None, "localhost:5000/x/wattmark-operator:dev", "r/wattmark-runner:dev", "abc", True
    )
    assert chart_values(access) == {
        "image.operator.repository": "localhost:5000/x/wattmark-operator",
        "image.operator.tag": "dev",
        "image.runner.repository": "r/wattmark-runner",
        "image.runner.tag": "dev",
        "podAnnotations.built-from": "abc",
    }


def resource(name: str, progress: dict[str, Any] | None = None, **conditions: str) -> dict[str, Any]:
    status: dict[str, Any] = {"observedGeneration": 1}
    status["conditions"] = [
        {"type": kind, "status": value, "reason": "Because", "message": "so"} for kind, value in conditions.items()
    ]
    if progress:
        status["progress"] = progress
    return {"kind": "BenchmarkJob", "metadata": {"name": name, "generation": 1}, "status": status}


MEASURING = {"phase": "Measuring", "percent": 42, "remainingSeconds": 12.4}


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        pytest.param([], "0 of 0 ended", id="nothing yet"),
        pytest.param([resource("a"), resource("b", Complete="True")], "1 of 2 ended, 1 waiting", id="one ended"),
        pytest.param(
            [resource("a", MEASURING), resource("b", Failed="True")],
            "1 of 2 ended, a Measuring 42 %, 12 s left",
            id="one runs and says how long still",
        ),
        pytest.param(
            [resource("a", {"phase": "Loading", "percent": 0})], "0 of 1 ended, a Loading 0 %", id="no time known yet"
        ),
    ],
)
def test_the_situation(resources: list[dict[str, Any]], line: str) -> None:
    assert demo.situation(resources) == line


def test_an_answer_about_an_earlier_form_is_no_end() -> None:
    old = resource("check", Evaluated="True")
    old["metadata"]["generation"] = 2
    assert not demo.ended(old)


def test_a_failed_example_is_named_with_its_reason() -> None:
    assert demo.failure_of(resource("a", Failed="True")) == "Because: so"
    assert demo.failure_of(resource("a", Failed="False", Complete="True")) is None


def test_the_live_line_shows_every_step() -> None:
    assert (
        live_line({"compile": (10.0, ""), "image": (15.0, "pulling")}, 85.0) == "compile 1m15s | image 1m10s: pulling"
    )
    assert elapsed(59.94) == "59.9s"
