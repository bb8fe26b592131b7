"""What a family of published models is: a table of settings, and a table of names of tensors."""

import dataclasses
import re
from typing import NamedTuple

import numpy as np

from keras_transformer.config import TransformerConfig
from keras_transformer.zoo.checkpoint import ZooError

# theirs: ours
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
    "tanh": "tanh",
}
# What settings that may be null are otherwise.
NULLABLE = {
    "head_dim": int,
    "layer_types": list,
    "n_inner": int,
    "num_key_value_heads": int,
    "pad_token_id": int,
    "rope_parameters": dict,
    "rope_scaling": dict,
    "sliding_window": int,
}
# ours: theirs
ENDINGS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "scale": "weight"}


class Head(NamedTuple):
    """What a checkpoint's architecture is in our models.

    Attributes:
        kind: `"encoder"`, `"masked"`, `"pairs"` (masked, and next sentences), `"classifier"`,
            `"tokens"` (a classifier of each), `"answers"`, `"decoder"`, `"hidden"` (a decoder's
            states) or `"seq2seq"`.
        names: dict, our layers that only this head has: their names.
        may_lack: paths of our weights that stay zeros if the checkpoint has none.
    """

    kind: str
    names: dict = {}
    may_lack: tuple = ()


class Tensor(NamedTuple):
    """How one of our weights is made of published tensors, and they of it.

    Attributes:
        names: of the tensors, joined along the last axis of ours.
        sizes: of these parts, along that axis.
        transposed: whether theirs is `(outputs, inputs)`.
        shift: what ours is more than theirs.
        skip: rows of theirs, before the first of ours, that stand for no position.
        added: name of a tensor of one row, which ours has in every row; or None.
        row: whether theirs has a first axis of 1 more.
    """

    names: list
    sizes: list
    transposed: bool = False
    shift: float = 0.0
    skip: int = 0
    added: str | None = None
    row: bool = False

    def all_names(self):
        return [*self.names, *([self.added] if self.added else [])]

    def shapes(self, shape):
        """`{name: shape}` of the published tensors for one of ours of that shape."""
        shapes = {}
        for name, size in zip(self.names, self.sizes, strict=True):
            part = (*shape[:-1], size)
            part = part[::-1] if self.transposed else part
            part = (part[0] + self.skip, *part[1:]) if self.skip else part
            shapes[name] = (1, *part) if self.row else part
        return shapes | ({self.added: (1, shape[-1])} if self.added else {})

    def read(self, read):
        """Our array, of a function from names to their arrays."""
        parts = [read(name) for name in self.names]
        parts = [part.T for part in parts] if self.transposed else parts
        ours = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        ours = ours[0] if self.row else ours[self.skip :]
        ours = ours + self.shift if self.shift else ours
        return ours + read(self.added) if self.added else ours

    def write(self, ours):
        """`{name: array}` of our array."""
        theirs = ours - self.shift if self.shift else ours
        if self.skip:
            theirs = np.concatenate([np.zeros_like(theirs[:1])] * self.skip + [theirs])
        parts = np.split(theirs, np.cumsum(self.sizes)[:-1], axis=-1)
        parts = [part.T for part in parts] if self.transposed else parts
        parts = [part[None] for part in parts] if self.row else parts
        found = dict(zip(self.names, parts, strict=True))
        return found | ({self.added: np.zeros_like(ours[:1])} if self.added else {})


