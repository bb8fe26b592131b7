"""The architecture of a model, and the table of named sizes."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import reprlib
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.layers.projection import has_bias
from keras_transformer.layers.rotary_scaling import frequencies
from keras_transformer.reading import parse_json

MOST_LAYERS = 10_000
POSITIONS = ("sinusoidal", "learned", "rotary", None)
_SIZES = (
    *("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
    "max_sequence_length",
)
_SWITCHES = (
    *("gated", "normalize_first", "scale_embedding", "tie_embeddings", "logits_bias"),
    *("embedding_norm", "pooler"),
)


@dataclasses.dataclass(frozen=True)
class TransformerConfig:
    """What a Transformer is made of; the only home of the models' defaults.

    The defaults are those of Vaswani et al. 2017, "Attention Is All You Need", table 3, base.

    Args:
        vocabulary_size: V, tokens in the vocabulary, padding included.
        num_layers: blocks; of the encoder where there are an encoder and a decoder.
        num_decoder_layers: blocks of an encoder-decoder's decoder. None means as many.
        num_heads: N, attention heads.
        hidden_dim: D, width of the residual stream.
        intermediate_dim: F, width inside the feed-forward networks.
        max_sequence_length: tokens; the rows of a learned position table.
        dropout: share of embeddings and of sublayer outputs dropped in training.
        attention_dropout: share of attention weights dropped in training.
        activation: nonlinearity of the feed-forward networks, a name that Keras knows.
        gated: whether feed-forward networks are gated.
        norm: `"layer_norm"` or `"rms_norm"`.
        layer_norm_epsilon: added to the variance in the norms.
        normalize_first: pre-norm instead of post-norm; a last norm then closes each stack.
        use_bias: whether projections and feed-forward networks add biases; or a list with the names
            of those that do: `"query_key_value"`, in cross-attention `"query"` and `"key_value"`,
            `"output"`, `"expand"` and `"contract"`.
        position: `"sinusoidal"`, `"learned"`, `"rotary"` or None.
        rotary_base: the slowest wavelength of rotary positions over 2 pi.
        rotary_scaling: how rotary positions are stretched, see `RotaryEmbedding`. None does not.
        num_key_value_heads: K, heads of keys and values; None means N.
        key_dim: H, the size of a head; None means D / N.
        window: how many tokens back a decoder's token sees, itself included; None means all.
        scale_embedding: whether token embeddings are multiplied by sqrt(D).
        tie_embeddings: whether the logits' matrix is the token table.
        logits_bias: whether a decoder's logits have a bias (a masked language model's always do).
        num_segments: rows of the segment table (BERT's token types); 0 means none.
        embedding_norm: whether an encoder's embeddings, and those of its decoder, are normalised,
            as in BERT and BART.
        pooler: whether an encoder-only model has BERT's pooled output.
        pooler_activation: nonlinearity of the pooled output.
        initializer_range: standard deviation of normal initial values. 0 means zeros, which cost
            nothing where weights are loaded; None Glorot uniform kernels and embeddings with
            D ** -0.5.
        pad_id: the padding token; None when the vocabulary has none.
        line_start_id: the token that begins a line, where one row may hold several: attention then
            stays inside a line, and positions restart with it. None means that a row is one line.

    Raises:
        ValueError: for values that do not fit together.

    Example:

    >>> config = TransformerConfig(vocabulary_size=100, hidden_dim=64, num_heads=4)
    >>> TransformerConfig.from_json(config.to_json()) == config
    True
    """

    vocabulary_size: int
    num_layers: int = 6
    num_decoder_layers: int | None = None
    num_heads: int = 8
    hidden_dim: int = 512
    intermediate_dim: int = 2048
    max_sequence_length: int = 512
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "relu"
    gated: bool = False
    norm: str = "layer_norm"
    layer_norm_epsilon: float = 1e-5
    normalize_first: bool = False
    use_bias: bool | list = True
    position: str | None = "sinusoidal"
    rotary_base: float = 10000.0
    rotary_scaling: dict | None = None
    num_key_value_heads: int | None = None
    key_dim: int | None = None
    window: int | None = None
    scale_embedding: bool = True
    tie_embeddings: bool = True
    logits_bias: bool = False
    num_segments: int = 0
    embedding_norm: bool = False
    pooler: bool = False
    pooler_activation: str = "tanh"
    initializer_range: float | None = None
    pad_id: int | None = 0
    line_start_id: int | None = None

    def __post_init__(self):
        self._require(_is_size, "a positive integer", *_SIZES)
        optional = "num_decoder_layers", "key_dim", "window"
        self._require(_or_none(_is_size), "a positive integer or None", *optional)
        self._require(lambda x: _is_whole(x) and x >= 0, "an integer of at least 0", "num_segments")
        self._require(_is_share, "at least 0 and below 1", "dropout", "attention_dropout")
        self._require(_is_not_negative, "a number of at least 0", "layer_norm_epsilon")
        optional = "initializer_range"
        self._require(_or_none(_is_not_negative), "a number of at least 0 or None", optional)
        self._require(lambda x: isinstance(x, bool), "True or False", *_SWITCHES)
        names = "activation", "pooler_activation"
        self._require(lambda x: isinstance(x, str), "a name that Keras knows", *names)
        self._require(lambda x: x in POSITIONS, f"one of {POSITIONS}", "position")
        most = f"up to {MOST_LAYERS:,}"  # more are a mistake, or an attack
        for name in ("num_layers", "num_decoder_layers"):
            self._require(lambda x: x is None or x <= MOST_LAYERS, most, name)
        # These raise for a name that no projection has, and for an unknown scaling.
        has_bias(self.use_bias, "output")
        frequencies(self.rotary_base, 2, self.rotary_scaling)
        norms = "layer_norm", "rms_norm"
        self._require(lambda x: x in norms, "'layer_norm' or 'rms_norm'", "norm")
        require(
            self.key_dim or self.hidden_dim % self.num_heads == 0,
            "hidden_dim to be a multiple of num_heads unless key_dim is given",
            hidden_dim=self.hidden_dim,
            num_heads=self.num_heads,
        )
        heads = self.num_key_value_heads
        require(
            heads is None or (_is_size(heads) and self.num_heads % heads == 0),
            "num_key_value_heads to divide num_heads",
            num_key_value_heads=heads,
            num_heads=self.num_heads,
        )
        require(
            self.position != "rotary" or self.head_dim % 2 == 0,
            "an even head size for rotary positions",
            key_dim=self.head_dim,
        )
        for name in ("pad_id", "line_start_id"):
            value = getattr(self, name)
            require(
                value is None or (_is_whole(value) and 0 <= value < self.vocabulary_size),
                f"{name} to be a token of the vocabulary or None",
                **{name: value, "vocabulary_size": self.vocabulary_size},
            )

    def _require(self, is_right, expected, *names):
        for name in names:
            value = getattr(self, name)
            require(is_right(value), f"{name} to be {expected}", **{name: value})

    @property
    def head_dim(self) -> int:
        """H, the size of a head."""
        return self.key_dim or self.hidden_dim // self.num_heads

    @classmethod
    def preset(cls, name: str, **changes: Any) -> TransformerConfig:
        """The named size, with `changes` to single fields.

        Raises:
            ValueError: for an unknown name, with the closest one that exists.

        >>> TransformerConfig.preset("gpt2_small", dropout=0.0).hidden_dim
        768
        >>> TransformerConfig.preset("gpt_small")
        Traceback (most recent call last):
        ValueError: Expected name to be a preset, such as 'gpt2_small'. Received: name='gpt_small'
        """
        closest = (difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0) or list(PRESETS))[0]
        require(name in PRESETS, f"name to be a preset, such as {closest!r}", name=name)
        return cls(**{**PRESETS[name], **changes})

    def modernized(self) -> TransformerConfig:
        """The parts of Llama 2 (Touvron et al. 2023), with as many weights in the matrices.

        Example:

        >>> config = TransformerConfig.preset("gpt_mini").modernized()
        >>> config.position, config.norm, config.num_key_value_heads
        ('rotary', 'rms_norm', 3)
        """
        heads = max(1, self.num_heads // 2)
        if self.num_heads % heads:
            heads = self.num_heads
        freed = 2 * (self.num_heads - heads) * self.head_dim
        return dataclasses.replace(
            self,
            position="rotary",
            norm="rms_norm",
            activation="silu",
            gated=True,
            use_bias=False,
            num_key_value_heads=heads,
            intermediate_dim=max(1, (2 * self.intermediate_dim + freed) // 3),  # three matrices now
        )

    def to_json(self) -> str:
        """The fields as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> TransformerConfig:
        """The config that `to_json` wrote.

        Raises:
            ValueError: for other text, and as the class.
        """
        fields = parse_json(text.encode(), "a config")
        is_whole = isinstance(fields, dict) and "vocabulary_size" in fields
        require(is_whole, "a JSON object with a vocabulary_size", reprlib.repr(fields))
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        require(not unknown, f"fields among {sorted(known)}", fields=unknown)
        try:
            return cls(**fields)
        except TypeError as error:  # a field is missing, or of another type
            raise refusal("the fields that to_json wrote", str(error)) from None


# Values are those that JSON gives back as they were.
def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value):
    return _is_whole(value) and value > 0


