"""What a model is made of: geometry and weights, without any framework."""

from dataclasses import dataclass
from enum import StrEnum

SAMPLES_PER_SECOND = 16_000  # what every speech model of transformers was trained at


class Family(StrEnum):
    """How a model is run: which passes it has and what it reads."""

    ENCODER = "Encoder"
    DECODER = "Decoder"
    ENCODER_DECODER = "EncoderDecoder"
    VISION_TRANSFORMER = "VisionTransformer"
    CONVOLUTIONAL = "Convolutional"
    DENOISER = "Denoiser"


class Modality(StrEnum):
    """What a sample is."""

    TEXT = "Text"
    IMAGE = "Image"
    AUDIO = "Audio"


class Head(StrEnum):
    """What stands on top of the model; the value is the transformers auto class that builds it."""

    BASE = "AutoModel"
    SEQUENCE_CLASSIFICATION = "AutoModelForSequenceClassification"
    CAUSAL_LM = "AutoModelForCausalLM"
    SEQ2SEQ_LM = "AutoModelForSeq2SeqLM"
    IMAGE_CLASSIFICATION = "AutoModelForImageClassification"
    SPEECH_SEQ2SEQ = "AutoModelForSpeechSeq2Seq"
    AUDIO_CLASSIFICATION = "AutoModelForAudioClassification"


class Kind(StrEnum):
    """What a weight does; quantization touches LINEAR only, FLOPs come from LINEAR, EXPERT and CONVOLUTION.

    A mixture's EXPERT matrices are one parameter of three dimensions, not linear layers, so that quantization, which
    replaces layers, passes them by.
    """

    EMBEDDING = "Embedding"
    LINEAR = "Linear"
    EXPERT = "Expert"
    CONVOLUTION = "Convolution"
    NORM = "Norm"
    OTHER = "Other"


class Per(StrEnum):
    """What passes through a weight once: a token of one side, or a whole sample."""

    ENCODER_TOKEN = "EncoderToken"  # noqa: S105 - a text token, no secret
    DECODER_TOKEN = "DecoderToken"  # noqa: S105
    LOGITS_TOKEN = "LogitsToken"  # noqa: S105
    SAMPLE = "Sample"


class Norm(StrEnum):
    """The normalization of a transformer layer."""

    LAYER = "LayerNorm"
    RMS = "RMSNorm"
    GEMMA = "GemmaRMSNorm"  # RMSNorm that scales in fp32, not in the format of its input
    T5 = "T5LayerNorm"  # RMSNorm that scales its 16-bit input, not the fp32 copy that its variance is taken from


