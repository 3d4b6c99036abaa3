"""The commands of python3 -m tests.cluster."""

import argparse
import sys
from collections.abc import Sequence

from tests.cluster.built import BuiltCluster
from tests.cluster.failure import Failure
from tests.cluster.paths import cache
from tests.cluster.progress import Progress


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    options = parser.parse_args(arguments)
    cluster = BuiltCluster(cache(), Progress())
    try:
        if options.command == "up":
            cluster.up()
        elif options.command == "down":
            print(cluster.down())
        else:
            print(cluster.status())
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0
