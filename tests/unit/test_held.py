"""What is held once, and what may not be mistaken for the same."""

from wattmark.held import Labels, same, shared

LABELS = {"zone": "a", "kubernetes.io/hostname": "n1"}


def a_tuple() -> tuple[str, ...]:
    """Equal each time, and each time another object."""
    return tuple("ab")


def test_equal_values_become_one() -> None:
    assert a_tuple() is not a_tuple()
    assert same(a_tuple()) is same(a_tuple())


def test_equal_counts_become_one() -> None:
    assert shared({"nvidia.com/gpu": 1}) is shared({"nvidia.com/gpu": 1})
    assert shared({"nvidia.com/gpu": 1}) == {"nvidia.com/gpu": 1}


def test_what_stands_beside_keeps_equal_values_apart() -> None:
    same(a_tuple(), "from a label")
    other = a_tuple()
    assert same(other, "from a table") is other


def test_labels_read_like_the_mapping_they_hold() -> None:
    labels = Labels(LABELS)
    assert labels == LABELS
    assert dict(labels) == LABELS
    assert labels.get("zone") == "a"
    assert labels.get("other") is None
    assert labels != Labels({**LABELS, "zone": "b"})
