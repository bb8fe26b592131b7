"""Fine-tuning: what learns, what is frozen, and what is saved."""

import keras
import numpy as np
import pytest

import keras_transformer as kt

CONFIG = {
    "vocabulary_size": 20,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": 16,
    "dropout": 0.0,
}
IDS = (np.arange(9)[None] + np.arange(1, 11)[:, None]).astype("int32")  # each the one before, + 1


def values(model):
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


def logits(model):
    return keras.ops.convert_to_numpy(keras.ops.cast(model(IDS), "float32"))


def test_it_learns_in_few_weights_and_is_saved_as_a_plain_model(precision, tmp_path):
    model = kt.models.decoder_only(kt.TransformerConfig(**CONFIG))
    first = logits(model)
    trainable, total = kt.training.enable_lora(model, 4)
    np.testing.assert_array_equal(logits(model), first)
    assert total == model.count_params() and trainable < 0.15 * total
    assert trainable == sum(w.value.shape.num_elements() for w in model.trainable_weights)
    before = values(model)
    optimizer = kt.training.adamw(model, 1e-2, weight_decay=0.01, clip_norm=1.0)
    model.compile(optimizer, kt.training.MaskedCrossentropy(pad_id=-1))
    losses = model.fit(IDS[:, :-1], IDS[:, 1:], epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
    after = values(model)
    for path in after:
        assert np.array_equal(before[path], after[path]) == ("/lora_kernel_" not in path), path

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert again.count_params() == total - trainable
    assert len(again.trainable_weights) == len(again.weights)
    # The sum that is saved is not that of rounded terms.
    exact = 1e-5 if precision == "float32" else 0.05 * np.abs(logits(model)).max()
    np.testing.assert_allclose(logits(again), logits(model), atol=exact)
    saved = values(again)
    for layer in (layer for layer in model._flatten_layers() if hasattr(layer, "lora_kernel_a")):
        kernel, a, b = (
            after[f"{layer.path}/{name}"] for name in ("kernel", "lora_kernel_a", "lora_kernel_b")
        )
        np.testing.assert_allclose(saved[f"{layer.path}/kernel"], kernel + a @ b, atol=1e-6)
    generators = [kt.Generator(m, end_id=None, max_new_tokens=5) for m in (model, again)]
    prompts = IDS[:3, :4]
    np.testing.assert_array_equal(*(generate(prompts) for generate in generators))


def test_goes_to_the_zoo_merged(tmp_path):
    config = kt.TransformerConfig.preset("gpt2_small", **CONFIG)
    model = kt.models.decoder_only(config)
    first = logits(model)
    kt.training.enable_lora(model, 2)
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    assert np.abs(logits(model) - first).max() > 0.01
    kt.zoo.save(model, tmp_path)
    np.testing.assert_allclose(logits(kt.zoo.load(tmp_path)), logits(model), atol=1e-4)


def test_a_new_head_learns_as_a_whole():
    config = kt.TransformerConfig(**CONFIG, pooler=True)
    model = kt.models.sequence_classifier(config, 3)
    kt.training.enable_lora(model, 1, new=["logits"])
    whole = {w.path for w in model.trainable_weights if "/lora_kernel_" not in w.path}
    assert whole == {"logits/kernel", "logits/bias"}


@pytest.mark.parametrize("rank", [0, -1])
def test_a_rank_below_1_is_refused_and_changes_nothing(rank):
    model = kt.models.decoder_only(kt.TransformerConfig(**CONFIG))
    with pytest.raises(ValueError, match="Expected a rank of at least 1"):
        kt.training.enable_lora(model, rank)
    assert len(model.trainable_weights) == len(model.weights)


def test_a_model_of_other_layers_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="with blocks of this package"):
        kt.training.enable_lora(model, 1)


def lora_model(rank=4, seed=0, quantize=None):
    """A model with LoRA, compiled, whose weights the seed says."""
    keras.utils.set_random_seed(seed)
    model = kt.models.decoder_only(kt.TransformerConfig(**CONFIG))
    if quantize:
        model.quantize(quantize, filters=lambda layer: isinstance(layer, keras.layers.Dense))
    kt.training.enable_lora(model, rank)
    model.compile(
        kt.training.Adam(1e-2), kt.training.MaskedCrossentropy(pad_id=-1), run_eagerly=True
    )
    return model


