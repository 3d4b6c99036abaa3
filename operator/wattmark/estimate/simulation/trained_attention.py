"""Fused attention of a layer in training: queries, keys and values, turned, and the kernel with its way back."""

from wattmark.estimate.simulation.tape import Gradients, Value
from wattmark.estimate.simulation.trained_scores import TrainedScores
from wattmark.models import Norm

QUERY_STEP = 128  # rows: attention's backward kernels work in tiles
HEAD_STEP = 32  # and in as many elements of a head


class TrainedAttention(TrainedScores):
    """Attention of one layer on a tape."""

    def _attention(self, normed: Value) -> Value:
        stack, tape, bias = self._stack, self._tape, self._stack.norm is Norm.LAYER
        if stack.fused_projections:
            return self._fused(normed)
        query = self._reordered(self.linear(normed, stack.hidden, stack.query_width, bias=bias, adapted=True))
        if stack.query_key_norms:
            query = self._normed_heads(query, stack.heads)
        key = self._reordered(self.linear(normed, stack.hidden, stack.kv_width, bias=bias, adapted=True))
        if stack.query_key_norms:
            key = self._normed_heads(key, stack.kv_heads)
        value = self.linear(normed, stack.hidden, stack.kv_width, bias=bias, adapted=True)
        if self._formats.compute == 4 or self._shape.masked or self._shape.eager:
            value = self._reordered(value)
        if stack.rotary:
            turned = self._turned(query, stack.query_width), self._turned(key, stack.kv_width)
            tape.drop(query, key)
            query, key = turned
        if self._shape.eager:
            context = self._eager(query, key, value)
        else:
            context = self._attended(query, key, value, wide=stack.rotary and self._formats.mixed)
        if self._apart:
            tape.drop(query, key, value)
            self._late.append(context)
            return self.linear(context, stack.query_width, stack.hidden, bias=bias, adapted=True)
        attended = self.linear(context, stack.query_width, stack.hidden, bias=bias, adapted=True)
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
        if stack.rotary:
            tape.drop(ordered, query, key, value)
            return attended
        tape.drop(ordered)
        self._views += parts
        return attended

    def _turned_parts(self, query: Value, key: Value) -> tuple[Value, Value]:
        """Both turned in a part of their width, with the rest put behind it again."""
        stack, tape = self._stack, self._tape
        turning = [self._sliced(given) for given in (query, key)]
        widths = [heads * stack.turned_dim for heads in (stack.heads, stack.kv_heads)]
        given = list(zip(turning, (query, key), widths, strict=True))
        if stack.fused_gate:  # Phi-3 puts a query together again before it turns a key
            made = [self._joined(self._turned(part, width), rest, whole) for (part, rest), whole, width in given]
        else:
            turned = [self._turned(part, width) for (part, _), _, width in given]
            made = [self._joined(one, rest, whole) for one, ((_, rest), whole, _) in zip(turned, given, strict=True)]
        for part, rest in turning:
            tape.drop(part, rest)
        first, second = made
        return first, second

    def _sliced(self, given: Value) -> tuple[Value, Value]:
        """The part of heads that is turned, and the rest."""
        tape, stack = self._tape, self._stack
        size = given.size * stack.turned_dim // stack.head_dim
        part, rest = tape.view(given, size), tape.view(given, given.size - size)
        if size < given.size:
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

    def _ordered(self, given: Value) -> Value:
        """A copy in the order of tokens, in which its gradient comes as well."""
        tape = self._tape
        made = tape.take(given.size)
        tape.record(made, (), lambda gradient: [(given, tape.held(gradient))])
        tape.drop(given)
        return made

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
        result = tape.take(size)
        tape.record(result, (), lambda _: [(given, tape.take(size))])
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
