"""Wattmark: will this model fit these GPUs, and what does it really do there."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("wattmark")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0"
