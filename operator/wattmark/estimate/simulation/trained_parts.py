"""Norms, products of matrices and adapters of a layer in training, as PyTorch's and peft's own classes run them."""

from dataclasses import dataclass

from wattmark.estimate.formats import Formats
from wattmark.estimate.simulation.sequence import STATISTIC_BYTES
from wattmark.estimate.simulation.tape import Gradients, Tape, Value
from wattmark.estimate.transformer import Adapters
from wattmark.models import Norm, Stack

MASK_BYTES = 1  # of dropout, for each element


@dataclass(frozen=True, slots=True)
class Shape:
    """What goes through a layer: so many samples of so many tokens each.

    `masked` where a window hides some of them from a fused kernel; `eager` where attention is none.
    """

    batch: int
    length: int
    masked: bool = False
    eager: bool = False

    @property
    def tokens(self) -> int:
        """Of all samples."""
        return self.batch * self.length


class TrainedParts:
    """Parts of one layer on a tape. `copies` are autocast's of matrices, held until the forward pass is over.

    `drops_attended` tells that dropout, where there is one, stands behind attention as well.
    """

    def __init__(
        self,
        tape: Tape,
        stack: Stack,
        formats: Formats,
        shape: Shape,
        adapters: Adapters | None,
        *,
        drops_attended: bool = True,
    ) -> None:
        self._tape, self._stack, self._formats, self._shape, self._adapters = tape, stack, formats, shape, adapters
        self._drops_attended = drops_attended
        self._late: list[Value] = []  # what a part of the layer holds until its norm, or all of the layer, is done
        # Saved as well, and takes nothing: but what is run again is run where it is read.
        self._frozen_weight = tape.parameter()
        self._views: list[Value] = []  # what attention holds until its result is dropped out, if it is
        self._parameters: list[Value] = []
        self.copies: list[Value] = []

    @property
    def _apart(self) -> bool:
        """Whether queries, keys and values, and the activation, are those of modules of their own: BERT's."""
        return self._stack.post_norms and self._drops_attended

    @property
    def hidden(self) -> int:
        """Bytes of hidden states."""
        return self._shape.tokens * self._stack.hidden * self._formats.stream

    def parameter(self) -> Value:
        """A tensor that is trained."""
        made = self._tape.parameter()
        self._parameters.append(made)
        return made

    def gradients(self) -> tuple[int, ...]:
        """Places of the gradients that have come for what is trained."""
        made = (parameter.gradient for parameter in self._parameters)
        return tuple(gradient.place for gradient in made if gradient is not None and gradient.place >= 0)

    def norm(self, given: Value, heads: int = 0, *, again: bool = False) -> Value:
        """Normalized hidden states, or so many heads, each alone. To run Gemma's `again` ends where it is scaled."""
        tape, stack = self._tape, self._stack
        rows = self._shape.tokens * (heads or 1)
        elements = rows * (stack.head_dim if heads else stack.hidden)
        trained = self._adapters is None
        if self._stack.norm is Norm.LAYER:
            result = tape.take(given.size)
            statistics = [tape.take(rows * STATISTIC_BYTES) for _ in range(2)]
            tape.record(result, (given, *statistics), lambda _: [(given, tape.take(given.size))], given)
            tape.drop(*statistics)
            return result
        narrow = given.size < elements * 4
        raised = tape.apply(given, elements * 4) if narrow else given
        power = tape.power(raised)
        mean = tape.then(power, rows * STATISTIC_BYTES)
        root = tape.then(tape.then(mean), keeps=True)
        scaled = tape.multiply(raised, root)
        tape.drop(root)
        if narrow:
            tape.drop(raised)
        if stack.norm is Norm.GEMMA:
            tape.dry = tape.dry or again
            return self._lowered(scaled, given.size, trained=trained)
        lowered = tape.apply(scaled, given.size) if narrow else scaled
        result = self._scaled(lowered, elements * self._formats.stream, trained=trained)
        if narrow:
            tape.drop(lowered)
        tape.drop(scaled)
        return result

    def _lowered(self, scaled: Value, size: int, *, trained: bool) -> Value:
        """Times the norm's scales in fp32, and lowered then (Gemma2RMSNorm)."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            whole = tape.take(scaled.size) if trained else None
            gradient = tape.take(scaled.size)
            if whole is not None:
                tape.drop(whole)
            return [(scaled, gradient)]

        product = tape.take(scaled.size)
        tape.record(product, (scaled if trained else self._frozen_weight,), rule, scaled)
        tape.drop(scaled)
        return tape.then(product, size) if size < product.size else product

    def _scaled(self, given: Value, size: int, *, trained: bool) -> Value:
        """Times the norm's scales, which may be wider."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            gradient = tape.take(size)
            whole = tape.take(size) if trained else None
            if size != given.size:
                wide, gradient = gradient, tape.take(given.size)
                tape.drop(wide)
            if whole is not None:
                tape.drop(whole)
            return [(given, gradient)]

        result = tape.take(size)
        tape.record(result, (given if trained else self._frozen_weight,), rule, given)
        return result

    def linear(
        self, given: Value, inputs: int, outputs: int, *, bias: bool = False, adapted: bool = False, again: bool = False
    ) -> Value:
        """Times a matrix; where it is `adapted`, and so are others, with an adapter beside it."""
        if self._adapters is None or not adapted:
            return self._product(given, inputs, outputs, bias=bias, trained=self._adapters is None, again=again)
        result = self._product(given, inputs, outputs, bias=bias, trained=False)
        tape, rank = self._tape, self._adapters.rank
        wide = self._shape.tokens * inputs * self._formats.stream
        read = given if given.size == wide else tape.apply(given, wide)  # in the format of the adapter's own weights
        lower = self._product(read, inputs, rank, bias=False, trained=True)
        upper = self._product(lower, rank, outputs, bias=False, trained=True, again=again)
        tape.drop(lower)
        scaled = tape.then(upper)
        whole = tape.add(result, scaled)
        tape.drop(scaled, result)
        if read is not given:
            tape.drop(read)
        return whole

    def _product(
        self, given: Value, inputs: int, outputs: int, *, bias: bool, trained: bool, again: bool = False
    ) -> Value:
        tape, formats, tokens = self._tape, self._formats, self._shape.tokens
        size = inputs * outputs
        narrow = tokens * inputs * formats.compute
        read = tape.apply(given, narrow) if given.size != narrow else given
        weight = self.parameter() if trained else tape.parameter()
        copy = self.lowered(weight, size, trained=trained) if formats.mixed else weight
        kept = not formats.mixed and trained

        def rule(_: Value) -> Gradients:
            tape.multiplies()
            if not trained:
                return [(read, tape.take(read.size))]
            if read.frozen:
                return [(copy, tape.take(size * formats.compute, stays=kept))]
            if bias:
                gradient = tape.take(read.size)
                return [(copy, tape.take(size * formats.compute, stays=kept)), (read, gradient)]
            return [(copy, tape.take(size * formats.compute, stays=kept)), (read, tape.take(read.size))]

        if again:
            tape.dry = True
        tape.multiplies()
        result = tape.take(tokens * outputs * formats.compute)
        saved = ([copy] if formats.mixed else []) + ([read if trained else self._frozen_weight])
        of = () if trained else (read,)
        tape.record(result, saved[::-1] if bias else saved, rule, *of)  # mm and addmm name them in another order
        if read is not given:
            tape.drop(read)
        if formats.mixed and not trained:
            tape.drop(copy)
        return result

    def lowered(self, weight: Value, size: int, *, trained: bool) -> Value:
        """Autocast's copy of a matrix of so many elements."""
        tape, formats = self._tape, self._formats
        copy = tape.take(size * formats.compute, stays=True)
        if trained:
            tape.record(copy, (), lambda _: [(weight, tape.take(size * formats.weight, stays=True))])
            self.copies.append(copy)
        return copy

    def dropped(self, given: Value) -> Value:
        """Behind dropout, if there is one."""
        if not self._stack.hidden_dropout:
            return given
        tape = self._tape
        made, mask = tape.take(given.size), tape.take(self._shape.tokens * self._stack.hidden * MASK_BYTES)
        tape.record(made, (mask,), lambda _: [(given, tape.take(given.size))], given)
        tape.drop(mask, given)
        return made

    def _copied(self, given: Value) -> Value:
        """The same in another order, of which the gradient is brought back into the first one."""
        tape = self._tape
        other = tape.view(given, given.size)
        tape.drop(given)
        tape.record(other, (), lambda _: [(given, tape.take(given.size))])
        return other