class Family:
    """One model type. Its subclasses are tables.

    Attributes:
        model_type: as in `config.json`.
        prefix: of all tensors of the headless model, where there is a head.
        fields: dict, their setting: ours.
        defaults: dict, what settings are when `config.json` leaves them out.
        supported: dict, their setting: the values of it that our layers have.
        constants: dict, our settings that are the same in all of the family.
        heads: dict, architecture: `Head`.
        names: dict, our layer (with `{i}` for the number of a block): their layer, or a list of
            theirs that are joined.
        same: dict, name of a tensor: name of the one whose values it repeats. With tied embeddings
            also those of `same_if_tied`.
        transposed: whether kernels are `(outputs, inputs)`, as PyTorch's linear layers have them.
        shift: what our norms' scales are more than theirs.
        unused: pattern of names of tensors that say nothing new: `transformers` computes them, too,
            or no output depends on them, or `computed` knows what they must be.
    """

    model_type = prefix = ""
    fields = defaults = supported = constants = heads = names = same = same_if_tied = {}
    transposed = True
    shift = 0.0
    unused = r"position_ids$|rotary_emb\.inv_freq$"

    def architecture(self, settings):
        """The architecture that a `config.json` names, or the first of the family."""
        names = settings.get("architectures") or list(self.heads)
        if not isinstance(names, list) or names[0] not in tuple(self.heads):
            raise ZooError(
                f"expected an architecture among {', '.join(self.heads)}. Received: {names}"
            )
        return names[0]

    def head(self, settings, names):
        """The `Head` of a `config.json`, beside tensors of these names."""
        head = self.heads[self.architecture(settings)]
        if head.kind not in ("decoder", "hidden"):
            return head
        # Whatever the architecture is called: its logits need the token table or a matrix.
        decoder, hidden = (
            next(head for head in self.heads.values() if head.kind == kind)
            for kind in ("decoder", "hidden")
        )
        matrix = decoder.names["logits_projection"] + ".weight"
        return decoder if self.is_tied(settings) or matrix in names else hidden

    def to_config(self, settings):
        """The `TransformerConfig` of a `config.json`."""
        settings = {**self.defaults, **settings}
        for name, default in self.defaults.items():
            check_type(name, settings[name], default)
        for name, values in self.supported.items():
            if name in settings and settings[name] not in values:
                raise ZooError(
                    f"expected {name} to be {' or '.join(map(repr, values))}, which is all that "
                    f"our layers have. Received: {settings[name]!r}"
                )
        fields = {ours: settings[theirs] for theirs, ours in self.fields.items()}
        if fields["activation"] not in ACTIVATIONS:
            raise ZooError(
                f"expected an activation among {', '.join(ACTIVATIONS)}. "
                f"Received: {fields['activation']!r}"
            )
        fields["activation"] = ACTIVATIONS[fields["activation"]]
        return TransformerConfig(**{**self.constants, **fields, **self.more_fields(settings)})

    def to_settings(self, config, kind):
        """The `config.json` of a model's `TransformerConfig`.

        Raises:
            ValueError: if no model of this family is the same.
        """
        theirs = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
        if config.activation not in theirs:
            raise ZooError(
                f"expected an activation among {', '.join(theirs)}. Received: {config.activation!r}"
            )
        # Nothing that is read from a file depends on these.
        config = dataclasses.replace(
            config, initializer_range=config.initializer_range or 0.02, line_start_id=None
        )
        fields = dataclasses.asdict(config)
        renamed = {**fields, "activation": theirs[config.activation]}
        settings = {
            "model_type": self.model_type,
            **{name: renamed[ours] for name, ours in self.fields.items()},
            **self.more_settings(config),
        }
        same = dataclasses.asdict(self.to_config(settings))
        no_matter = {"dropout", "attention_dropout"}  # for what a trained model says
        if kind not in ("classifier", "pairs"):
            no_matter |= {"pooler"} if config.pooler else {"pooler", "pooler_activation"}
        if same["pad_id"] is None:
            no_matter.add("pad_id")
        if not config.logits_bias:  # it is zeros
            no_matter.add("logits_bias")
        for name, ours in fields.items():
            if name not in no_matter and ours != same[name]:
                raise ZooError(f"expected {name}={same[name]!r}. Received: {name}={ours!r}")
        return settings

    def more_fields(self, settings):
        """Our settings that are not theirs by another name."""
        return {}

    def more_settings(self, config):
        """Their settings that are not ours by another name."""
        return {}

    def tensor(self, path, shape, config, head):
        """The `Tensor` of our weight at `path`, or None if a checkpoint with `head` has none."""
        layer, _, ending = path.rpartition("/")
        number = re.search(r"_block_(\d+)", layer)
        key = re.sub(r"_block_\d+", "_block_{i}", layer)
        found = {**self.names, **head.names}.get(key)
        if found is None:
            return None
        i = int(number[1]) if number else 0
        names = [name.format(i=i) for name in ([found] if isinstance(found, str) else found)]
        if ending == "embeddings":
            return self.table(key, names, shape, config)
        if ending not in ENDINGS:  # as of quantized weights
            return None
        if not names[0].endswith(("weight", "bias")):  # else it is the tensor's own name
            names = [f"{name}.{ENDINGS[ending]}" for name in names]
        sizes = [shape[-1] // len(names)] * len(names)
        if len(names) == 3:
            heads, others = config.num_heads, config.num_key_value_heads or config.num_heads
            sizes = [n * config.head_dim for n in (heads, others, others)]
        return Tensor(
            names,
            sizes,
            transposed=self.transposed and ending == "kernel",
            shift=self.shift if ending == "scale" else 0.0,
        )

    def zeros(self, config, head):
        """`{name: shape}` of tensors that all of the family have, where ours are without."""
        return {}

    def repeated(self, tied):
        """`{name: name of the tensor whose values it repeats}`, of the tensors of a file."""
        return {**self.same, **(self.same_if_tied if tied else {})}

    def is_tied(self, settings):
        """Whether a `config.json` says that the logits' matrix is the token table."""
        return {**self.defaults, **settings}["tie_word_embeddings"]

    def computed(self, name, config):
        """What a tensor must have that our layers compute, as an array, or None for any other."""
        return None

    def table(self, key, names, shape, config):
        """The `Tensor` of a table of embeddings."""
        return Tensor(names, [shape[-1]])

    def full_names(self, names):
        """`{name as in a model with a head: name in the file}`."""
        known = {}
        bare = self.prefix and not any(name.startswith(self.prefix) for name in names)
        heads = {name.split(".")[0] for name in _flat(*self._heads_names())}
        for name in names:
            full = name.replace("LayerNorm.gamma", "LayerNorm.weight")  # of BERT's first files
            full = full.replace("LayerNorm.beta", "LayerNorm.bias")
            if bare and full.split(".")[0] not in heads:
                full = self.prefix + full
            known[full] = name
        return known

    def is_known(self, name, head):
        """Whether a tensor that no weight of a model with `head` is made of is of other heads."""
        layers = _flat(self.names.get("pooled_output", []), *self._heads_names())
        layers -= _flat(*head.names.values())
        return name in layers or name.rpartition(".")[0] in layers or re.search(self.unused, name)

    def _heads_names(self):
        return [name for head in self.heads.values() for name in head.names.values()]


def check_type(name, value, default):
    """Raises unless a setting is of the type of its default, or null where it may be."""
    kind = NULLABLE.get(name, type(default))
    kinds = (int, float) if kind is float else kind
    is_bool = isinstance(value, bool)
    right = is_bool if kind is bool else isinstance(value, kinds) and not is_bool
    if not right and not (value is None and name in NULLABLE):
        raise ZooError(f"expected {name} to be of type {kind.__name__}. Received: {value!r}")


def _flat(*names):
    return {n for name in names for n in ([name] if isinstance(name, str) else name)}
