"""Whisper, as transformers builds it."""

from wattmark.models.architecture import (
    Architecture,
    Audio,
    Family,
    Head,
    Kind,
    Modality,
    Norm,
    Per,
    Stack,
    Wave,
    Weights,
)
from wattmark.models.fields import Fields, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm

FRAMES_A_POSITION = 2  # the second convolution's stride


def whisper(fields: Fields) -> Architecture:
    """Whisper: log-mel frames of exactly one length, convolved twice and encoded; a decoder with learned positions."""
    hidden, mel_bins = fields.integer("d_model", "hidden_size"), fields.integer("num_mel_bins", default=80)
    encoder, decoder = _stack(fields, "encoder", hidden), _stack(fields, "decoder", hidden)
    sources = fields.integer("max_source_positions", default=1500)
    targets = fields.integer("max_target_positions", default=448)
    vocab, tied = fields.integer("vocab_size"), fields.flag("tie_word_embeddings", default=True)
    return Architecture(
        model_type="whisper",
        family=Family.ENCODER_DECODER,
        modality=Modality.AUDIO,
        hidden=hidden,
        body=(
            Weights("encoder.convolution.1", Kind.CONVOLUTION, hidden, 3 * mel_bins, bias=True),
            Weights("encoder.convolution.2", Kind.CONVOLUTION, hidden, 3 * hidden, bias=True),
            embedding("encoder.position", sources, hidden),
            *_side("encoder", encoder, Per.ENCODER_TOKEN),
            embedding("embeddings.word", vocab, hidden),
            embedding("decoder.position", targets, hidden),
            *_side("decoder", decoder, Per.DECODER_TOKEN),
        ),
        heads=((Head.BASE, ()), (Head.SPEECH_SEQ2SEQ, (lm_head(hidden, vocab, tied=tied),))),
        encoder=encoder,
        decoder=decoder,
        vocab=vocab,
        max_positions=targets,
        tied=tied,
        checkpoint_tied=tied,
        audio=Audio(
            mel_bins,
            FRAMES_A_POSITION * sources,
            (Wave(hidden, 3, 1, padding=1), Wave(hidden, 3, FRAMES_A_POSITION, padding=1)),
        ),
        only_inference="what an encoder and a decoder save that read sequences of different kinds",
    )


def _stack(fields: Fields, side: str, hidden: int) -> Stack:
    heads = fields.integer(f"{side}_attention_heads")
    return Stack(
        layers=fields.integer(f"{side}_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("d_model", hidden, heads),
        intermediate=fields.integer(f"{side}_ffn_dim"),
        norm=Norm.LAYER,
        causal=side == "decoder",
        cross_attention=side == "decoder",
        activation=fields.text("activation_function", default="gelu"),
        hidden_dropout=fields.share("dropout", default=0.0),
        attention_dropout=fields.share("attention_dropout", default=0.0),
    )


def _side(name: str, stack: Stack, token: Per) -> tuple[Weights, ...]:
    memory = Per.ENCODER_TOKEN
    cross = _attention(f"{name}.cross", stack, token, memory) if stack.cross_attention else ()
    return (
        *_attention(f"{name}.attention", stack, token, token),
        *cross,
        *mlp(f"{name}.mlp", stack, token, bias=True),
        norm(f"{name}.norms", stack.hidden, Norm.LAYER, count=(3 if cross else 2) * stack.layers),
        norm(f"{name}.norm", stack.hidden, Norm.LAYER),
    )


def _attention(name: str, stack: Stack, token: Per, memory: Per) -> tuple[Weights, ...]:
    """Projections with biases, but for the key's."""
    query, _, value, output = attention(name, stack, token, qkv_bias=True, out_bias=True, memory=memory)
    _, key, _, _ = attention(name, stack, token, qkv_bias=False, out_bias=True, memory=memory)
    return query, key, value, output
