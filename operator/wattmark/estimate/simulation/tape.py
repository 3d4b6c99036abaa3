"""What a forward pass leaves for its backward pass, and what that makes and frees: allocations, in PyTorch's order.

A tape is a list of operations, each with what it has saved and a rule for its gradients. The way back goes through it
from its end, as autograd's engine does: an operation's gradients are made, then the gradient that it was given is
freed, then what it saved; of a tensor's second gradient and its first one a sum is made, and both are freed. What comes
of it is a program of allocations and releases, which `Places` runs in an allocator as often as there are equal layers.
"""

from collections.abc import Callable, Iterable, Sequence

from wattmark.estimate.simulation.allocator import Allocator, Block

Program = tuple[tuple[int, int], ...]  # (place, bytes): allocate there; (place, 0): release


class Value:
    """A tensor: its size in bytes, how many hold it, and the gradient that has come for it.

    `place` is where its block is kept; a negative one tells that none is followed. A `frozen` one needs no gradient.
    """

    __slots__ = ("frozen", "gradient", "holders", "leaf", "place", "size", "storage")

    def __init__(self, size: int, place: int, storage: "Value | None" = None, *, leaf: bool = False) -> None:
        self.size, self.place, self.leaf = size, place, leaf
        self.storage = storage or self
        self.holders = 1
        self.frozen = False
        self.gradient: Value | None = None


Gradients = Iterable[tuple[Value, Value]]
Rule = Callable[..., Gradients]


