"""A transformer layer in training, operation by operation, as PyTorch's and transformers' own classes run it."""

from dataclasses import dataclass

from wattmark.estimate.formats import Formats
from wattmark.estimate.sequence import NEOX_TURNED, STATISTIC_BYTES
from wattmark.estimate.tape import Gradients, Tape, Value
from wattmark.estimate.transformer import Adapters
from wattmark.models import Norm, Stack

MASK_BYTES = 1  # of dropout, for each element
QUERY_STEP = 128  # rows: attention's backward kernels work in tiles
HEAD_STEP = 32  # and in as many elements of a head


@dataclass(frozen=True, slots=True)
class Shape:
    """What goes through a layer: so many samples of so many tokens each; `masked` where a window hides some of them."""

    batch: int
    length: int
    masked: bool = False

    @property
    def tokens(self) -> int:
        """Of all samples."""
        return self.batch * self.length


class TrainedLayer:
    """Operations of one layer on a tape. `copies` are autocast's of matrices, held until the forward pass is over."""

    def __init__(self, tape: Tape, stack: Stack, formats: Formats, shape: Shape, adapters: Adapters | None) -> None:
        self._tape, self._stack, self._formats, self._shape, self._adapters = tape, stack, formats, shape, adapters
        self._parameters: list[Value] = []
        self.copies: list[Value] = []

    @property
    def hidden(self) -> int:
        """Bytes of hidden states."""
        return self._shape.tokens * self._stack.hidden * self._formats.stream

    def gradients(self) -> tuple[int, ...]:
        """Places of the gradients that have come for what is trained."""
        made = (parameter.gradient for parameter in self._parameters)
        return tuple(gradient.place for gradient in made if gradient is not None and gradient.place >= 0)

    def run(self, given: Value, *, again: bool = False) -> Value:
        """The layer's result. To run it `again` ends where all is there that the backward pass reads."""
        return self._side_by_side(given, again=again) if self._stack.parallel else self._ahead(given, again=again)

    def _ahead(self, given: Value, *, again: bool) -> Value:
        """Norms ahead of attention and of the feed-forward part."""
        tape, holds = self._tape, self._stack.holds_attended
        normed = self.norm(given)
        attended = self._dropped(self._attention(normed))
        tape.drop(normed)
        middle = tape.add(attended, given)
        if not holds:
            tape.drop(attended)
        normed = self.norm(middle)
        down = self._feed_forward(normed, again=again)
        if not holds:
            tape.drop(normed)
        result = tape.add(middle, down)
        tape.drop(down, middle, *([attended, normed] if holds else []))
        return result

    def _side_by_side(self, given: Value, *, again: bool) -> Value:
        """Attention and feed-forward read the same hidden states."""
        tape = self._tape
        normed = self.norm(given)
        attended = self._dropped(self._attention(normed))
        tape.drop(normed)
        normed = self.norm(given)
        down = self._feed_forward(normed, again=again)
        tape.drop(normed)
        total = tape.add(down, attended)
        result = tape.add(total, given)
        tape.drop(total, attended, down)
        return result

    def norm(self, given: Value, heads: int = 0) -> Value:
        """Normalized hidden states, or so many heads, each alone."""
        tape, stack = self._tape, self._stack
        rows = self._shape.tokens * (heads or 1)
        elements = rows * (stack.head_dim if heads else stack.hidden)
        trained = self._adapters is None
        if self._stack.norm is Norm.LAYER:
            result = tape.take(given.size)
            statistics = [tape.take(rows * STATISTIC_BYTES) for _ in range(2)]
            tape.record(result, (given, *statistics), lambda _: [(given, tape.take(given.size))])
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
        lowered = tape.apply(scaled, given.size) if narrow else scaled
        result = self._scaled(lowered, elements * self._formats.stream, trained=trained)
        if narrow:
            tape.drop(lowered)
        tape.drop(scaled)
        return result

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
        tape.record(result, (given,) if trained else (), rule)
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
        weight = tape.parameter()
        if trained:
            self._parameters.append(weight)
        copy = self._copy(weight, size, trained=trained) if formats.mixed else weight
        kept = not formats.mixed and trained

        def rule(_: Value) -> Gradients:
            tape.multiplies()
            if not trained:
                return [(read, tape.take(read.size))]
            if bias:
                gradient = tape.take(read.size)
                return [(copy, tape.take(size * formats.compute, stays=kept)), (read, gradient)]
            return [(copy, tape.take(size * formats.compute, stays=kept)), (read, tape.take(read.size))]

        if again:
            tape.dry = True
        tape.multiplies()
        result = tape.take(tokens * outputs * formats.compute)
        tape.record(result, ([copy] if formats.mixed else []) + ([read] if trained else []), rule)
        if read is not given:
            tape.drop(read)
        if formats.mixed and not trained:
            tape.drop(copy)
        return result

    def _copy(self, weight: Value, size: int, *, trained: bool) -> Value:
        tape, formats = self._tape, self._formats
        copy = tape.take(size * formats.compute)
        if trained:
            tape.record(copy, (), lambda _: [(weight, tape.take(size * formats.weight, stays=True))])
            self.copies.append(copy)
        return copy

    def _dropped(self, given: Value) -> Value:
        """Behind dropout, if there is one."""
        if not self._stack.hidden_dropout:
            return given
        tape = self._tape
        made, mask = tape.take(given.size), tape.take(given.size // self._formats.compute * MASK_BYTES)
        tape.record(made, (mask,), lambda _: [(given, tape.take(given.size))])
        tape.drop(given, mask)
        return made

    def _attention(self, normed: Value) -> Value:
        stack, tape = self._stack, self._tape
        if stack.fused_projections:
            return self._fused(normed)
        query = self._reordered(self.linear(normed, stack.hidden, stack.query_width, adapted=True))
        if stack.query_key_norms:
            query = self._normed_heads(query, stack.heads)
        key = self._reordered(self.linear(normed, stack.hidden, stack.kv_width, adapted=True))
        if stack.query_key_norms:
            key = self._normed_heads(key, stack.kv_heads)
        value = self.linear(normed, stack.hidden, stack.kv_width, adapted=True)
        if self._formats.compute == 4 or self._shape.masked:
            value = self._reordered(value)
        if stack.rotary:
            turned = self._turned(query, stack.query_width), self._turned(key, stack.kv_width)
            tape.drop(query, key)
            query, key = turned
        context = self._attended(query, key, value, wide=stack.rotary and self._formats.mixed)
        attended = self.linear(context, stack.query_width, stack.hidden, adapted=True)
        tape.drop(context, query, key, value)
        return attended

    def _fused(self, normed: Value) -> Value:
        """Query, key and value of one matrix."""
        stack, tape, bias = self._stack, self._tape, self._stack.norm is Norm.LAYER
        widths = stack.query_width, stack.kv_width, stack.kv_width
        joint = self.linear(normed, stack.hidden, sum(widths), bias=bias, adapted=True)
        size = self._shape.tokens * self._formats.compute
        parts = [tape.view(joint, size * width) for width in widths]
        tape.drop(joint)
        if stack.rotary and not stack.parallel:
            for part in parts:
                tape.record(part, (), lambda _: [(joint, tape.take(joint.size))])
        else:
            whole = self._copied(joint) if stack.rotary else joint
            tape.record(parts, (), lambda *_: [(whole, tape.take(joint.size))])
        query, key, value = parts
        if stack.rotary:
            if not stack.parallel:
                query, key = self._copied(query), self._copied(key)
            turned = self._turned_parts(query, key)
            tape.drop(query, key)
            query, key = turned
        context = self._attended(query, key, value, wide=query.size > size * stack.query_width)
        # The kernel's result is in the order of what it read, which had been put together head by head.
        ordered = self._ordered(context) if stack.rotary and self._formats.compute < 4 else context
        attended = self.linear(ordered, stack.query_width, stack.hidden, bias=bias, adapted=True)
        tape.drop(ordered, query, key, value)
        return attended

    def _ordered(self, given: Value) -> Value:
        """A copy in the order of tokens, in which its gradient comes as well."""
        tape = self._tape
        made = tape.take(given.size)
        tape.record(made, (), lambda gradient: [(given, tape.held(gradient))])
        tape.drop(given)
        return made

    def _turned_parts(self, query: Value, key: Value) -> tuple[Value, Value]:
        """Both turned in a part of their width, with the rest put behind it again."""
        stack, tape = self._stack, self._tape
        share = NEOX_TURNED if stack.parallel else 1
        turning = [self._sliced(given, share) for given in (query, key)]
        given = zip(turning, (query, key), (stack.query_width, stack.kv_width), strict=True)
        made: list[Value] = []
        if share > 1:
            turned = [self._turned(part, width // share) for (part, _), _, width in given]
            made = [
                self._joined(one, rest, whole)
                for one, (_, rest), whole in zip(turned, turning, (query, key), strict=True)
            ]
        else:
            made = [self._joined(self._turned(part, width), rest, whole) for (part, rest), whole, width in given]
        for part, rest in turning:
            tape.drop(part, rest)
        first, second = made
        return first, second

    def _sliced(self, given: Value, share: int) -> tuple[Value, Value]:
        """The part of heads that is turned, and the rest."""
        tape = self._tape
        part, rest = tape.view(given, given.size // share), tape.view(given, given.size - given.size // share)
        if share > 1:
            tape.record(part, (), lambda _: [(given, tape.take(given.size))])
        else:
            tape.record(part, (), lambda gradient: [(given, tape.held(gradient))])
        tape.record(rest, (), lambda _: [(given, tape.take(given.size))])
        return part, rest

    def _joined(self, turned: Value, rest: Value, whole: Value) -> Value:
        """Put together again: the way back takes them apart as views."""
        tape = self._tape
        size = turned.size * whole.size // (whole.size - rest.size)
        made = tape.take(size)
        tape.record(made, (), lambda g: [(turned, tape.view(g, turned.size)), (rest, tape.view(g, size - turned.size))])
        tape.drop(turned)
        return made

    def _copied(self, given: Value) -> Value:
        """The same in another order, of which the gradient is brought back into the first one."""
        tape = self._tape
        other = tape.view(given, given.size)
        tape.drop(given)
        tape.record(other, (), lambda _: [(given, tape.take(given.size))])
        return other

    def _reordered(self, given: Value) -> Value:
        """Head by head, where positions turn it."""
        return self._copied(given) if self._stack.rotary else given

    def _normed_heads(self, given: Value, heads: int) -> Value:
        result = self.norm(given, heads)
        self._tape.drop(given)
        return result

    def _turned(self, given: Value, width: int) -> Value:
        """Turned by its positions: times cosines, plus its swapped halves times sines."""
        tape, size = self._tape, given.size
        wide = self._shape.tokens * width * self._formats.stream

        def swapped(_: Value) -> Gradients:
            half, first = tape.take(size // 2), tape.take(size)
            tape.drop(half)
            return [(given, first), (given, tape.take(size))]

        product = self._times(given, wide)
        half = tape.take(size // 2)
        other = tape.take(size)
        tape.record(other, (), swapped)
        tape.drop(half)
        turned = self._times(other, wide)
        tape.drop(other)
        result = tape.add(product, turned)
        tape.drop(product, turned)
        return result

    def _times(self, given: Value, size: int) -> Value:
        """Times a table that is as wide as the residual stream."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            gradient = tape.take(size)
            if size != given.size:
                wide, gradient = gradient, tape.take(given.size)
                tape.drop(wide)
            return [(given, gradient)]

        result = tape.take(size)
        tape.record(result, (), rule)
        return result

    def _attended(self, query: Value, key: Value, value: Value, *, wide: bool = False) -> Value:
        """The fused kernel's result. Queries and keys that are `wide` are lowered to the format of arithmetic."""
        tape, stack, size = self._tape, self._stack, self._formats.compute
        grouped, masked = stack.kv_heads < stack.heads, self._shape.masked
        repeats = grouped and (masked or size == 4)
        narrow = [query, self._repeated(key), self._repeated(value)] if repeats else [query, key, value]
        made = narrow[1:] if repeats else []
        if wide:
            narrow[:2] = [tape.apply(one, one.size // 2) for one in narrow[:2]]
            made += narrow[:2]
        rows = self._shape.batch * stack.heads * self._shape.length
        padded = self._shape.batch * stack.heads * (-(-self._shape.length // QUERY_STEP) * QUERY_STEP)
        within = padded * 4 * (1 + (-(-stack.head_dim // HEAD_STEP) * HEAD_STEP if size < 4 else 0))
        if grouped and not repeats:
            within += 2 * rows * stack.head_dim * size
        mask = [self._mask()] if masked else []

        def rule(_: Value) -> Gradients:
            gradients = [(given, tape.take(given.size)) for given in narrow]
            tape.drop(tape.take(within))
            return gradients

        context, sums = tape.take(rows * stack.head_dim * size), tape.take(rows * 4)
        tape.record(context, (*narrow, sums, context, *mask), rule)
        tape.drop(sums, *mask, *made)
        return context

    def _mask(self) -> Value:
        """Zeros and infinities, which the kernel adds to scores: made in fp32, for every layer anew."""
        tape, scores = self._tape, self._shape.batch * self._shape.length**2
        wide = tape.take(scores * 4)
        if self._formats.compute == 4:
            return wide
        mask = tape.take(scores * self._formats.compute)
        tape.drop(wide)
        return mask

    def _repeated(self, given: Value) -> Value:
        """For every head of a group."""
        return self._tape.apply(given, given.size // self._stack.kv_heads * self._stack.heads)

    def _feed_forward(self, normed: Value, *, again: bool) -> Value:
        tape, stack = self._tape, self._stack
        adapted = self._adapters is not None and self._adapters.mlp
        halves: list[Value] = []
        if stack.fused_gate:
            both = self.linear(normed, stack.hidden, 2 * stack.intermediate, adapted=adapted)
            gate, up = (tape.view(both, both.size // 2) for _ in range(2))
            tape.record((gate, up), (), lambda *_: [(both, tape.take(both.size))])
            active = tape.apply(gate, None, gate)
            product = tape.multiply(up, active)
            tape.drop(active, both)
            halves = [gate, up]  # which are held till the end
        elif stack.gated:
            gate = self.linear(normed, stack.hidden, stack.intermediate, adapted=adapted)
            active = tape.then(gate, None, gate)
            up = self.linear(normed, stack.hidden, stack.intermediate, adapted=adapted)
            product = tape.multiply(active, up)
            tape.drop(active, up)
        else:
            product = self._activated(self.linear(normed, stack.hidden, stack.intermediate, bias=True, adapted=adapted))
        down = self.linear(
            product, stack.intermediate, stack.hidden, bias=not stack.gated, adapted=adapted, again=again
        )
        tape.drop(product, *halves)
        return self._dropped(down)

    def _activated(self, given: Value) -> Value:
        """Behind the activation: one kernel, or GELU by a tangent, written out in Python."""
        tape = self._tape
        if self._stack.activation != "gelu_new":
            return tape.then(given, None, given)
        half = tape.apply(given)
        if self._formats.mixed:  # autocast takes powers in fp32, and what is computed of them stays so
            raised = tape.apply(given, 2 * given.size)
            power = tape.power(raised)
            tape.drop(raised)
        else:
            power = tape.power(given)
        inner = tape.then(power)
        total = tape.add(given, inner)
        tape.drop(inner)
        tangent = tape.then(tape.then(total), keeps=True)
        raised = tape.then(tangent)
        result = tape.multiply(half, raised)
        tape.drop(half, raised, given)
        return result
