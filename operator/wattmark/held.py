"""What thousands of nodes and Pods have in common, held once: equal values become one and the same. Pure."""

from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import TypeVar, cast

H = TypeVar("H", bound=Hashable)
MOST = 4096  # distinct values to know again; beyond it some are held twice, and nothing else happens


@lru_cache(maxsize=MOST)
def _first(value: Hashable, beside: Hashable) -> Hashable:
    return value


def same(value: H, beside: Hashable = None) -> H:
    """The first value that was equal to this one, and that stood `beside` the same, where a part is not compared."""
    return cast("H", _first(value, beside))


def shared(counts: Mapping[str, int]) -> Mapping[str, int]:
    """One mapping, not to be changed, for all that are equal to this one."""
    return _mapping(frozenset(counts.items()))


@lru_cache(maxsize=MOST)
def _mapping(items: frozenset[tuple[str, int]]) -> Mapping[str, int]:
    return MappingProxyType(dict(items))


class Labels(Mapping[str, str]):
    """Labels of one node without a dict of its own: nodes of a cluster share nearly all keys and most values."""

    __slots__ = ("_keys", "_values")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._keys = same(tuple(map(intern, labels)))
        self._values = tuple(map(intern, labels.values()))

    def __getitem__(self, key: str) -> str:
        try:
            return self._values[self._keys.index(key)]
        except ValueError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
