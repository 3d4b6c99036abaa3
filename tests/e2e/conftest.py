"""What end-to-end tests share: the cluster's tools, and namespaces of their own."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.paths import ROOT, cache

CHART = ROOT / "helm" / "wattmark"
RELEASE = "wattmark"
RELEASE_NAMESPACE = "wattmark-system"
OPERATOR_USER = f"system:serviceaccount:{RELEASE_NAMESPACE}:{RELEASE}"


@dataclass(frozen=True)
class Answer:
    """How a command ended; `said` holds both streams, as a user at a terminal would see them."""

    ok: bool
    out: str
    said: str


@dataclass(frozen=True)
class Tool:
    """kubectl or helm, bound to one cluster."""

    path: str
    kubeconfig: Path

    def ask(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run it and return the answer, a refusal included."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            [self.path, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Answer(done.returncode == 0, done.stdout, done.stdout + done.stderr)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and return its standard output; a refusal fails the test with its words."""
        answer = self.ask(*arguments, stdin=stdin)
        assert answer.ok, f"{Path(self.path).name} {' '.join(arguments)}: {answer.said}"
        return answer.out


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """Access to the cluster: KUBECONFIG where it is set, else the cluster that `make demo` starts."""
    path = Path(os.environ.get("KUBECONFIG") or cache().kubeconfig)
    assert path.exists(), f"no cluster: {path} is not there. Start one with `make cluster-up`, or set KUBECONFIG"
    return path


def _tool(name: str) -> str:
    built = Path(cache().tool(name))
    return str(built) if built.exists() else shutil.which(name) or name


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Tool:
    return Tool(_tool("kubectl"), kubeconfig)


@pytest.fixture(scope="session")
def helm(kubeconfig: Path) -> Tool:
    return Tool(_tool("helm"), kubeconfig)


@pytest.fixture(scope="module")
def namespace(kubectl: Tool) -> Iterator[str]:
    """A namespace for one test module, under the restricted Pod Security Standard."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