def _is_not_negative(value):
    return (_is_whole(value) or isinstance(value, float)) and 0 <= value < math.inf


def _is_share(value):
    return _is_not_negative(value) and value < 1


def _or_none(is_right):
    return lambda value: value is None or is_right(value)


def _sizes(shared, **rows):
    names = "num_layers", "num_heads", "hidden_dim", "intermediate_dim"
    return {
        name: shared | dict(zip(names, sizes, strict=True)) | (changes[0] if changes else {})
        for name, (sizes, *changes) in rows.items()
    }


# Vaswani et al. 2017, table 3; tiny as in Wu et al. 2021 for Multi30k.
_VASWANI = {"vocabulary_size": 37000, "max_sequence_length": 1024}
# Radford et al. 2019.
_GPT2 = {
    "vocabulary_size": 50257,
    "max_sequence_length": 1024,
    "attention_dropout": 0.1,
    "activation": "gelu_tanh",
    "normalize_first": True,
    "position": "learned",
    "scale_embedding": False,
    "initializer_range": 0.02,
    "pad_id": None,
}
# Devlin et al. 2019; the small ones are Turc et al. 2019.
_BERT = {
    "vocabulary_size": 30522,
    "max_sequence_length": 512,
    "attention_dropout": 0.1,
    "activation": "gelu",
    "layer_norm_epsilon": 1e-12,
    "position": "learned",
    "scale_embedding": False,
    "num_segments": 2,
    "embedding_norm": True,
    "pooler": True,
    "initializer_range": 0.02,
}
PRESETS = {
    **_sizes(
        _VASWANI,
        transformer_tiny=((4, 4, 128, 256), {"vocabulary_size": 9712, "dropout": 0.3}),
        transformer_base=((6, 8, 512, 2048),),
        transformer_big=((6, 16, 1024, 4096), {"dropout": 0.3}),
    ),
    **_sizes(
        _GPT2,
        gpt2_small=((12, 12, 768, 3072),),
        gpt2_medium=((24, 16, 1024, 4096),),
        gpt2_large=((36, 20, 1280, 5120),),
        gpt2_xl=((48, 25, 1600, 6400),),
        # Karpathy 2020, minGPT.
        gpt_mini=((6, 6, 192, 768),),
        gpt_micro=((4, 4, 128, 512),),
        gpt_nano=((3, 3, 48, 192),),
    ),
    **_sizes(
        _BERT,
        bert_tiny=((2, 2, 128, 512),),
        bert_mini=((4, 4, 256, 1024),),
        bert_small=((4, 8, 512, 2048),),
        bert_medium=((8, 8, 512, 2048),),
        bert_base=((12, 12, 768, 3072),),
        bert_large=((24, 16, 1024, 4096),),
        # Sanh et al. 2019.
        distilbert_base=((6, 12, 768, 3072), {"num_segments": 0, "pooler": False}),
    ),
}