@dataclass(frozen=True, slots=True)
class Weights:
    """`count` equal tensors of `outputs` x `inputs` elements, each with a bias of `outputs` elements if `bias`.

    An embedding has `outputs` rows of width `inputs`; a norm has `outputs` scales and `inputs` is 1; a
    convolution's `inputs` is its fan-in (channels x kernel area). `used` is how many of the copies one token passes
    through, which is less than `count` for experts and more for shared layers. A `tied` tensor shares its storage
    with an embedding and adds no parameters.
    """

    name: str
    kind: Kind
    outputs: int
    inputs: int = 1
    bias: bool = False
    count: int = 1
    used: int = -1
    tied: bool = False
    per: Per = Per.SAMPLE

    @property
    def passes(self) -> int:
        """Copies that one token or sample passes through."""
        return self.count if self.used < 0 else self.used

    @property
    def elements(self) -> int:
        """Elements of one copy, bias included."""
        return self.outputs * self.inputs + (self.outputs if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Stack:
    """Equal transformer layers, one after another. Widths are in elements, windows in tokens.

    `activation` is transformers' name of the function; `inner_dropout` tells that dropout stands between the two
    matrices of the feed-forward part as well; `fused_projections` that one matrix gives query, key and value, and
    `fused_gate` that one gives gate and up; `rotary` that queries and keys are turned by their positions, in
    `rotary_dim` elements of each head, 0 where in all; `query_key_norms` that they are normalized head by head.
    `parallel` tells that attention and feed-forward read the same hidden state, `shared_norm` that they share its
    normalized version too; `norms_behind` that the result of each is normalized before it is added, `post_norms` that
    only the sum is; `holds_attended` that the layer holds what attention gave until its own end, `holds_activated` that
    it holds what the activation gave so long, `holds_projections` that queries, keys and values are there until
    attention's sum is normalized; `attended_undropped` that no dropout stands behind attention's last matrix.

    `unfused_attention` tells that the class knows only eager attention, `fp32_scores` that this raises query and key to
    fp32 before their product, `fp32_softmax` the scores behind it; `capped_scores` that scores pass a tanh;
    `returns_scores` that the layer gives them back, asked or not; `keeps_states` that what each layer gives is kept to
    the end of the pass, asked or not; `local_layers` how many hide what is farther than a window by a mask alone;
    `fp32_routes` that what weighs the results of a token's experts is fp32, and so are these then. `relative_span` is
    how many tokens to either side positions are told apart that are attended to beside the content, 0 where
    they are not; `whole_span` that all of them are, however few the tokens.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    norm: Norm
    causal: bool
    activation: str
    gated: bool = False
    inner_dropout: bool = False
    fused_projections: bool = False
    fused_gate: bool = False
    rotary: bool = False
    rotary_dim: int = 0
    query_key_norms: bool = False
    parallel: bool = False
    shared_norm: bool = False
    norms_behind: bool = False
    post_norms: bool = False
    holds_attended: bool = False
    holds_activated: bool = False
    holds_projections: bool = False
    attended_undropped: bool = False
    unfused_attention: bool = False
    fp32_scores: bool = False
    fp32_softmax: bool = False
    capped_scores: bool = False
    returns_scores: bool = False
    keeps_states: bool = False
    relative_span: int = 0
    whole_span: bool = False
    cross_attention: bool = False
    position_bias: bool = False
    window_tokens: int | None = None
    window_layers: int = 0
    local_layers: int = 0
    experts: int = 0
    experts_per_token: int = 0
    fp32_routes: bool = False
    hidden_dropout: float = 0.0
    attention_dropout: float = 0.0

    @property
    def turned_dim(self) -> int:
        """Elements of a head that positions turn, where they turn any."""
        return self.rotary_dim or self.head_dim

    @property
    def query_width(self) -> int:
        """Elements of all query heads of one token."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Elements of all key heads (and of all value heads) of one token."""
        return self.kv_heads * self.head_dim

    @property
    def mlp_matrices(self) -> int:
        """Matrices of the feed-forward part, or of one expert, each of hidden x intermediate."""
        return 3 if self.gated else 2

    @property
    def expert_elements(self) -> int:
        """Elements of the matrices of one layer's experts; 0 of a layer that has none."""
        return self.experts * self.mlp_matrices * self.intermediate * self.hidden


@dataclass(frozen=True, slots=True)
class Image:
    """What a vision model reads. `patch_pixels` is None where the model has no patches."""

    height_pixels: int
    width_pixels: int
    channels: int
    patch_pixels: tuple[int, int] | None
    fixed_size: bool


@dataclass(frozen=True, slots=True)
class Wave:
    """One convolution along a sound, and an activation behind it: each of `width` channels has a value every `stride`.

    It reads `kernel` places at a time, with `padding` more at either end.
    """

    width: int
    kernel: int
    stride: int
    padding: int = 0

    def length(self, length: int) -> int:
        """Places that it gives of so many."""
        return max(0, length + 2 * self.padding - self.kernel) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Audio:
    """What a speech model hears, at 16,000 samples a second: the waveform itself, or log-mel frames, 100 a second.

    `mel_bins` are the values of a frame and `frames` how many the model takes, no more and no fewer; both are None for
    a model that hears the waveform, of any length. `waves` are the convolutions that make tokens of it.
    """

    mel_bins: int | None
    frames: int | None
    waves: tuple[Wave, ...]

    def places(self, seconds: int) -> int:
        """Frames, or values of the waveform, of a sound of this length."""
        return self.frames or seconds * SAMPLES_PER_SECOND

    def tokens(self, seconds: int) -> int:
        """Tokens that a sound of this length becomes."""
        length = self.places(seconds)
        for wave in self.waves:
            length = wave.length(length)
        return length


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with `same` padding; its output side is the image's side divided by `downscale`, rounded up.

    `activated` tells that an activation follows the normalization; `joins` that a residual is added (and an activation
    follows), which ends a layer.
    """

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    downscale: int
    activated: bool
    joins: bool = False


@dataclass(frozen=True, slots=True)
class Inverted:
    """A block that widens `channels_in` to `wide`, convolves each channel alone, and narrows to `channels_out`.

    It reads an image of which the sides are divided by `before`, and gives one where they are by `downscale`.
    """

    channels_in: int
    wide: int
    channels_out: int
    before: int
    downscale: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model's geometry and weights, from its transformers configuration.

    `max_positions` is how many tokens a sequence may have (None: no limit of the model's own). `tied` tells whether
    a freshly built model shares its output projection with its embedding; `checkpoint_tied` tells it of a published
    checkpoint, which for some T5 versions differs. `heads` holds, for each head that this kind of model can have,
    the weights it adds to `body`. `own_positions` tells that each sample's positions are computed of its
    own tokens, `projected_embeddings` that embeddings are widened by a matrix,
    `capped_logits` that logits pass a tanh. `checkpointable` that transformers can run its layers again in place of
    keeping what they save, `static_cache` that its generation reads a cache of
    fixed length rightly. `buffers` are floating-point elements in the weights' format that are no parameters,
    `table_bytes` the bytes of fixed tables (masks, positions) whose format does not follow the weights'.
    `unmodelled` names what of its layers the closed form of memory does not describe; where it is not empty, no need
    is given. `only_inference` names what of training and of analyses it does not, of which no need is given then.
    `unrunnable` says why the runner, which builds transformers' classes, cannot build this one.
    """

    model_type: str
    family: Family
    modality: Modality
    hidden: int
    body: tuple[Weights, ...]
    heads: tuple[tuple[Head, tuple[Weights, ...]], ...]
    encoder: Stack | None = None
    decoder: Stack | None = None
    vocab: int | None = None
    max_positions: int | None = None
    tied: bool = False
    checkpoint_tied: bool = False
    image: Image | None = None
    audio: Audio | None = None
    convolutions: tuple[Convolution, ...] = ()
    inverted: tuple[Inverted, ...] = ()
    labels: int | None = None
    own_positions: bool = False
    projected_embeddings: bool = False
    capped_logits: bool = False
    checkpointable: bool = True
    static_cache: bool = True
    buffers: int = 0
    table_bytes: int = 0
    unmodelled: str = ""
    only_inference: str = ""
    unrunnable: str = ""

    @property
    def position_table(self) -> bool:
        """Whether positions have embeddings of their own, which are added to those of words."""
        return any(one.kind is Kind.EMBEDDING and one.name == "embeddings.position" for one in self.body)

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """The transformer stacks, in the order in which they run."""
        return tuple(stack for stack in (self.encoder, self.decoder) if stack)

    def head_weights(self, head: Head) -> tuple[Weights, ...]:
        """The weights that this head adds; KeyError where this kind of model has no such head."""
        return dict(self.heads)[head]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Why no Architecture could be read; `field` is the configuration's field that decided."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"
