"""The tiny models of the mask matrix: one of each base, and one of each family of the zoo."""

import dataclasses
import functools
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.models.model import of_dtype
from keras_transformer.zoo.families import FAMILIES

VOCABULARY, PAD, FILLER, START, EVERYWHERE = 13, 0, 1, 2, 3
ORDINARY = np.arange(3, VOCABULARY)  # EVERYWHERE, which is in every row, is the first of them
WINDOW = 3
BUILDERS = {
    "decoder-only": kt.models.decoder_only,
    "encoder-only": kt.models.encoder_only,
    "encoder-decoder": kt.models.encoder_decoder,
}
SIZES = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "pad_id": PAD,
    "max_sequence_length": 16,
}
# Settings of families that are not ours by another name.
FAMILY_SIZES = {
    "max_position_embeddings": 18,  # RoBERTa's begin at 2
    "n_inner": None,
    "head_dim": 4,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
}
DROPOUT = {"dropout": 0.3, "attention_dropout": 0.2}


def make(setup):
    """The model that a `Setup` runs."""
    return _make(setup.model_of)


@functools.lru_cache(maxsize=4)
def _make(setup):
    model = _of_base(setup) if setup.base in BUILDERS else _of_family(setup)
    if not setup.reloaded:
        return model
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.keras"))
        return keras.saving.load_model(Path(folder, "model.keras"))


def _of_base(setup):
    """Weights are float32, and what is computed is of the precision, as in training."""
    dtype = "float32" if setup.precision == "float32" else f"mixed_{setup.precision}"
    config = kt.TransformerConfig(
        **SIZES,
        **(DROPOUT if setup.training else {"dropout": 0.0}),
        window=WINDOW if setup.window else None,
        num_key_value_heads=1 if setup.grouped else None,
        line_start_id=START if setup.packed else None,
    )
    if setup.base == "encoder-only" and setup.window:
        return randomize(windowed_encoder(config, dtype))
    return randomize(BUILDERS[setup.base](config, dtype=dtype))


def windowed_encoder(config, dtype):
    """As `models.encoder_only`, of layers: the window of a config is its decoder's."""
    with of_dtype(dtype):
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        mask = kt.layers.PaddingMask(config.pad_id)(token_ids)
        positions = lines = None
        if config.line_start_id is not None:
            positions, lines = kt.layers.PackedLines(config.line_start_id)(token_ids)
        x = kt.PositionalEmbedding(
            config.vocabulary_size, config.hidden_dim, scale_embedding=True, name="embedding"
        )(token_ids, positions=positions)
        for i in range(config.num_layers):
            block = kt.EncoderBlock(
                config.num_heads,
                config.intermediate_dim,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                num_key_value_heads=config.num_key_value_heads,
                window=config.window,
                name=f"encoder_block_{i}",
            )
            x = block(x, mask=mask, attention_mask=lines)
        return keras.Model(token_ids, x)


def _of_family(setup):
    """A published folder, loaded; weights, too, are of the precision."""
    family = FAMILIES[setup.base]
    config = family.to_config(family_settings(family, setup))
    config = dataclasses.replace(config, pooler=False)  # DistilBERT's encoder has none
    with tempfile.TemporaryDirectory() as folder:
        model = randomize(BUILDERS[setup.kind](config))
        model.name = setup.base
        kt.zoo.save(model, folder)
        if not (setup.training or setup.packed):
            return kt.zoo.load(folder, dtype=setup.precision)
        # As who trains it further.
        config = dataclasses.replace(
            kt.zoo.load_config(folder),
            **(DROPOUT if setup.training else {}),
            line_start_id=START if setup.packed else None,
            pooler=False,
        )
        model = BUILDERS[setup.kind](config, dtype=setup.precision)
        kt.zoo.load_weights(model, folder)
        return model


def family_settings(family, setup):
    """The `config.json` of a tiny model."""
    sizes = {theirs: SIZES[ours] for theirs, ours in family.fields.items() if ours in SIZES}
    others = {
        **FAMILY_SIZES,
        "num_key_value_heads": 1 if setup.grouped else 2,
        "sliding_window": WINDOW if setup.window else None,
    }
    known = {name: value for name, value in others.items() if name in family.defaults}
    return {**sizes, **known}


def randomize(model):
    """Random values for all weights, so that no bias hides behind its first 0."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        center = 1.0 if weight.name in ("gamma", "scale") else 0.0
        spread = 0.4 if len(weight.shape) > 1 else 0.1
        weight.assign(rng.normal(center, spread, weight.shape))
    return model
