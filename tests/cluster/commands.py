"""The commands of python3 -m tests.cluster."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import demo, install, targets
from tests.cluster.current import CurrentCluster
from tests.cluster.failure import ClusterError
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalCluster
from tests.cluster.paths import RUN, Cache, cache
from tests.cluster.progress import Progress


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0, or 1 with the reason on standard error."""
    options = parser().parse_args(arguments)
    ours = cache()
    try:
        run(options, ours)
    except ClusterError as failure:
        print(f"\nerror: {failure}\nlogs: {ours.logs}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\ninterrupted; the next start goes on from here, `make demo-down` takes everything away", file=sys.stderr
        )
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    whole = argparse.ArgumentParser(
        prog="python3 -m tests.cluster",
        description="A real cluster for tests and the demo. CLUSTER=current|kind|built chooses which; without it, kind "
        "where Docker runs, else one that is built here. WATTMARK_CACHE names the folder for everything that is kept.",
    )
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="bring everything up, run the examples, show the figures")
    commands.add_parser("up", help="bring up or heal the cluster, with images, simulated nodes, but without the chart")
    commands.add_parser("images", help="rebuild the images whose sources changed (built cluster)")
    commands.add_parser("install", help="install or upgrade the chart with the images that are there")
    commands.add_parser("down", help="take away everything but the cache")
    commands.add_parser("status", help="say which programs run (built cluster)")
    commands.add_parser("env", help="print shell lines: KUBECONFIG, and PATH with kubectl and helm")
    offer = commands.add_parser("offer-gpus", help="make the real node offer GPUs; 0 takes them away (built cluster)")
    offer.add_argument("count", type=int)
    offer.add_argument("--resource", default="nvidia.com/gpu")
    stages = commands.add_parser("stages", help="run kwok with more stages; with none, as usual (built cluster)")
    stages.add_argument("file", type=Path, nargs="*")
    return whole


def run(options: argparse.Namespace, ours: Cache) -> None:
    """Run the chosen command."""
    progress = Progress()
    target = make(options, ours, progress)
    match options.command:
        case "demo":
            demo.demo(target, progress)
        case "up":
            access = target.prepare()
            install.add_fleet(access)
            print(f"export KUBECONFIG={access.kubeconfig or ''}")
        case "install":
            install.install_chart(target.access())
        case "down":
            if isinstance(target, CurrentCluster):
                install.remove(target.without_images())
            print("\n".join(target.down()))
        case "env":
            print(environment_lines(target.access(), ours))
        case _:
            built_only(options, target)


def built_only(options: argparse.Namespace, target: targets.Target) -> None:
    """Run a command that only the built cluster knows."""
    if not isinstance(target, LocalCluster):
        raise ClusterError(f"{options.command} is for the built cluster", "CLUSTER=built")
    match options.command:
        case "images":
            target.images()
        case "status":
            for name, alive in target.cluster.status().items():
                print(f"{name}: {'runs' if alive else 'dead'}")
        case "offer-gpus":
            target.cluster.api.offer(options.resource, options.count)
        case _:
            target.cluster.simulate([path.resolve() for path in options.file])


def chosen(ours: Cache, command: str) -> str:
    """Return which cluster to use; `down` takes the built one where it is there, even if Docker came since."""
    built_is_there = RUN.exists() or (ours.state / "etcd").exists()
    if command == "down" and built_is_there and not os.environ.get("CLUSTER"):
        return targets.BUILT
    return targets.chosen()


def make(options: argparse.Namespace, ours: Cache, progress: Progress) -> targets.Target:
    """Return the target to use on this machine."""
    match chosen(ours, options.command):
        case targets.CURRENT:
            return CurrentCluster(ours)
        case targets.KIND:
            return KindCluster(ours, progress)
        case _:
            return LocalCluster(ours, progress)


def environment_lines(access: targets.Access, ours: Cache) -> str:
    """Return shell lines that make kubectl and helm work."""
    lines = [f"export {name}={value}" for name, value in access.environment().items()]
    return "\n".join([*lines, f"export PATH={ours.binaries('kubernetes')}:$PATH"])
