"""What a family of published models is: a table of settings, and a table of names of tensors."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from keras_transformer.checks import refusal, require
from keras_transformer.config import TransformerConfig
from keras_transformer.types import Shape
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.counterpart import Counterpart
from keras_transformer.zoo.heads import Head
from keras_transformer.zoo.settings import ACTIVATIONS, check_type

# ours: theirs
ENDINGS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "scale": "weight"}


class Family:
    """One model type. Its subclasses are tables.

    Attributes:
        model_type: as in `config.json`.
        prefix: of all tensors of the headless model, where there is a head.
        fields: dict, their setting: ours.
        defaults: dict, what settings are when `config.json` leaves them out.
        nullable: dict, settings that may be null: their type otherwise.
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

    model_type: str = ""
    prefix: str = ""
    fields: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    nullable: Mapping[str, type] = {}
    supported: Mapping[str, tuple[Any, ...]] = {}
    constants: Mapping[str, Any] = {}
    heads: Mapping[str, Head] = {}
    names: Mapping[str, Any] = {}
    same: Mapping[str, str] = {}
    same_if_tied: Mapping[str, str] = {}
    transposed: bool = True
    shift: float = 0.0
    unused: str = r"position_ids$|rotary_emb\.inv_freq$"

    def architecture(self, settings: dict[str, Any]) -> str:
        """The architecture that a `config.json` names, or the first of the family."""
        names = settings.get("architectures") or list(self.heads)
        require(
            isinstance(names, list) and names[0] in tuple(self.heads),
            f"an architecture among {', '.join(self.heads)}",
            str(names),
            error=ZooError,
        )
        return names[0]

    def head(self, settings: dict[str, Any], names: Iterable[str]) -> Head:
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

    def architecture_of(self, kind: str) -> str:
        """The first architecture whose head is of this kind."""
        for name, head in self.heads.items():
            if head.kind == kind:
                return name
        kinds = dict.fromkeys(head.kind for head in self.heads.values() if head.kind != "hidden")
        raise refusal(f"a model of kind {' or '.join(kinds)}", kind, error=ZooError)

    def to_config(self, settings: dict[str, Any]) -> TransformerConfig:
        """The `TransformerConfig` of a `config.json`."""
        settings = {**self.defaults, **settings}
        for name, default in self.defaults.items():
            if settings[name] is not None or name not in self.nullable:
                check_type(name, settings[name], self.nullable.get(name, type(default)))
        for name, values in self.supported.items():
            require(
                name not in settings or settings[name] in values,
                f"{name} to be {' or '.join(map(repr, values))}, which is all that our layers have",
                repr(settings.get(name)),
                error=ZooError,
            )
        fields = {ours: settings[theirs] for theirs, ours in self.fields.items()}
        _check_activation(fields["activation"], ACTIVATIONS)
        fields["activation"] = ACTIVATIONS[fields["activation"]]
        return TransformerConfig(**{**self.constants, **fields, **self.more_fields(settings)})

    def to_settings(self, config: TransformerConfig, kind: str) -> dict[str, Any]:
        """The `config.json` of a model's `TransformerConfig`.

        Raises:
            ValueError: if no model of this family is the same.
        """
        theirs = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
        _check_activation(config.activation, theirs)
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
                raise refusal(f"{name}={same[name]!r}", error=ZooError, **{name: ours})
        return settings

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Our settings that are not theirs by another name."""
        return {}

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        """Their settings that are not ours by another name."""
        return {}

    def counterpart(
        self, path: str, shape: Shape, config: TransformerConfig, head: Head
    ) -> Counterpart | None:
        """What our weight at `path` is in a checkpoint with `head`, or None if it has none."""
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
        return Counterpart(
            names,
            sizes,
            transposed=self.transposed and ending == "kernel",
            shift=self.shift if ending == "scale" else 0.0,
        )

    def zeros(self, config: TransformerConfig, head: Head) -> dict[str, Shape]:
        """`{name: shape}` of tensors that all of the family have, where ours are without."""
        return {}

    def repeated(self, tied: bool) -> dict[str, str]:
        """`{name: name of the tensor whose values it repeats}`, of the tensors of a file."""
        return {**self.same, **(self.same_if_tied if tied else {})}

    def is_tied(self, settings: dict[str, Any]) -> bool:
        """Whether a `config.json` says that the logits' matrix is the token table."""
        return {**self.defaults, **settings}["tie_word_embeddings"]

    def computed(self, name: str, config: TransformerConfig) -> np.ndarray | None:
        """What a tensor must have that our layers compute, as an array, or None for any other."""
        return None

    def table(
        self, key: str, names: list[str], shape: Shape, config: TransformerConfig
    ) -> Counterpart:
        """The `Counterpart` of a table of embeddings."""
        return Counterpart(names, [shape[-1]])

    def full_names(self, names: Iterable[str]) -> dict[str, str]:
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

    def is_known(self, name: str, head: Head) -> bool:
        """Whether a tensor that no weight of a model with `head` is made of is of other heads."""
        layers = _flat(self.names.get("pooled_output", []), *self._heads_names())
        layers -= _flat(*head.names.values())
        is_of_layer = not layers.isdisjoint((name, name.rpartition(".")[0]))
        return is_of_layer or bool(re.search(self.unused, name))

    def _heads_names(self):
        return [name for head in self.heads.values() for name in head.names.values()]


def _check_activation(name, known):
    require(name in known, f"an activation among {', '.join(known)}", repr(name), error=ZooError)


def _flat(*names):
    return {n for name in names for n in ([name] if isinstance(name, str) else name)}
