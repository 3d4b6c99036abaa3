"""What end-to-end tests share: the cluster's tools, and namespaces of their own."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.cluster.commands import make, parser
from tests.cluster.install import NAMESPACE, RELEASE, install_chart
from tests.cluster.paths import cache
from tests.cluster.progress import Progress
from tests.cluster.targets import Access

OPERATOR_USER = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


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
    access: Access

    def ask(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run it and return the answer, a refusal included."""
        done = subprocess.run(
            [self.path, *arguments],
            input=stdin,
            env={**os.environ, **self.access.environment()},
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
def access() -> Access:
    """The cluster that `make demo` uses, or the one that KUBECONFIG names with the images of the former."""
    found = make(parser().parse_args(["env"]), cache(), Progress()).access()
    named = os.environ.get("KUBECONFIG")
    return replace(found, kubeconfig=Path(named)) if named else found


@pytest.fixture(scope="session")
def kubectl(access: Access) -> Tool:
    return Tool(access.kubectl, access)


@pytest.fixture(scope="session")
def helm(access: Access) -> Tool:
    return Tool(access.helm, access)


@pytest.fixture(scope="session")
def release(access: Access, helm: Tool) -> str:
    """The installed chart with its operator; what is there already is left as it is."""
    if not helm.ask("status", RELEASE, "--namespace", NAMESPACE).ok:
        install_chart(access)
    return RELEASE


@pytest.fixture(scope="module")
def namespace(kubectl: Tool) -> Iterator[str]:
    """A namespace for one test module, under the restricted Pod Security Standard."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
