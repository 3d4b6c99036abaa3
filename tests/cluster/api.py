"""The few requests that the tooling itself makes to the API server."""

import http.client
import json
import ssl
from typing import Any

from tests.cluster.certificates import Certificates
from tests.cluster.failure import ClusterError
from tests.cluster.paths import NODE_ADDRESS, NODE_NAME

TIMEOUT_SECONDS = 5.0


class Api:
    """The administrator's requests to the built cluster."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, bytes]:
        """Return status code and body; raises OSError or HTTPException when nobody answers."""
        context = ssl.create_default_context(cafile=self._certificates.certificate("ca"))
        context.load_cert_chain(self._certificates.certificate("admin"), self._certificates.key("admin"))
        connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, timeout=TIMEOUT_SECONDS, context=context)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        """Say whether the API server calls itself ready."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def node(self) -> dict[str, Any] | None:
        """Return the real node, or nothing when it is not registered."""
        status, body = self.request("GET", f"/api/v1/nodes/{NODE_NAME}")
        found: dict[str, Any] = json.loads(body)
        return found if status == 200 else None

    def node_ready(self) -> bool:
        """Say whether the real node is Ready."""
        node = self.node()
        conditions = node["status"].get("conditions", []) if node else []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def offer(self, resource: str, count: int) -> None:
        """Make the real node offer an extended resource; 0 takes it away.

        The kubelet keeps what is patched in until it restarts.
        """
        node = self.node()
        if node is None:
            raise ClusterError(f"node {NODE_NAME} is not registered", "run: python3 -m tests.cluster up")
        value = str(count) if count else None  # a merge patch deletes what is null
        patch = {"status": {"capacity": {resource: value}, "allocatable": {resource: value}}}
        path = f"/api/v1/nodes/{NODE_NAME}/status"
        status, body = self.request("PATCH", path, patch, "application/merge-patch+json")
        if status != 200:
            raise ClusterError(f"the API server refused to patch the node: {status}", body.decode(errors="replace"))
