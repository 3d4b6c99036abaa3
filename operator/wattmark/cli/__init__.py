"""The command `wattmark`: the same answers and the same status as the operator's, without a cluster."""

import sys

_EXTRA = ("yaml", "rich")


def main() -> int:
    """`wattmark`; the exit code."""
    return _started("main")


def kubectl() -> int:
    """`kubectl wattmark`: kubectl runs what is called kubectl-wattmark."""
    return _started("kubectl")


def _started(name: str) -> int:
    try:
        from wattmark.cli import command
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        print(
            f"wattmark: the package {missing.name} is missing; the command line needs the extra cli: "
            "pip install 'wattmark[cli]'",
            file=sys.stderr,
        )
        return 2
    return command.kubectl() if name == "kubectl" else command.main()


__all__ = ["kubectl", "main"]