class Tape:
    """Records operations; `saves` tells that a backward pass comes, `accumulates` that parameters have gradients.

    Tensors of up to `passed_over` bytes find room somewhere, and are not followed unless they stay.
    """

    def __init__(self, *, saves: bool = True, accumulates: bool = False, passed_over: int = 0) -> None:
        self._saves, self._accumulates, self._passed_over = saves, accumulates, passed_over
        self._events: list[tuple[int, int]] = []
        self._operations: list[tuple[Sequence[Value], Sequence[Value], Rule]] = []
        self._places = 0
        self._product: int | None = None
        self.dry = False  # what is made now was made before: only its way back counts

    @property
    def places(self) -> int:
        """How many there are."""
        return self._places

    @property
    def product(self) -> int:
        """How much had happened since the last program when the first product of matrices came, 0 if none has."""
        return self._product or 0

    def multiplies(self) -> None:
        """A product of matrices comes: the first one of a thread takes a workspace."""
        if self._product is None:
            self._product = len(self._events)

    def program(self) -> Program:
        """What has happened since the last one."""
        events, self._events, self._product = tuple(self._events), [], None
        return events

    def resume(self) -> None:
        """From here on what is saved is kept."""
        self._saves = True

    def hold_to_the_end(self, value: Value) -> None:
        """Held until the way back is past the first operation that saved something."""
        place = next(index for index, (_, saved, _) in enumerate(self._operations) if saved)
        made, saved, rule = self._operations[place]
        self.hold(value)
        self._operations[place] = made, (*saved, value), rule

    def given(self, size: int) -> Value:
        """A tensor that is there already."""
        self._places += 1
        return Value(size, self._places - 1)

    def parameter(self) -> Value:
        """A tensor that is trained, and there already: its gradient stays."""
        made = Value(0, -1, leaf=True)
        if self._accumulates:
            made.gradient = Value(0, -1)
        return made

    def take(self, size: int, *, stays: bool = False) -> Value:
        """A new tensor."""
        if self.dry or not size or (size <= self._passed_over and not stays):
            return Value(size, -1)
        made = self.given(size)
        self._events.append((made.place, size))
        return made

    def view(self, of: Value, size: int) -> Value:
        """A part of a tensor, which holds the whole."""
        of.storage.holders += 1
        return Value(size, -1, of.storage)

    def hold(self, *values: Value) -> None:
        """One more holds these."""
        for value in values:
            value.storage.holders += 1

    def held(self, value: Value) -> Value:
        """The same tensor, which one more holds."""
        self.hold(value)
        return value

    def drop(self, *values: Value) -> None:
        """One fewer holds these; what nobody holds is freed."""
        for value in values:
            storage = value.storage
            storage.holders -= 1
            if not storage.holders and storage.place >= 0:
                self._events.append((storage.place, 0))

    def record(self, made: Value | Sequence[Value], saved: Sequence[Value], rule: Rule, *of: Value) -> None:
        """An operation; `rule` makes gradients, given one for each tensor that it made.

        What it is made `of` is named where all of that may be frozen: nothing is saved then, and the result is, too.
        """
        results = made if isinstance(made, Sequence) else (made,)
        if of and all(value.frozen for value in of):
            for value in results:
                value.frozen = True
        elif self._saves:
            self.hold(*saved)
            self._operations.append((results, saved, rule))

    def backward(self, result: Value, gradient: Value, again: Program = ()) -> None:
        """The way back from a result with its gradient; what happens `again` does where the first thing saved is read.

        What was made again is nobody's but the operation's that reads it: gone, the last first, before the gradient.
        Gradients of parameters stay.
        """
        result.gradient = gradient
        runs_again = bool(again)
        for made, saved, rule in reversed(self._operations):
            if saved and again:
                self._events += again
                again = ()
            gradients = [value.gradient for value in made if value.gradient is not None]
            for value in made:
                value.gradient = None
            raw = tuple(rule(*gradients)) if gradients else ()
            if runs_again:
                self.drop(*reversed(saved))
            given = [(value, self._formatted(value, gradient)) for value, gradient in raw]
            self.drop(*gradients)
            if not runs_again:
                self.drop(*saved)
            for value, gradient in given:
                self._give(value, gradient)
        self._operations.clear()

    def _formatted(self, value: Value, gradient: Value) -> Value:
        """The gradient in its tensor's format: brought into it when the operation is over."""
        if value.leaf or value.size == gradient.size:
            return gradient
        made = self.take(value.size)
        self.drop(gradient)
        return made

    def _give(self, value: Value, gradient: Value) -> None:
        before = value.gradient
        if before is None:
            value.gradient = gradient
        elif value.leaf:  # added in place
            self.drop(gradient)
        else:
            value.gradient = self.take(value.size)
            self.drop(before, gradient)

    # Operations

    def apply(self, given: Value, size: int | None = None, *saved: Value, keeps: bool = False) -> Value:
        """A tensor made of one other, whose gradient is as large as that one; it `keeps` its result, or other ones."""
        made = self.take(given.size if size is None else size)
        self.record(made, (*saved, made) if keeps else saved, lambda _: [(given, self.take(given.size))], given)
        return made

    def then(self, given: Value, size: int | None = None, *saved: Value, keeps: bool = False) -> Value:
        """The same, where nobody holds the other one any longer."""
        made = self.apply(given, size, *saved, keeps=keeps)
        self.drop(given)
        return made

    def power(self, given: Value) -> Value:
        """A tensor to some power."""

        def rule(_: Value) -> Gradients:
            power, scaled, gradient = (self.take(given.size) for _ in range(3))
            self.drop(scaled, power)
            return [(given, gradient)]

        made = self.take(given.size)
        self.record(made, (given,), rule, given)
        return made

    def add(self, one: Value, other: Value) -> Value:
        """A sum: both have its own gradient."""

        def rule(gradient: Value) -> Gradients:
            parts = []
            for part in (one, other):
                if part.frozen:
                    continue
                if part.size == gradient.size:
                    self.hold(gradient)
                    parts.append((part, gradient))
                else:
                    parts.append((part, self.take(part.size)))
            return parts

        made = self.take(max(one.size, other.size))
        self.record(made, (), rule, one, other)
        return made

    def multiply(self, one: Value, other: Value) -> Value:
        """A product, element by element, in the wider format."""
        size = max(one.size, other.size)

        def rule(_: Value) -> Gradients:
            return [(other, self.take(size)), (one, self.take(size))]

        made = self.take(size)
        self.record(made, (other, one), rule, one, other)
        return made


class Places:
    """The blocks of a program's tensors, in an allocator."""

    def __init__(self, allocator: Allocator, count: int) -> None:
        self._allocator = allocator
        self._blocks: list[Block | None] = [None] * count

    def put(self, place: int, block: Block) -> None:
        """What another made."""
        self._blocks[place] = block

    def at(self, place: int) -> Block:
        """What is there."""
        block = self._blocks[place]
        assert block is not None
        return block

    def run(self, program: Program) -> None:
        """Allocate and release."""
        blocks, allocator = self._blocks, self._allocator
        for place, size in program:
            if size:
                blocks[place] = allocator.allocate(size)
            else:
                allocator.release(blocks[place])  # type: ignore[arg-type]
