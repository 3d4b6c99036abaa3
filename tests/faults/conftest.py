"""What the tests of faults share: an operator of their own, in place of the installed one, behind a spoiling proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.commands import make, parser
from tests.cluster.failure import ClusterError
from tests.cluster.install import NAMESPACE, RELEASE
from tests.cluster.paths import cache
from tests.cluster.progress import Progress
from tests.cluster.targets import Access
from tests.e2e.conftest import OPERATOR_USER, Tool, access, api, helm, kubectl, namespace, release, space
from tests.e2e.reach import Api
from tests.faults.images import provide
from tests.faults.operators import Operator
from tests.faults.proxy import Proxy

__all__ = ["access", "api", "helm", "kubectl", "namespace", "release", "space"]


@pytest.fixture(scope="session")
def away(release: str, kubectl: Tool) -> Iterator[None]:
    """The installed operator is gone meanwhile: there is one writer to an object."""
    place = ("--namespace", NAMESPACE)
    kubectl("scale", "deployment", RELEASE, "--replicas=0", *place)
    kubectl("wait", "pod", "--for=delete", "--timeout=60s", f"--selector=app.kubernetes.io/instance={RELEASE}", *place)
    yield
    kubectl("scale", "deployment", RELEASE, "--replicas=1", *place)
    kubectl("rollout", "status", "deployment", RELEASE, "--timeout=120s", *place)


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
    away: None, proxy: Proxy, namespace: str, standin: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator that serves the module's namespace and whose runs are stand-ins; it is started by the tests."""
    folder: Path = tmp_path_factory.mktemp("operator")
    found = Operator(folder, proxy.port, namespace, standin)
    proxy.kill = found.kill
    yield found
    found.stop()
