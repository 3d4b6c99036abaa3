"""The cluster's certificates and kubeconfigs, by the openssl command: Python's library makes no certificates."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.paths import API_SERVER, NODE_ADDRESS, NODE_NAME, SERVICE_ADDRESS
from tests.cluster.shell import run

DAYS = "3650"
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
SERVER_NAMES = (
    f"IP:{NODE_ADDRESS},IP:127.0.0.1,IP:{SERVICE_ADDRESS},DNS:localhost,DNS:{NODE_NAME},"
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
)
# Name of the file -> subject. Groups (O) are what RBAC's built-in bindings and the Node authorizer look at.
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE_NAME}",
    "kubelet-client": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "kwok": "/O=system:masters/CN=kwok",
    "etcd-client": "/CN=etcd-client",
}


@dataclass(frozen=True)
class Certificates:
    """The folder of keys and certificates."""

    folder: Path

    def certificate(self, name: str) -> str:
        """Return the path of a certificate."""
        return str(self.folder / f"{name}.crt")

    def key(self, name: str) -> str:
        """Return the path of a private key."""
        return str(self.folder / f"{name}.key")

    def kubeconfig(self, name: str) -> str:
        """Return the path of a client's kubeconfig."""
        return str(self.folder / f"{name}.kubeconfig")

    def make(self) -> None:
        """Make everything, unless it is all there."""
        done = self.folder / "complete"
        if done.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # openssl's own default file marks every self-made certificate as an authority.
        (self.folder / "openssl.cnf").write_text("[req]\ndistinguished_name = names\n[names]\n")
        self._issue("ca", "/CN=wattmark-test-ca", ["basicConstraints=critical,CA:TRUE"], signer=None)
        usage = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
        self._issue("server", f"/CN={NODE_NAME}", [*usage, f"subjectAltName={SERVER_NAMES}"], signer="ca")
        for name, subject in CLIENTS.items():
            self._issue(name, subject, usage, signer="ca")
            Path(self.kubeconfig(name)).write_text(self._render(name))
        keys = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run(["openssl", "genpkey", *keys, "-out", self.key("service-accounts")])
        run(
            [
                "openssl",
                "pkey",
                "-in",
                self.key("service-accounts"),
                "-pubout",
                "-out",
                self.key("service-accounts-public"),
            ]
        )
        done.touch()

    def _issue(self, name: str, subject: str, extensions: list[str], signer: str | None) -> None:
        signed_by = ["-CA", self.certificate(signer), "-CAkey", self.key(signer)] if signer else []
        added = [word for extension in extensions for word in ("-addext", extension)]
        files = ["-keyout", self.key(name), "-out", self.certificate(name)]
        config = ["-config", str(self.folder / "openssl.cnf")]
        run(["openssl", "req", "-x509", *config, *EC, *signed_by, "-days", DAYS, "-subj", subject, *added, *files])

    def _render(self, name: str) -> str:
        return kubeconfig(
            Path(self.certificate("ca")).read_bytes(),
            Path(self.certificate(name)).read_bytes(),
            Path(self.key(name)).read_bytes(),
        )


def kubeconfig(authority: bytes, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig, as JSON (which is YAML), that holds its certificates itself."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    cluster = {"server": API_SERVER, "certificate-authority-data": encoded(authority)}
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "wattmark", "cluster": cluster}],
        "users": [{"name": "wattmark", "user": user}],
        "contexts": [{"name": "wattmark", "context": {"cluster": "wattmark", "user": "wattmark"}}],
        "current-context": "wattmark",
    }
    return json.dumps(config, indent=1) + "\n"
