"""The rows and columns of the mask matrix: what a forward pass may be like, and what is changed."""

import dataclasses
import functools

import keras
from mask_models import PAD

from keras_transformer.zoo.families import FAMILIES

BASES = ("decoder-only", "encoder-only", "encoder-decoder")
KINDS = {"decoder": "decoder-only", "encoder": "encoder-only", "seq2seq": "encoder-decoder"}
CHANGES = ("future token", "target padding", "source padding", "packed neighbour")
DECODERS_ONLY = ("future token", "target padding")


@dataclasses.dataclass(frozen=True, order=True)
class Setup:
    """One way to run one model. The defaults are the plain one.

    Attributes:
        base: one of `BASES`, or the name of a family of the zoo.
        training: whether dropout drops, alike in all runs that are compared.
        scope: whether an `AttentionScope` is on; its weights are compared, too.
        precision: what is computed in.
        how: `"eager"`, `"graph"` or `"XLA"`.
        cache: whether tokens go through a `CacheScope`, four at first and then one by one.
        reloaded: whether the model went through a `.keras` file.
        side: where rows have their padding.
        packed: whether rows hold several lines.
        window: whether tokens see three tokens back at most.
        grouped: whether all heads of queries share the keys and values of one.
    """

    base: str = "decoder-only"
    training: bool = False
    scope: bool = False
    precision: str = "float32"
    how: str = "eager"
    cache: bool = False
    reloaded: bool = False
    side: str = "right"
    packed: bool = False
    window: bool = False
    grouped: bool = False

    @property
    def kind(self) -> str:
        """The base that the model is like."""
        return self.base if self.base in BASES else kind_of_family(self.base)

    @property
    def model_of(self) -> "Setup":
        """The `Setup` with the same model: how it is run is no matter of how it is built."""
        return dataclasses.replace(self, scope=False, how="eager", cache=False, side="right")

    @property
    def hides_padding(self) -> bool:
        """Whether the vocabulary has a token that is padding."""
        return self.base in BASES or FAMILIES[self.base].constants.get("pad_id", PAD) is not None


# What each property says of a `Setup`.
PROPERTIES = {
    "dropout, training=True": {"training": True},
    "AttentionScope": {"scope": True},
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "eager": {"how": "eager"},
    "graph": {"how": "graph"},
    "XLA": {"how": "XLA"},
    "cache": {"cache": True},
    "no cache": {"cache": False},
    "reloaded .keras": {"reloaded": True},
    "padded right": {"side": "right"},
    "padded left": {"side": "left"},
    "packed rows": {"packed": True},
    "window": {"window": True},
    "GQA": {"grouped": True},
}


@functools.cache
def kind_of_family(name):
    """The base that the first architecture of a family, which all others contain, is like."""
    heads = {head.kind for head in FAMILIES[name].heads.values()}
    return next(base for kind, base in KINDS.items() if kind in heads)


def setup_of(base, properties, change):
    """`(Setup, None)` of a base with properties, or `(None, the reason why there is none)`."""
    fields = {"base": base}
    for name in properties:
        for field, value in PROPERTIES[name].items():
            if fields.setdefault(field, value) != value:
                return None, "a pass is one or the other of two such properties"
    if change == "packed neighbour":  # which only a packed row has
        fields["packed"] = True
    setup = Setup(**fields)
    reason = not_applicable(setup, change)
    return (None, reason) if reason else (setup, None)


def not_applicable(setup, change):
    """Why a change says nothing of a setup, or the setup cannot be; None where it can."""
    backend = keras.config.backend()
    encoder, both = setup.kind == "encoder-only", setup.kind == "encoder-decoder"
    family = FAMILIES.get(setup.base)
    reasons = {
        "PyTorch runs eagerly: the package compiles nothing for it": (
            setup.how != "eager" and backend == "torch"
        ),
        "on JAX all that is compiled is compiled by XLA": (
            setup.how == "graph" and backend == "jax"
        ),
        "an encoder sees later tokens, and has no target": encoder and change in DECODERS_ONLY,
        "a decoder alone has no source": (
            setup.kind == "decoder-only" and change == "source padding"
        ),
        "an encoder reads all of its tokens at once, without a cache": encoder and setup.cache,
        "an encoder-decoder has a line a row: cross-attention knows no lines": (
            both and setup.packed
        ),
        "in a cache a row is one line, that of its prompt": (
            setup.cache and change == "packed neighbour"
        ),
        "targets of an encoder-decoder begin with their start token, so none is padded left": (
            both and setup.side == "left" and change in DECODERS_ONLY
        ),
        "the family has no window": (
            family and setup.window and "sliding_window" not in family.fields
        ),
        "the family has no grouped heads": (
            family and setup.grouped and "num_key_value_heads" not in family.defaults
        ),
        "the family's vocabulary has no padding, so nothing but a cache hides it on the left": (
            not setup.hides_padding
            and setup.side == "left"
            and not setup.cache
            and change == "target padding"
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