def fit(model, epochs=1, **kwargs):
    kwargs = {"shuffle": False, "batch_size": 10, "verbose": 0, **kwargs}
    return model.fit(IDS[:, :-1], IDS[:, 1:], epochs=epochs, **kwargs).history["loss"]


def assert_goes_on_learning(model):
    before = values(model)
    fit(model, 2)
    after = values(model)
    factors = [path for path in after if "/lora_kernel_" in path]
    assert factors and all(not np.array_equal(before[path], after[path]) for path in factors)


@pytest.mark.parametrize("quantize", [None, "int8", "int4"])
def test_loaded_weights_go_on_learning(quantize, tmp_path):
    model = lora_model(quantize=quantize)
    fit(model, 2)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    expected, before = logits(model), values(model)
    for other in (model, lora_model(seed=1, quantize=quantize)):
        other.load_weights(path)
        np.testing.assert_array_equal(logits(other), expected)
        for name, value in values(other).items():
            if "/lora_kernel_" in name:
                np.testing.assert_array_equal(value, before[name])
        assert_goes_on_learning(other)


def test_weights_from_and_for_models_without_lora_or_of_another_rank(tmp_path):
    model = lora_model()
    fit(model, 2)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    plain = kt.models.decoder_only(kt.TransformerConfig(**CONFIG))
    plain.load_weights(path)
    np.testing.assert_allclose(logits(plain), logits(model), atol=1e-5)
    other = lora_model(rank=2, seed=1)
    other.load_weights(path)
    np.testing.assert_allclose(logits(other), logits(model), atol=1e-5)
    assert_goes_on_learning(other)

    plain.save_weights(path)
    model.load_weights(path)
    np.testing.assert_allclose(logits(model), logits(plain), atol=1e-5)
    assert_goes_on_learning(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    kt.training.enable_lora(again, 4)
    np.testing.assert_allclose(logits(again), logits(model), atol=1e-5)
    again.compile(kt.training.Adam(1e-2), kt.training.MaskedCrossentropy(pad_id=-1))
    assert_goes_on_learning(again)


def test_callbacks_that_reload_weights(tmp_path):
    whole = lora_model()
    losses = fit(whole, 4)

    part = lora_model()
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True)
    fit(part, 2, callbacks=[best])
    again = lora_model(seed=1)
    again.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(logits(again), logits(part))
    assert_goes_on_learning(again)

    class Interrupted(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    backups = [keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)]
    with pytest.raises(KeyboardInterrupt):
        fit(lora_model(), 4, callbacks=[*backups, Interrupted()])
    resumed = lora_model(seed=1)
    np.testing.assert_allclose(fit(resumed, 4, callbacks=backups), losses[2:], rtol=1e-4)
    np.testing.assert_allclose(logits(resumed), logits(whole), atol=1e-3)

    stop = keras.callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True)
    model = lora_model()
    first = fit(model, 3, callbacks=[stop])[0]
    assert stop.stopped_epoch == 1 and fit(model)[0] < first
    assert_goes_on_learning(model)


@pytest.mark.parametrize("num_blocks", [0, 1, 2])
def test_frozen_blocks_and_embeddings_keep_their_weights(num_blocks):
    config = kt.TransformerConfig(**CONFIG, num_segments=2, embedding_norm=True)
    model = kt.models.sequence_classifier(config, 3)
    kt.training.freeze(model, num_blocks)
    before = values(model)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch([IDS, np.zeros_like(IDS)], np.arange(10) % 3)
    changed = {path.split("/")[0] for path, w in values(model).items() if (w != before[path]).any()}
    assert changed >= {f"encoder_block_{i}" for i in range(num_blocks, 2)} | {"logits"}
    frozen = {f"encoder_block_{i}" for i in range(num_blocks)}
    assert not changed & {"embedding", "segment_embedding", "embedding_norm", *frozen}


@pytest.mark.parametrize("num_blocks", [-1, 3])
def test_more_blocks_than_there_are_cannot_be_frozen(num_blocks):
    model = kt.models.sequence_classifier(kt.TransformerConfig(**CONFIG), 3)
    said = f"from 0 to the 2 blocks of the model. Received: num_blocks={num_blocks}"
    with pytest.raises(ValueError, match=said):
        kt.training.freeze(model, num_blocks)
    assert len(model.trainable_weights) == len(model.weights)
