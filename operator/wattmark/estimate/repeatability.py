"""How far two runs of the very same question lie apart, and the interval that runs of it leave for the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

from wattmark.estimate.interval import MIB, Interval


@dataclass(frozen=True, slots=True)
class Margin:
    """What two runs of the same differ by at most, nine times of ten: a share of the size, and bytes beside it."""

    share: float
    size: int


# By figure. PyTorch's allocator is deterministic: the same sequence of allocations has the same peak, and what may
# change it is a library that chooses another algorithm, and in a backward pass the order in which two threads free. No
# run of ours on a GPU was repeated yet: these are allowances, each for what is named. Host memory was measured: of six
# runs each of BERT and ResNet on a CPU none differed from another by more than 2 %, but for two on a machine that was
# short of memory and took back pages of the program's files: they held 10 and 28 % less.
MARGINS: Mapping[str, Margin] = {
    "ALLOCATED": Margin(0.005, 0),
    "RESERVED": Margin(0.005, 20 * MIB),  # one more or less of the allocator's larger segments
    "PROCESS": Margin(0.005, 52 * MIB),  # and the context of another driver: within 2 MiB over torch 2.4 to 2.6 on A100
    "DEVICE": Margin(0.005, 84 * MIB),  # and what else reads the GPU, such as an exporter of metrics
    "HOST": Margin(0.05, 8 * MIB),
}


def around(sizes: Sequence[int], margin: Margin) -> Interval:
    """Where the next run of the same lies, after one or more: as far around each of them as two differ."""
    low, high = min(sizes), max(sizes)
    return Interval(
        max(0, low - int(low * margin.share) - margin.size),
        median_low(sizes),
        high + int(high * margin.share) + margin.size,
    )
