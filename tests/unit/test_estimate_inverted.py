"""What blocks that widen and narrow hold, in bytes that can be counted by hand."""

import pytest
from tests.unit.test_estimate_sound import question

from wattmark.estimate import inverted
from wattmark.models import Architecture, architecture


def plan(**fields: object) -> Architecture:
    config = {"model_type": "efficientnet", "width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}
    read = architecture(config | fields)
    assert isinstance(read, Architecture), read
    return read


def test_the_first_halving_is_the_widest_of_all() -> None:
    # The image; what the stem gave; the block's input; that widened to six times; the same with a margin; every fourth.
    elements = 3 * 224**2 + 32 * 112**2 + 16 * 112**2 + 96 * (112**2 + 113**2 + 56**2)
    assert inverted.held(question("efficientnet-b0")) == 2 * 2 * elements


def test_a_model_without_such_blocks_holds_nothing_of_them() -> None:
    assert inverted.held(question("resnet-18")) == 0


@pytest.mark.parametrize(
    ("strides", "last"),
    [
        pytest.param([1, 2, 2, 2, 1, 2, 1], 32, id="as published"),
        pytest.param([1] * 7, 2, id="the stem alone halves"),
        pytest.param([1 << 24] * 7, 1 << 24, id="no image has more than one pixel left"),
    ],
)
def test_strides_divide_the_sides(strides: list[int], last: int) -> None:
    blocks = plan(strides=strides).inverted
    assert (blocks[0].before, blocks[-1].downscale, len(blocks)) == (2, last, 16)
