"""A small model learns to copy, and the generator reproduces what it has never seen."""

import keras
import numpy as np
import tiny
from tiny import END, START, VOCABULARY

import keras_transformer as kt

LENGTH = 6


def sequences(count, seed):
    """Sources `(count, LENGTH)` of 3 to LENGTH tokens; the targets are equal."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, VOCABULARY, (count, LENGTH), "int32")
    lengths = rng.integers(3, LENGTH + 1, (count, 1))
    return np.where(np.arange(LENGTH) < lengths, ids, 0).astype("int32"), lengths


def test_learns_to_copy():
    source, lengths = sequences(64 * 400, seed=0)
    labels = np.pad(source, ((0, 0), (0, 1)))
    np.put_along_axis(labels, lengths, END, axis=1)
    target = np.concatenate([np.full((len(source), 1), START), source], axis=1)

    config = tiny.config(num_layers=1, num_heads=4, hidden_dim=32, intermediate_dim=64, dropout=0.0)
    model = kt.models.encoder_decoder(config)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
    )
    model.fit([source, target], labels, batch_size=64, epochs=1, verbose=0)

    held_out, lengths = sequences(200, seed=1)
    generator = kt.Generator(model, END, start_id=START, max_new_tokens=LENGTH + 1)
    found = generator(held_out)
    expected = np.pad(held_out, ((0, 0), (0, 1)))
    np.put_along_axis(expected, lengths, END, axis=1)
    real = expected != 0
    assert (found == expected)[real].mean() >= 0.95
