"""The need that comes of a lesson: the deepest source of each figure, in order, one containing the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.answers import BytesEstimate, Component, ComponentName, Need, Phase, Source
from wattmark.estimate.answer import Reckoned, Sizes
from wattmark.estimate.calibration import Deviation
from wattmark.estimate.interval import Interval
from wattmark.evidence import Lesson, deepest, informed, must_be_offered
from wattmark.evidence.run import Figure

GIB = 1 << 30
CONTAINED = ("allocated_bytes", "reserved_bytes", "process_bytes", "device_bytes")


def estimate(low: float, likely: float, high: float, source: Source = Source.CLOSED_FORM) -> BytesEstimate:
    return BytesEstimate(low=int(low * GIB), likely=int(likely * GIB), high=int(high * GIB), source=source)


def need(source: Source = Source.CLOSED_FORM) -> Need:
    weights = Component(name=ComponentName.WEIGHTS, low_bytes=0, likely_bytes=0, high_bytes=0, formula="parameters")
    return Need(
        peak_phase=Phase.FORWARD,
        allocated_bytes=estimate(9, 10, 12, source),
        reserved_bytes=estimate(9, 11, 13, source),
        process_bytes=estimate(10, 12, 14, source),
        device_bytes=estimate(11, 13, 15, source),
        required_bytes=estimate(10.5, 12, 14, source),
        host_bytes=estimate(1, 2, 3),
        components=[weights],
    )


def figures(**known: object) -> tuple[object, ...]:
    return tuple(known.get(figure.name.lower()) for figure in Figure)


def lesson(**known: dict[str, object]) -> Lesson:
    return Lesson(**{name: figures(**by_figure) for name, by_figure in known.items()})  # type: ignore[arg-type]


SURE, UP = Interval(14 * GIB, 14 * GIB, 15 * GIB), Deviation(0.0, 1.6448536269514722, 2 * 1.6448536269514722)
DEVICE = [
    pytest.param(lesson(), Source.CLOSED_FORM, estimate(11, 13, 15), Source.CLOSED_FORM, id="nothing learnt"),
    pytest.param(
        lesson(deviations={"device": UP}), Source.CLOSED_FORM, estimate(13, 15, 17), Source.CALIBRATED, id="the like"
    ),
    pytest.param(
        lesson(deviations={"device": UP}), Source.TRACED, estimate(11, 13, 15), Source.TRACED, id="no trace is moved"
    ),
    pytest.param(
        lesson(measured={"device": SURE}, deviations={"device": UP}),
        Source.TRACED,
        estimate(14, 14, 15),
        Source.MEASURED,
        id="the same outweighs all",
    ),
]


@pytest.mark.parametrize(("learnt", "before", "expected", "source"), DEVICE)
def test_the_deepest_source_speaks(learnt: Lesson, before: Source, expected: BytesEstimate, source: Source) -> None:
    found = informed(need(before), learnt).device_bytes
    assert found == expected.model_copy(update={"source": source})


FLOORS = [
    pytest.param(10, (11, 13, 15), Source.CLOSED_FORM, id="less than was thought of anyhow"),
    pytest.param(12, (12, 13, 16), Source.MEASURED, id="within the interval"),
    pytest.param(20, (20, 20, 24), Source.MEASURED, id="more than was thought of"),
]


@pytest.mark.parametrize(("had", "gib", "source"), FLOORS)
def test_what_ran_out_of_memory_needs_more_than_it_had(had: int, gib: tuple[int, ...], source: Source) -> None:
    found = informed(need(), lesson(too_little={"device": had * GIB})).device_bytes
    assert found is not None and found.source is source
    assert [round(size / GIB, 6) for size in (found.low, found.likely, found.high)] == list(gib)
    assert found.low > had * GIB


def test_a_measured_figure_bounds_what_it_contains_and_is_in_what_contains_it() -> None:
    found = informed(need(), lesson(measured={"reserved": Interval(8 * GIB, 8 * GIB, 15 * GIB)}))
    assert found.allocated_bytes.likely == 8 * GIB and found.allocated_bytes.source is Source.CLOSED_FORM
    assert found.reserved_bytes is not None and found.reserved_bytes.likely == 8 * GIB
    assert found.process_bytes is not None and found.process_bytes.high == 15 * GIB


REQUIRED = [
    pytest.param(lesson(), (10.5, 12, 14), Source.CLOSED_FORM, id="nothing learnt"),
    pytest.param(
        lesson(measured={"allocated": Interval(11 * GIB, 11 * GIB, 12 * GIB)}), (11, 13, 14), Source.MEASURED,
        id="it moves with what is allocated, and is within the device's still",
    ),
    pytest.param(
        lesson(measured={"reserved": Interval(11 * GIB, 11 * GIB, 11 * GIB), "device": Interval(*3 * [14 * GIB])}),
        (11.5, 13, 14), Source.MEASURED, id="and with what is outside of PyTorch; a device that held it was enough",
    ),
    pytest.param(
        lesson(measured={"device": Interval(*3 * [11 * GIB])}), (9, 10, 11), Source.MEASURED, id="a device that held it"
    ),
    pytest.param(lesson(too_little={"device": 13 * GIB}), (13, 13, 16.5), Source.MEASURED, id="one that did not"),
    pytest.param(lesson(too_little={"device": 9 * GIB}), (10.5, 12, 14), Source.CLOSED_FORM, id="too little anyhow"),
]  # fmt: skip


@pytest.mark.parametrize(("learnt", "gib", "source"), REQUIRED)
def test_what_a_gpu_must_offer_follows_from_what_was_measured(
    learnt: Lesson, gib: tuple[float, ...], source: Source
) -> None:
    found = informed(need(), learnt).required_bytes
    assert found is not None and found.source is source
    assert [round(size / GIB, 6) for size in (found.low, found.likely, found.high)] == list(gib)


OF_THE_SAME = [
    pytest.param(Lesson(same=2, alike=3), Lesson(same=2), id="runs of the same and of the like"),
    pytest.param(
        Lesson(too_little=(1, None, None, None, None), alike=3), Lesson(too_little=(1, *4 * [None])), id="it ran out"
    ),
    pytest.param(Lesson(alike=3), Lesson(), id="runs of the like alone"),
]


@pytest.mark.parametrize(("learnt", "left"), OF_THE_SAME)
def test_what_the_same_question_taught_is_told_apart(learnt: Lesson, left: Lesson) -> None:
    found = learnt.of_the_same
    assert (found, found.same, found.alike) == (left, left.same, 0)


def test_components_stay_those_of_the_formulas() -> None:
    assert informed(need(), lesson(measured={"device": SURE})).components == need().components


SIZE = st.integers(0, 1 << 50)
INTERVALS = st.tuples(SIZE, SIZE, SIZE).map(lambda sizes: Interval(*sorted(sizes)))
DEVIATIONS = st.tuples(*[st.floats(-30, 30)] * 3).map(lambda points: Deviation(*sorted(points)))


def by_figure(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.tuples(*[st.none() | values] * len(Figure))


@given(by_figure(INTERVALS), by_figure(DEVIATIONS), by_figure(SIZE))
def test_whatever_is_learnt_ends_stay_in_order_and_figures_nested(measured, deviations, too_little) -> None:  # type: ignore[no-untyped-def]
    found = informed(need(), Lesson(measured, deviations, too_little))
    sizes = [getattr(found, name) for name in (*CONTAINED, "host_bytes")]
    assert all(size.low <= size.likely <= size.high for size in sizes)


@given(by_figure(DEVIATIONS))
def test_calibrated_figures_contain_one_another(deviations) -> None:  # type: ignore[no-untyped-def]
    found = informed(need(), Lesson(deviations=deviations))
    sizes = [getattr(found, name) for name in CONTAINED]
    for end in ("low", "likely", "high"):
        ends = [getattr(size, end) for size in sizes]
        assert ends == sorted(ends)


PARTS = st.lists(INTERVALS, min_size=6, max_size=6)


@given(PARTS, st.booleans(), st.sampled_from([Source.CLOSED_FORM, Source.TRACED]), by_figure(INTERVALS),
       by_figure(DEVIATIONS), by_figure(SIZE))  # fmt: skip
def test_a_search_is_told_what_the_need_tells(parts, on_gpu, source, measured, deviations, too_little) -> None:  # type: ignore[no-untyped-def]
    one, rounding, cache, context, driver, host = parts
    reserved, required = one + rounding + cache, one + rounding + context + driver
    process = reserved + context
    sizes = Sizes(one, host, reserved, process, process + driver, required) if on_gpu else Sizes(one, host)
    found, learnt = Reckoned(sizes, source, Phase.FORWARD, (), ()), Lesson(measured, deviations, too_little)
    for lesson in (learnt, Lesson()):
        told = informed(found.told(), lesson)
        estimate = told.required_bytes if on_gpu else told.host_bytes
        assert estimate is not None and must_be_offered(found, lesson) == estimate.high


def test_depth() -> None:
    assert deepest(Source.TRACED, Source.CALIBRATED, Source.CLOSED_FORM) is Source.CALIBRATED
