"""Tiny models with random weights, and the few things that tests of all layers need."""

import contextlib

import keras
import numpy as np
from keras import ops

import keras_transformer as kt

BACKEND = keras.backend.backend()
VOCABULARY, PAD, END, START = 11, 0, 1, 2

# What published families are in our settings.
BERT = {
    "position": "learned",
    "scale_embedding": False,
    "embedding_norm": True,
    "num_segments": 2,
    "activation": "gelu",
    "layer_norm_epsilon": 1e-12,
}
GPT2 = {
    "position": "learned",
    "scale_embedding": False,
    "normalize_first": True,
    "activation": "gelu_tanh",
    "pad_id": None,
}
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


def randomize(model, seed=0, scale=0.4):
    """Random values for all weights, so that no bias or norm hides behind its first 0 or 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        center = 1.0 if weight.name in ("gamma", "scale") else 0.0
        spread = scale if len(weight.shape) > 1 else 0.1  # large biases drown the tokens
        weight.assign(rng.normal(center, spread, weight.shape))
    return model


def make(family, architecture="post_norm", **changes):
    return randomize(getattr(kt.models, family)(config(architecture, **changes)))


def make_talkative(family, architecture="post_norm", **changes):
    """With weights that make greedy search say more than one word again and again."""
    model = make(family, architecture, tie_embeddings=False, **changes)
    source = [5, 7, 3] if family == "encoder_decoder" else None
    first = {"post_norm": 27, "window": 21}.get(architecture, 0) if source else 0  # saves time
    for seed in range(first, 100):
        randomize(model, seed)
        if len(set(greedy_by_hand(model, [START], 5, source=source))) > 2:
            return model
    raise AssertionError("every model repeats itself")


def language_model_by_hand(mask_zero=True):
    """Decoder-only, from layers, with implicit masks (or none), and one block called twice."""
    token_ids = keras.Input((None,), dtype="int32")
    embedding = kt.PositionalEmbedding(VOCABULARY, 8, mask_zero=mask_zero)
    block = kt.DecoderBlock(2, 16, rotary=kt.RotaryEmbedding(), num_key_value_heads=1)
    x = block(block(embedding(token_ids)))
    attention = kt.MultiHeadSelfAttention(2)(x, attention_mask=kt.CausalMask(window=4)(x))
    x = keras.layers.Add()([x, attention])  # not +, which drops implicit masks
    x = kt.FeedForward(16)(kt.EncoderBlock(2, 16)(x, attention_mask=kt.CausalMask()(x)))
    return randomize(keras.Model(token_ids, embedding(x, reverse=True)))


def translator_by_hand(mask_zero=True):
    """Encoder-decoder, from layers, with implicit masks (or none) and two token tables."""
    source_ids = keras.Input((None,), dtype="int32")
    target_ids = keras.Input((None,), dtype="int32")
    x = kt.PositionalEmbedding(VOCABULARY, 6, position="learned", mask_zero=mask_zero)(source_ids)
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
    """Switches compilation off, so that every call of a layer and every step of a loop is seen."""
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


def without_tracing():
    """Saves TensorFlow seconds of tracing where it does not matter whether a loop is compiled."""
    return run_eagerly() if BACKEND == "tensorflow" else contextlib.nullcontext()


def log_probabilities(model, *ids):
    logits = forward(model, *ids).astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def greedy_by_hand(model, prompt, count, end_id=None, source=None):
    """The new tokens of one row, by argmax and without a cache: a list of at most `count`."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count and (len(ids) == len(prompt) or ids[-1] != end_id):
        inputs = ([source], [ids]) if source is not None else ([ids],)
        ids.append(int(forward(model, *inputs)[0, -1].argmax()))
    return ids[len(prompt) :]


def padded(rows, length, pad_id=PAD):
    return np.array([[*row, *[pad_id] * (length - len(row))] for row in rows], "int32")
