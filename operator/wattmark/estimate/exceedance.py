"""How likely a need is above what is offered, from its interval alone."""

from math import erfc, sqrt

from wattmark.api.answers import BytesEstimate
from wattmark.estimate.interval import Z_95


def exceedance(need: BytesEstimate, offered_bytes: int) -> float:
    """Probability, 0 to 1, that the truth is above `offered_bytes`.

    The likely value is taken for the median, `low` and `high` for the 5 and 95 percent points, with the half of a
    normal distribution on either side, each of its own width (a two-piece normal, joined at the median). That is what
    coverage of nine cases in ten says; nothing more is known of the tails.
    """
    above = offered_bytes - need.likely
    width = (need.high - need.likely if above >= 0 else need.likely - need.low) / Z_95
    if width == 0:
        return 0.0 if above >= 0 else 1.0
    return erfc(above / width / sqrt(2)) / 2
