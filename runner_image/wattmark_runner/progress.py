"""How far the run is, told once per interval from a thread of its own: a timed iteration prints nothing."""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from wattmark.api.benchmarkjob import Progress, ProgressPhase
from wattmark.api.order import ResolvedMeasure

Tell = Callable[[Progress], None]


class Reporter:
    """Tells the newest state at the start, then every `interval_seconds`, from a thread, until the context ends.

    The measuring thread only stores a tuple per iteration. The share done is elapsed / (elapsed + expected) time and
    never goes back; before the first iteration nothing is expected, and the share is 0.
    """

    def __init__(self, tell: Tell | None, interval_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._tell = tell
        self._interval = interval_seconds
        self._clock = clock
        self._start = clock()
        self._state: tuple[ProgressPhase, float | None, float] = (ProgressPhase.LOADING, None, self._start)
        self._percent = 0
        self._ended = Event()
        self._thread = Thread(target=self._work, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._tell:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._tell:
            self._thread.join(timeout=1)  # a callback that hangs must not hold the result back

    def iterated(self, phase: ProgressPhase, expected_seconds: float) -> None:
        """One more iteration is done, and the rest of the run is expected to take this long."""
        self._state = phase, expected_seconds, self._clock()

    def current(self) -> Progress:
        """The state as of now."""
        phase, expected, since = self._state
        now = self._clock()
        if expected is None:
            return Progress(phase=phase, percent=self._percent)
        remaining = max(0.0, expected - (now - since))
        elapsed = now - self._start
        share = int(100 * elapsed / (elapsed + remaining)) if elapsed > 0 else 0
        self._percent = max(self._percent, min(99, share))  # 100 is the report's to say
        return Progress(phase=phase, percent=self._percent, remaining_seconds=round(remaining, 1))

    def _work(self) -> None:
        assert self._tell is not None  # __enter__ starts no thread without it
        while True:
            self._tell(self.current())
            if self._ended.wait(self._interval):
                return


def expected_seconds(
    plan: ResolvedMeasure, mean_seconds: float, warmup_seconds: float, window_seconds: float, done: int
) -> float:
    """Seconds that warm-up and window still need, at `mean_seconds` per iteration.

    `warmup_seconds` are those that the warm-up still takes, `window_seconds` and `done` are how long the window is open
    and how many iterations it holds.
    """
    window = max(plan.window_seconds - window_seconds, (plan.min_iterations - done) * mean_seconds, 0.0)
    return warmup_seconds + window
