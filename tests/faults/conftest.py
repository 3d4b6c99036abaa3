"""What the tests of faults share: an operator of their own, in place of the installed one, behind a spoiling proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.commands import make, parser
from tests.cluster.failure import ClusterError
from tests.cluster.install import NAMESPACE, RELEASE, install_chart
from tests.cluster.paths import cache
from tests.cluster.progress import Progress
from tests.cluster.targets import Access
from tests.e2e.conftest import OPERATOR_USER, Tool, access, answering, api, helm, kubectl, namespace, space
from tests.e2e.reach import Api
from tests.faults.images import provide
from tests.faults.operators import Operator
from tests.faults.proxy import Proxy

PLACE = ("--namespace", NAMESPACE)

__all__ = ["access", "api", "helm", "kubectl", "namespace", "space"]


@pytest.fixture(scope="session")
def release(access: Access, helm: Tool, kubectl: Tool) -> str:
    """The installed chart without its operator: there is one writer to an object. It comes back after the last test."""
    if not helm.ask("status", RELEASE, *PLACE).ok:
        install_chart(access)
    kubectl("scale", "deployment", RELEASE, "--replicas=0", *PLACE)
    kubectl("wait", "pod", "--for=delete", "--timeout=60s", f"--selector=app.kubernetes.io/instance={RELEASE}", *PLACE)
    return RELEASE


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Bring the operator back, once the workers of a parallel run have all ended."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    found = answering(make(parser().parse_args(["up"]), cache(), Progress()))
    kubectl = None if found is None else Tool(found.kubectl, found)
    if kubectl and kubectl.ask("get", "deployment", RELEASE, *PLACE).ok:
        kubectl("scale", "deployment", RELEASE, "--replicas=1", *PLACE)
        kubectl("rollout", "status", "deployment", RELEASE, "--timeout=120s", *PLACE)


@pytest.fixture(scope="session")
def standin(access: Access) -> str:
    """The image of the stand-in runner."""
    try:
        return provide(make(parser().parse_args(["up"]), cache(), Progress()))
    except ClusterError as objection:
        pytest.skip(str(objection))


@pytest.fixture(scope="module")
def proxy(api: Api) -> Iterator[Proxy]:
    with Proxy(api.port, OPERATOR_USER) as found:
        yield found


@pytest.fixture(scope="module")
def operator(
    release: str, proxy: Proxy, namespace: str, standin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator that serves the module's namespace and whose runs are stand-ins; it is started by the tests."""
    folder: Path = tmp_path_factory.mktemp("operator")
    found = Operator(folder, proxy.port, namespace, standin)
    proxy.kill = found.kill
    yield found
    found.stop()
