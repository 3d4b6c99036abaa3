"""Operations on a tape: what is saved for the way back, what comes and goes on it, and what stays."""

from collections.abc import Callable

import pytest

from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.allocator import Allocator
from wattmark.estimate.simulation.tape import Places, Program, Tape, Value

SIZE = 4 * MIB


def held(program: Program) -> tuple[int, int]:
    """Tensors of one size that are there at the end, and at most."""
    now = most = 0
    for _, size in program:
        now += 1 if size else -1
        most = max(most, now)
    return now, most


@pytest.mark.parametrize(
    ("operation", "kept", "back"),
    [
        pytest.param(lambda tape, x: tape.then(x), 0, 1, id="one that saves nothing: its gradient takes its place"),
        pytest.param(lambda tape, x: tape.then(x, None, x), 1, 1, id="one that saves what it read"),
        pytest.param(lambda tape, x: tape.then(x, None, keeps=True), 0, 1, id="or what it made, which is there"),
        pytest.param(lambda tape, x: tape.power(x), 0, 3, id="a power: its own power, times a number, times that"),
        pytest.param(lambda tape, x: tape.add(x, x), 0, 1, id="a sum of one and itself: two gradients make a third"),
        pytest.param(lambda tape, x: tape.multiply(x, x), 0, 2, id="a product: two gradients, and theirs"),
    ],
)
def test_an_operation_there_and_back(operation: Callable[[Tape, Value], Value], kept: int, back: int) -> None:
    tape = Tape()
    given = tape.take(SIZE)
    result = operation(tape, tape.apply(given))
    forward, _ = held(tape.program())
    assert forward >= 2 + kept
    gradient = tape.take(SIZE)
    tape.backward(result, gradient)
    now, most = held(tape.program())
    assert most >= back
    assert given.gradient is not None and given.gradient.holders == 1
    assert now <= 1


def test_a_second_gradient_is_added_to_the_first_one_and_both_are_freed() -> None:
    tape = Tape()
    given = tape.take(SIZE)
    result = tape.add(tape.apply(given), tape.apply(given))
    tape.program()
    tape.backward(result, tape.take(SIZE))
    now, most = held(tape.program())
    assert (now, most) == (1, 3)


def test_a_parameters_gradient_stays_unless_there_is_one_already() -> None:
    for accumulates, stays in ((False, True), (True, False)):
        tape = Tape(accumulates=accumulates)
        weight, result = tape.parameter(), tape.take(SIZE)
        tape.record(result, (), lambda _, tape=tape, weight=weight: [(weight, tape.take(SIZE, stays=True))])
        tape.drop(result)
        tape.program()
        tape.backward(result, tape.take(SIZE))
        assert held(tape.program())[0] == stays


def test_without_a_backward_pass_nothing_is_saved() -> None:
    tape = Tape(saves=False)
    result = tape.then(tape.take(SIZE), None)
    tape.drop(result)
    assert held(tape.program())[0] == 0


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda tape, x: tape.apply(x, None, x), id="of one"),
        pytest.param(lambda tape, x: tape.power(x), id="a power"),
        pytest.param(lambda tape, x: tape.add(x, x), id="a sum"),
        pytest.param(lambda tape, x: tape.multiply(x, x), id="a product"),
    ],
)
def test_of_what_is_frozen_nothing_is_saved_and_the_result_is_frozen(operation: Callable[[Tape, Value], Value]) -> None:
    tape = Tape()
    given = tape.take(SIZE)
    given.frozen = True
    result = operation(tape, given)
    assert result.frozen and (given.holders, result.holders) == (1, 1)


def test_a_sum_gives_its_gradient_to_the_part_that_is_not_frozen_alone() -> None:
    tape = Tape()
    frozen, trained = tape.take(SIZE), tape.take(SIZE)
    frozen.frozen = True
    result, gradient = tape.add(frozen, trained), tape.take(SIZE)
    tape.backward(result, gradient)
    assert not result.frozen
    assert (frozen.gradient, trained.gradient) == (None, gradient)
    assert gradient.holders == 1


def test_a_view_holds_the_whole() -> None:
    tape = Tape()
    whole = tape.take(SIZE)
    part = tape.view(whole, SIZE // 2)
    tape.drop(whole)
    assert held(tape.program()) == (1, 1)
    tape.drop(part)
    assert tape.program() == ((whole.place, 0),)


def test_what_happens_again_comes_where_the_first_thing_saved_is_read() -> None:
    tape = Tape()
    given = tape.take(SIZE)
    saves = tape.apply(given, None, given)
    result = tape.apply(saves)
    tape.program()
    again = ((99, SIZE), (99, 0))
    tape.backward(result, tape.take(SIZE), again)
    events = tape.program()
    first = next(index for index in range(len(events)) if events[index : index + 2] == again)
    assert 0 < first < len(events) - 2  # behind the gradient of what saved nothing


def test_small_tensors_are_passed_over_unless_they_stay() -> None:
    tape = Tape(passed_over=MIB)
    tape.drop(tape.take(MIB), tape.take(MIB, stays=True), tape.take(MIB + 1))
    assert [size for _, size in tape.program() if size] == [MIB, MIB + 1]


def test_a_program_runs_in_an_allocator_as_often_as_there_are_layers() -> None:
    tape = Tape()
    tape.take(SIZE)
    tape.drop(tape.take(SIZE))
    program, allocator = tape.program(), Allocator()
    for _ in range(3):
        places = Places(allocator, tape.places)
        places.run(program)
        assert places.at(0).size == SIZE
    assert allocator.allocated == 3 * SIZE
    assert allocator.allocated_peak == 4 * SIZE
