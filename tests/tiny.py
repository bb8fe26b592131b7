"""Tiny models with random weights, and the few things that tests of all layers need."""

import contextlib

import keras
import numpy as np
from keras import ops

import keras_transformer as kt

BACKEND = keras.backend.backend()
VOCABULARY, PAD, END, START = 11, 0, 1, 2

# One architecture for every way in which models differ.
ARCHITECTURES = {
    "post_norm": {},
    "pre_norm_learned": {"normalize_first": True, "position": "learned"},
    "rotary_grouped_gated": {
        "position": "rotary",
        "num_heads": 4,
        "num_key_value_heads": 2,
        "normalize_first": True,
        "norm": "rms_norm",
        "gated": True,
        "activation": "silu",
        "use_bias": False,
        "tie_embeddings": False,
    },
    "window": {"window": 3, "position": "rotary", "key_dim": 6},
}


def config(architecture="post_norm", **changes):
    fields = {
        "vocabulary_size": VOCABULARY,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 16,
        "max_sequence_length": 16,
    }
    return kt.TransformerConfig(**{**fields, **ARCHITECTURES[architecture], **changes})


def randomize(model, seed=0, scale=0.5):
    """Random values for all weights, biases and norms too, so that none hides behind a 0 or 1."""
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(0, scale, w.shape) for w in model.get_weights()])
    return model


def make(family, architecture="post_norm", **changes):
    return randomize(getattr(kt.models, family)(config(architecture, **changes)))


def language_model_by_hand(mask_zero=True):
    """Decoder-only, from layers, with implicit masks (or none), and one block called twice."""
    token_ids = keras.Input((None,), dtype="int32")
    embedding = kt.PositionalEmbedding(VOCABULARY, 8, mask_zero=mask_zero)
    block = kt.DecoderBlock(2, 16, rotary=kt.RotaryEmbedding(), num_key_value_heads=1)
    x = block(block(embedding(token_ids)))
    x = x + kt.MultiHeadSelfAttention(2)(x, attention_mask=kt.CausalMask(window=4)(x))
    x = kt.FeedForward(16)(kt.EncoderBlock(2, 16)(x, attention_mask=kt.CausalMask()(x)))
    return randomize(keras.Model(token_ids, embedding(x, reverse=True)))


def translator_by_hand(mask_zero=True):
    """Encoder-decoder, from layers, with implicit masks (or none) and two token tables."""
    source_ids = keras.Input((None,), dtype="int32")
    target_ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(VOCABULARY, 6, kind="learned", mask_zero=mask_zero)(source_ids)
    x = kt.EncoderBlock(2, 16)(kt.EncoderBlock(2, 16, normalize_first=True)(x))
    memory = keras.layers.Identity(name="memory")(x)
    x = kt.PositionalEmbedding(VOCABULARY, 8, mask_zero=mask_zero)(target_ids)
    for _ in range(2):
        x = kt.DecoderBlock(2, 16, normalize_first=True)(x, memory)
    logits = keras.layers.Dense(VOCABULARY)(x)
    return randomize(keras.Model([source_ids, target_ids], logits))


def reload(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def numpy(x):
    return ops.convert_to_numpy(x)


def forward(model, *ids):
    """Logits as NumPy, eager: no graph is traced."""
    inputs = [ops.convert_to_tensor(np.asarray(i, "int32")) for i in ids]
    return numpy(model(inputs if len(inputs) > 1 else inputs[0], training=False))


def random_ids(*shape, seed=0, low=3):
    """Tokens that are neither padding, start nor end."""
    return np.random.default_rng(seed).integers(low, VOCABULARY, shape, "int32")


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@contextlib.contextmanager
def run_eagerly():
    """Switches compilation off."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)
    elif BACKEND == "jax":
        import jax

        with jax.disable_jit():
            yield
    else:
        yield
