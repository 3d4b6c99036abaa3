"""What end-to-end tests share: the cluster's tools, and namespaces of their own."""

import os
import platform
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.cluster.commands import make, parser
from tests.cluster.failure import ClusterError
from tests.cluster.install import NAMESPACE, RELEASE, add_fleet, install_chart
from tests.cluster.local import LocalCluster
from tests.cluster.paths import cache
from tests.cluster.preflight import require_debian, require_root
from tests.cluster.progress import Progress
from tests.cluster.targets import Access, Target
from tests.e2e.crowd import Crowd, submitted
from tests.e2e.reach import Api, reaching
from tests.e2e.space import Space, observed

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
    """The cluster that KUBECONFIG names, else the one that `make demo` uses, brought up where it does not answer."""
    target = make(parser().parse_args(["up"]), cache(), Progress())
    named = os.environ.get("KUBECONFIG")
    if named and Path(named) != cache().kubeconfig:
        return replace(target.access(), kubeconfig=Path(named))
    return answering(target) or _brought_up(target)


def answering(target: Target) -> Access | None:
    """How this cluster is reached; None where it does not answer."""
    try:
        found = target.access()
    except ClusterError:
        return None
    return found if Tool(found.kubectl, found).ask("get", "--raw", "/readyz").ok else None


def _brought_up(target: Target) -> Access:
    if isinstance(target, LocalCluster):
        try:
            require_debian(Path("/etc/os-release").read_text(), platform.machine())
            require_root(os.geteuid())
        except ClusterError as objection:
            pytest.skip(f"no cluster can be built here: {objection}")
    found = target.prepare()
    add_fleet(found)
    return found


@pytest.fixture(scope="session")
def kubectl(access: Access) -> Tool:
    return Tool(access.kubectl, access)


@pytest.fixture(scope="session")
def helm(access: Access) -> Tool:
    return Tool(access.helm, access)


@pytest.fixture(scope="session")
def release(access: Access, helm: Tool, kubectl: Tool) -> str:
    """The installed chart with its operator at work; what is there already is left as it is."""
    if not helm.ask("status", RELEASE, "--namespace", NAMESPACE).ok:
        install_chart(access)
    place = ("--namespace", NAMESPACE, "deployment", RELEASE)
    if kubectl("get", *place, "--output=jsonpath={.spec.replicas}") == "0":  # a test of faults was killed
        kubectl("scale", *place, "--replicas=1")
    kubectl("rollout", "status", *place, "--timeout=120s")
    return RELEASE


@pytest.fixture(scope="session")
def api(access: Access) -> Iterator[Api]:
    """The API server in plain HTTP, for what kubectl is too slow for."""
    with reaching(access.kubectl, {**os.environ, **access.environment()}) as found:
        yield found


@pytest.fixture(scope="module")
def namespace(kubectl: Tool) -> Iterator[str]:
    """A namespace for one test module."""
    with _restricted(kubectl) as name:
        yield name


@contextmanager
def _restricted(kubectl: Tool) -> Iterator[str]:
    """A namespace under the restricted Pod Security Standard, for as long as the block lasts."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def space(api: Api, release: str, namespace: str) -> Iterator[Space]:
    """The module's namespace, watched, with the operator at work."""
    with observed(api, namespace) as found:
        yield found


@pytest.fixture(scope="session")
def crowd(api: Api, release: str, kubectl: Tool) -> Iterator[Crowd]:
    """Twenty BenchmarkJobs at once, the examples among them, once all have ended."""
    with _restricted(kubectl) as name, observed(api, name) as space:
        yield submitted(space, kubectl)


@pytest.fixture(scope="session")
def runner_image(access: Access) -> str:
    """The runner image that the installed operator uses."""
    return access.runner_image
