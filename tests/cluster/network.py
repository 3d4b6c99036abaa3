"""The bridge that Pods hang on, and everything of the kernel's that has to be put back."""

import contextlib
import ipaddress
import json
from pathlib import Path

from tests.cluster.failure import ClusterError
from tests.cluster.paths import BRIDGE, NODE_ADDRESS, POD_NETWORK
from tests.cluster.shell import run, succeeds

# What kubelet, kube-proxy and the CNI plugin change.
SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("inet", "cni_plugins_masquerade"))


def record_sysctls(record: Path, proc: Path = Path("/proc/sys")) -> None:
    """Keep the values from before the cluster; a second call, on a half-dead cluster, keeps the first record."""
    if record.exists():
        return
    values = {}
    for name in SYSCTLS:
        with contextlib.suppress(OSError):
            values[name] = (proc / name).read_text().strip()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(values))


def restore_sysctls(record: Path, proc: Path = Path("/proc/sys")) -> list[str]:
    """Put recorded values back where they differ, and return the names of what was changed."""
    if not record.exists():
        return []
    changed = []
    for name, value in json.loads(record.read_text()).items():
        with contextlib.suppress(OSError):
            if (proc / name).read_text().strip() != value:
                (proc / name).write_text(value)
                changed.append(name.replace("/", "."))
    record.unlink()
    return changed


def make_bridge() -> None:
    """Make the bridge before the kubelet starts: its address is the node's."""
    if not succeeds(["ip", "link", "show", BRIDGE]):
        refuse_taken_network()
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    prefix = POD_NETWORK.rpartition("/")[2]
    run(["ip", "address", "replace", f"{NODE_ADDRESS}/{prefix}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def refuse_taken_network() -> None:
    """Raise ClusterError when an interface of the machine already has an address in the Pods' network."""
    wanted = ipaddress.ip_network(POD_NETWORK)
    for link in json.loads(run(["ip", "-json", "address", "show"])):
        for address in link.get("addr_info", []):
            if ipaddress.ip_address(address["local"]) in wanted:
                raise ClusterError(
                    f"{link['ifname']} already has the address {address['local']} in {POD_NETWORK}",
                    "another cluster seems to run here: use it with CLUSTER=current, or stop it first",
                )


def remove() -> None:
    """Delete the bridge, the interfaces on it, and the firewall tables."""
    if succeeds(["ip", "link", "show", BRIDGE]):
        for link in json.loads(run(["ip", "-json", "link", "show", "master", BRIDGE])):
            succeeds(["ip", "link", "delete", link["ifname"]])
        run(["ip", "link", "delete", BRIDGE])
    for family, table in TABLES:
        succeeds(["nft", "delete", "table", family, table])
