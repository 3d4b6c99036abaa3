"""The weights that transformer families share."""

from wattmark.models.architecture import Kind, Norm, Per, Stack, Weights


def embedding(name: str, rows: int, width: int) -> Weights:
    """A table of `rows` vectors."""
    return Weights(name, Kind.EMBEDDING, rows, width)


def linear(name: str, inputs: int, outputs: int, per: Per, *, bias: bool = True, count: int = 1) -> Weights:
    """A matrix that multiplies each token or sample."""
    return Weights(name, Kind.LINEAR, outputs, inputs, bias=bias, count=count, per=per)


def norm(name: str, width: int, kind: Norm, count: int = 1) -> Weights:
    """A normalization's scales; LayerNorm has shifts as well."""
    return Weights(name, Kind.NORM, width, bias=kind is Norm.LAYER, count=count)


def attention(
    name: str, stack: Stack, per: Per, *, qkv_bias: bool, out_bias: bool, memory: Per | None = None
) -> tuple[Weights, ...]:
    """Projections of one attention in every layer; `memory` is whose tokens give keys and values (default: `per`)."""
    source = memory or per
    return (
        linear(f"{name}.query", stack.hidden, stack.query_width, per, bias=qkv_bias, count=stack.layers),
        linear(f"{name}.key", stack.hidden, stack.kv_width, source, bias=qkv_bias, count=stack.layers),
        linear(f"{name}.value", stack.hidden, stack.kv_width, source, bias=qkv_bias, count=stack.layers),
        linear(f"{name}.output", stack.query_width, stack.hidden, per, bias=out_bias, count=stack.layers),
    )


def mlp(name: str, stack: Stack, per: Per, *, bias: bool) -> tuple[Weights, ...]:
    """The feed-forward matrices of every layer: up (and gate), down; for experts, all of them and the router."""
    copies = max(1, stack.experts)
    used = stack.layers * (stack.experts_per_token or 1)
    ins = 2 if stack.gated else 1
    kind = Kind.EXPERT if stack.experts else Kind.LINEAR
    up = Weights(
        f"{name}.up",
        kind,
        stack.intermediate,
        stack.hidden,
        bias=bias,
        count=ins * copies * stack.layers,
        used=ins * used,
        per=per,
    )
    down = Weights(
        f"{name}.down",
        kind,
        stack.hidden,
        stack.intermediate,
        bias=bias,
        count=copies * stack.layers,
        used=used,
        per=per,
    )
    if not stack.experts:
        return up, down
    router = Weights(f"{name}.router", kind, stack.experts, stack.hidden, count=stack.layers, per=per)
    return up, down, router


def lm_head(hidden: int, vocab: int, *, tied: bool, bias: bool = False) -> Weights:
    """The projection of hidden states onto the vocabulary."""
    return Weights("lm_head", Kind.LINEAR, vocab, hidden, bias=bias, tied=tied, per=Per.LOGITS_TOKEN)
