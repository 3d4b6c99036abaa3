"""Reading a configuration of unknown origin: every value is checked before it is used."""

from collections.abc import Mapping
from typing import Any

LARGEST = 1 << 24  # no published size comes near; keeps products of five of them far from slow big-number arithmetic


class OddFieldError(Exception):
    """A field that cannot be used; caught by `wattmark.models.config.architecture`."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Fields:
    """Typed reading of a config.json. Several names mean the same field; the first one present is taken."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def __contains__(self, name: str) -> bool:
        return name in self._config

    def raw(self, *names: str) -> Any:
        """The first value under one of the names, None if there is none."""
        return next((self._config[name] for name in names if name in self._config), None)

    def integer(self, *names: str, default: int | None = None, low: int = 1) -> int:
        """A whole number from `low` to 2^24; a missing or null one is `default`, or an OddFieldError without one."""
        value = self.raw(*names)
        if value is None:
            if default is None:
                raise OddFieldError(names[0], "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= LARGEST:
            raise OddFieldError(names[0], f"is {value!r:.60}, not a whole number from {low} to {LARGEST}")
        return value

    def optional(self, *names: str) -> int | None:
        """Like `integer`, but a missing or null field is None."""
        return None if self.raw(*names) is None else self.integer(*names)

    def share(self, *names: str, default: float) -> float:
        """A number from 0 to 1."""
        return self.number(*names, default=default, high=1)

    def number(self, *names: str, default: float, high: float) -> float:
        """A number from 0 to `high`."""
        value = self.raw(*names)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
            raise OddFieldError(names[0], f"is {value!r:.60}, not a number from 0 to {high:g}")
        return float(value)

    def flag(self, *names: str, default: bool) -> bool:
        """True or false."""
        value = self.raw(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise OddFieldError(names[0], f"is {value!r:.60}, not true or false")
        return value

    def text(self, *names: str, default: str) -> str:
        """A string."""
        value = self.raw(*names)
        if value is None:
            return default
        if not isinstance(value, str):
            raise OddFieldError(names[0], f"is {value!r:.60}, not a string")
        return value

    def integers(self, *names: str) -> tuple[int, ...]:
        """A list of 1 to 64 whole numbers above 0."""
        value = self.raw(*names)
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= 64:
            raise OddFieldError(names[0], f"is {value!r:.60}, not a list of 1 to 64 whole numbers")
        return tuple(Fields({names[0]: item}).integer(names[0]) for item in value)

    def pair(self, *names: str, default: int | None = None) -> tuple[int, int]:
        """One number for both sides, or [height, width]."""
        value = self.raw(*names)
        if isinstance(value, list | tuple):
            sides = self.integers(*names)
            if len(sides) != 2:
                raise OddFieldError(names[0], f"has {len(sides)} sides, not 2")
            return sides[0], sides[1]
        side = self.integer(*names, default=default)
        return side, side

    def labels(self) -> int:
        """Classes of a classifier: the length of `id2label`, else `num_labels`, else 2 as in transformers."""
        names = self.raw("id2label")
        if isinstance(names, Mapping) and names:
            return len(names)
        return self.integer("num_labels", default=2)

    def must_not(self, name: str, *accepted: object) -> None:
        """Refuse a field that changes the model in a way not covered here."""
        value = self.raw(name)
        if value is not None and value is not False and value not in accepted:
            raise OddFieldError(name, f"{value!r:.60} is not covered by the closed form")


def divides(name: str, whole: int, parts: int) -> int:
    """`whole` / `parts`, or an OddFieldError that names the field."""
    if whole % parts:
        raise OddFieldError(name, f"{whole} cannot be divided into {parts} equal parts")
    return whole // parts
