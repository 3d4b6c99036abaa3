"""How long the warm-up lasts. Pure: latencies and elapsed seconds in, an answer out."""

from dataclasses import dataclass, field

from wattmark.api.order import ResolvedMeasure
from wattmark_runner.order_statistics import TREND_SAMPLES, has_trend

LEAST_SHARE = 1 / 10  # of the window's length: a processor's clocks take their time, however short the iterations
MOST_SHARE = 1 / 2
MOST_SECONDS = 120.0
_JUDGED_FROM = TREND_SAMPLES + 1  # the first iteration loads kernels and says nothing of the others
_NEXT_LOOK = 1.25  # times as many iterations: the looks stay few, however many iterations there are


@dataclass(slots=True)
class WarmUp:
    """Goes on until latency has no trend.

    At least the plan's iterations and a tenth of the window's length; at most half of that length, or 120 s. Judged
    are the newest half of the iterations, eight at least. `steady` is None as long as there were too few to tell; where
    so few fit into the longest warm-up, it does not wait for them.
    """

    plan: ResolvedMeasure
    steady: bool | None = None
    _latencies: list[float] = field(default_factory=list)
    _total_seconds: float = 0.0
    _look_at: int = _JUDGED_FROM

    @property
    def iterations(self) -> int:
        """Iterations so far."""
        return len(self._latencies)

    @property
    def mean_seconds(self) -> float:
        """Mean latency of all iterations but the first."""
        later = self.iterations - 1
        return (self._total_seconds - self._latencies[0]) / later if later else self._total_seconds

    def expected_seconds(self, seconds: float) -> float:
        """How much longer it takes at least, `seconds` after its start."""
        missing = max(0, self.plan.warmup_iterations - self.iterations) * self.mean_seconds
        return max(missing, LEAST_SHARE * self.plan.window_seconds - seconds, 0.0)

    def ends(self, latency: float, seconds: float) -> bool:
        """Take one more iteration, which ended `seconds` after the start, and say whether it was the last."""
        self._latencies.append(latency)
        self._total_seconds += latency
        count, most = self.iterations, min(MOST_SHARE * self.plan.window_seconds, MOST_SECONDS)
        if count < self.plan.warmup_iterations or seconds < LEAST_SHARE * self.plan.window_seconds:
            return False
        if count < _JUDGED_FROM:
            return seconds + (_JUDGED_FROM - count) * self.mean_seconds > most
        if count < self._look_at and seconds < most:
            return False
        self._look_at = int(count * _NEXT_LOOK) + 1
        self.steady = not has_trend(self._latencies[1:][-max(TREND_SAMPLES, count // 2) :])
        return self.steady or seconds >= most
