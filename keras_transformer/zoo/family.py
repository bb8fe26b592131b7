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
# ours: theirs
ENDINGS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "scale": "weight"}


class Head(NamedTuple):
    """What a checkpoint's architecture is in our models.

    Attributes:
        kind: `"encoder"`, `"masked"`, `"classifier"`, `"decoder"` or `"seq2seq"`.
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
        supported: dict, their setting: the only value of it that our layers have.
        constants: dict, our settings that are the same in all of the family.
        heads: dict, architecture: `Head`.
        names: dict, our layer (with `{i}` for the number of a block): their layer, or a list of
            theirs that are joined.
        transposed: whether kernels are `(outputs, inputs)`, as PyTorch's linear layers have them.
        shift: what our norms' scales are more than theirs.
        unused: pattern of names of tensors that say nothing new.
    """

    model_type = prefix = ""
    fields = defaults = supported = constants = heads = names = {}
    transposed = True
    shift = 0.0
    unused = r"position_ids$|rotary_emb\.inv_freq$"

    def head(self, settings, folder):
        """The `Head` of a `config.json`; without architectures, the first of the family."""
        names = settings.get("architectures") or list(self.heads)[:1]
        if names[0] not in self.heads:
            raise ZooError(
                f"{folder}: expected an architecture among {', '.join(self.heads)}. "
                f"Received: {names[0]}"
            )
        return self.heads[names[0]]

    def to_config(self, settings, folder="config.json"):
        """The `TransformerConfig` of a `config.json`."""
        settings = {**self.defaults, **settings}
        for name, only in self.supported.items():
            if name in settings and settings[name] != only:
                raise ZooError(
                    f"{folder}: expected {name}={only!r}, the only one our layers have. "
                    f"Received: {name}={settings[name]!r}"
                )
        try:
            fields = {ours: settings[theirs] for theirs, ours in self.fields.items()}
        except KeyError as error:
            raise ZooError(f"{folder}: config.json lacks {error}") from None
        if fields["activation"] not in ACTIVATIONS:
            raise ZooError(
                f"{folder}: expected an activation among {', '.join(ACTIVATIONS)}. "
                f"Received: {fields['activation']!r}"
            )
        fields["activation"] = ACTIVATIONS[fields["activation"]]
        try:
            return TransformerConfig(**{**self.constants, **fields, **self.more_fields(settings)})
        except (ValueError, TypeError) as error:
            raise ZooError(f"{folder}: {error}") from None

    def to_settings(self, config):
        """The `config.json` of a `TransformerConfig`, or None if this family cannot express it."""
        theirs = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
        settings = {
            "model_type": self.model_type,
            **self.supported,
            **{theirs: getattr(config, ours) for theirs, ours in self.fields.items()},
        }
        for name, ours in self.fields.items():
            if ours == "activation":
                settings[name] = theirs.get(config.activation)
            if settings[name] is None and ours == "initializer_range":
                settings[name] = 0.02
        settings |= self.more_settings(config)
        try:
            same = self.to_config(settings)
        except ZooError:
            return None
        # What changes nothing in what the model says of a row of one line.
        no_matter = {
            "initializer_range": same.initializer_range,
            "dropout": same.dropout,
            "attention_dropout": same.attention_dropout,
            "pooler": same.pooler,
            "pooler_activation": same.pooler_activation,
            "line_start_id": None,
            "logits_bias": same.logits_bias or config.logits_bias,  # without one it is zeros
        }
        if same.pad_id is None:
            no_matter["pad_id"] = None
        return settings if dataclasses.replace(config, **no_matter) == same else None

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
            row=names == ["final_logits_bias"],
        )

    def zeros(self, config, head):
        """`{name: shape}` of tensors that all of the family have, where ours are without."""
        return {}

    def table(self, key, names, shape, config):
        """The `Tensor` of a table of embeddings."""
        return Tensor(names, [shape[-1]])

    def full_names(self, names):
        """`{name as in a model with a head: name in the file}`."""
        known = {}
        bare = self.prefix and not any(name.startswith(self.prefix) for name in names)
        starts = tuple(name.split(".")[0] + "." for name in self._heads_names())
        for name in names:
            full = name.replace("LayerNorm.gamma", "LayerNorm.weight")  # of BERT's first files
            full = full.replace("LayerNorm.beta", "LayerNorm.bias")
            if bare and not full.startswith(starts):
                full = self.prefix + full
            known[full] = name
        return known

    def left_over(self, names, config):
        """Those of the full `names` of a checkpoint that no model of the family has."""
        layers = [*self.names.values(), *self._heads_names()]
        flat = [n for name in layers for n in ([name] if isinstance(name, str) else name)]
        blocks = {True: config.num_decoder_layers or config.num_layers, False: config.num_layers}
        known = {n.format(i=i) for n in flat for i in range(blocks[".decoder." in n])}
        return sorted(
            name
            for name in names
            if name not in known
            and name.rpartition(".")[0] not in known
            and not re.search(self.unused, name)
        )

    def _heads_names(self):
        found = [name for head in self.heads.values() for name in head.names.values()]
        return [n for name in found for n in ([name] if isinstance(name, str) else name)]
