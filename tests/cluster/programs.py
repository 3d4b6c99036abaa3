"""The programs of the built cluster: command lines and configuration files."""

import json
from typing import Any

from tests.cluster.certificates import Certificates
from tests.cluster.paths import (
    BRIDGE,
    CONTAINERD_SOCKET,
    ETCD,
    NODE_ADDRESS,
    NODE_NAME,
    POD_NETWORK,
    RUN,
    SERVICE_NETWORK,
    Cache,
)
from tests.cluster.process import Program

PAUSE_IMAGE = "localhost/wattmark-pause:1"
ETCD_HEALTH_PORT = 12381
ISSUER = "https://kubernetes.default.svc.cluster.local"


class Programs:
    """Makes each program's command line; `write` puts the files that they name in place."""

    def __init__(self, cache: Cache, certificates: Certificates) -> None:
        self._cache = cache
        self._certificates = certificates
        self._configs = cache.state / "config"

    def write(self) -> None:
        """Write every configuration file."""
        files = {
            "containerd.toml": containerd_config(self._cache),
            "cni/10-wattmark.conflist": json.dumps(cni_config(), indent=1),
            "kubelet.json": json.dumps(kubelet_config(self._cache, self._certificates), indent=1),
            "kube-proxy.json": json.dumps(kube_proxy_config(self._certificates), indent=1),
        }
        for name, text in files.items():
            path = self._configs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def etcd(self) -> Program:
        """Return etcd: loopback only, with client certificates, since any user of the machine reaches loopback."""
        peer = "http://127.0.0.1:12380"
        return self._program(
            "etcd",
            "--name=wattmark",
            f"--data-dir={self._cache.state / 'etcd'}",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=wattmark={peer}",
            f"--listen-metrics-urls=http://127.0.0.1:{ETCD_HEALTH_PORT}",
            "--client-cert-auth",
            f"--trusted-ca-file={self._certificates.certificate('ca')}",
            f"--cert-file={self._certificates.certificate('server')}",
            f"--key-file={self._certificates.key('server')}",
            "--auto-compaction-retention=5m",
            "--unsafe-no-fsync",  # a test cluster: a power cut may cost it its state, a killed process does not
        )

    def api_server(self) -> Program:
        """Return the API server, bound to the bridge: reached from this machine and its Pods only."""
        ours = self._certificates
        return self._program(
            "kube-apiserver",
            f"--bind-address={NODE_ADDRESS}",
            f"--advertise-address={NODE_ADDRESS}",
            "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--etcd-servers={ETCD}",
            f"--etcd-cafile={ours.certificate('ca')}",
            f"--etcd-certfile={ours.certificate('etcd-client')}",
            f"--etcd-keyfile={ours.key('etcd-client')}",
            f"--client-ca-file={ours.certificate('ca')}",
            f"--tls-cert-file={ours.certificate('server')}",
            f"--tls-private-key-file={ours.key('server')}",
            f"--kubelet-certificate-authority={ours.certificate('ca')}",
            f"--kubelet-client-certificate={ours.certificate('kubelet-client')}",
            f"--kubelet-client-key={ours.key('kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",  # else `kubectl logs` looks the node up in DNS
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={ours.key('service-accounts-public')}",
            f"--service-account-signing-key-file={ours.key('service-accounts')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=false",
            "--allow-privileged=true",
        )

    def controller_manager(self) -> Program:
        """Return the controller manager, without the controllers that need a cloud."""
        ours = self._certificates
        return self._program(
            "kube-controller-manager",
            f"--kubeconfig={ours.kubeconfig('kube-controller-manager')}",
            f"--authentication-kubeconfig={ours.kubeconfig('kube-controller-manager')}",
            f"--authorization-kubeconfig={ours.kubeconfig('kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            "--use-service-account-credentials",
            "--controllers=*,-nodeipam,-cloud-node-lifecycle-controller",
            f"--root-ca-file={ours.certificate('ca')}",
            f"--service-account-private-key-file={ours.key('service-accounts')}",
            "--leader-elect=false",
        )

    def scheduler(self) -> Program:
        """Return the scheduler."""
        kubeconfig = self._certificates.kubeconfig("kube-scheduler")
        return self._program(
            "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        )

    def containerd(self) -> Program:
        """Return the container runtime."""
        return self._program("containerd", "--config", str(self._configs / "containerd.toml"))

    def kubelet(self) -> Program:
        """Return the kubelet; its node address is the bridge's."""
        return self._program(
            "kubelet",
            f"--config={self._configs / 'kubelet.json'}",
            f"--kubeconfig={self._certificates.kubeconfig('kubelet')}",
            f"--root-dir={self._cache.state / 'kubelet'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE_ADDRESS}",
        )

    def kube_proxy(self) -> Program:
        """Return kube-proxy, by which Pods reach the addresses of Services."""
        return self._program("kube-proxy", f"--config={self._configs / 'kube-proxy.json'}")

    def _program(self, name: str, *arguments: str) -> Program:
        # Nothing of the caller's environment but where certificates and proxies of the machine are: the same cluster
        # whoever starts it.
        env = {"PATH": self._cache.path_variable(), "HOME": str(self._cache.state)}
        return Program(name, [self._cache.tool(name), *arguments], env)


def containerd_config(cache: Cache) -> str:
    """Return containerd's configuration; everything it can be told to write lies in our folders."""
    return f"""\
version = 3
root = "{cache.containerd}"
state = "{RUN}/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
discard_unpacked_layers = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE no process may lower its OOM score, and every sandbox would fail.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
enable_cdi = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{cache.binaries("containers")}"]
conf_dir = "{cache.state}/config/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
Root = "{RUN}/runc"
SystemdCgroup = false
"""


def cni_config() -> dict[str, Any]:
    """Return the Pods' network: one bridge, addresses from one range, masquerading by nftables."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": True,
        "ipMasqBackend": "nftables",
        "ipam": {
            "type": "host-local",
            "dataDir": str(RUN / "addresses"),
            "ranges": [[{"subnet": POD_NETWORK, "gateway": NODE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "1.0.0", "name": "wattmark", "plugins": [bridge]}


def kubelet_config(cache: Cache, certificates: Certificates) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": certificates.certificate("ca")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": certificates.certificate("server"),
        "tlsPrivateKeyFile": certificates.key("server"),
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "2Gi", "imagefs.available": "2Gi"},
        "imageGCHighThresholdPercent": 100,  # our images come from no registry: collected, they would not come back
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
        "maxPods": 110,
        "oomScoreAdj": 0,
        "podLogsDir": str(cache.state / "pod-logs"),
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "volumePluginDir": str(cache.state / "volume-plugins"),
    }


def kube_proxy_config(certificates: Certificates) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": certificates.kubeconfig("kube-proxy")},
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NODE_NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    }
