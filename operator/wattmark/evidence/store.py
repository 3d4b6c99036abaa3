"""The finished runs that are held, by object, and who may learn from which."""

from collections.abc import Iterable

from wattmark.evidence.experience import NO_EXPERIENCE, Experience
from wattmark.evidence.run import Run
from wattmark.identity import Key


class Runs:
    """Runs by the BenchmarkJob that holds them. A namespace learns from its own and from those that are `shared`."""

    def __init__(self, shared: Iterable[str] = ()) -> None:
        self.shared = frozenset(shared)
        self._held: dict[str, dict[Key, Run]] = {}
        self._experiences: dict[str, Experience] = {}

    def put(self, key: Key, run: Run | None) -> bool:
        """Hold what this object's run says, None for nothing; whether that is news."""
        held = self._held.setdefault(key.namespace, {})
        if held.get(key) == run:
            return False
        if run is None:
            del held[key]
        else:
            held[key] = run
        if key.namespace in self.shared:
            self._experiences.clear()
        else:
            self._experiences.pop(key.namespace, None)
        return True

    def experience(self, namespace: str) -> Experience:
        """All that this namespace may learn from."""
        if namespace not in self._experiences:
            sources = {namespace, *self.shared}
            runs = [run for source in sorted(sources) for run in self._held.get(source, {}).values()]
            self._experiences[namespace] = Experience(runs) if runs else NO_EXPERIENCE
        return self._experiences[namespace]
