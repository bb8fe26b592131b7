"""What a generator reads is what it was given, or refused: never silently another text."""

import keras
import numpy as np
import pytest
import tiny

import keras_transformer as kt


@pytest.fixture(scope="module")
def models():
    return {family: tiny.make(family) for family in ("decoder_only", "encoder_decoder")}


def generator(model, **changes):
    settings = {"end_id": None, "start_id": tiny.START, "max_new_tokens": 2, **changes}
    return kt.Generator(model, **settings)


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
@pytest.mark.parametrize("token", [-1, tiny.VOCABULARY, 2**31, 2**32 + 5])
def test_ids_outside_the_vocabulary_are_refused(models, family, token):
    generate = generator(models[family])
    prompts = [[5, token, 3]], np.array([[5, token, 3]]), [[5, 3], [token]]
    for ids in prompts:
        for call in (generate, generate.n_best, lambda ids: next(generate.stream(ids, str))):
            with pytest.raises(ValueError, match=rf"from 0 to 10, .* Received: id={token}"):
                call(ids)


def test_the_table_is_the_inputs_own():
    source, target = (keras.Input((None,), dtype="int32") for _ in range(2))
    x = keras.layers.Embedding(50, 8)(source)
    memory = keras.layers.Identity(name="memory")(x)
    x = kt.PositionalEmbedding(tiny.VOCABULARY, 8)(target)
    x = keras.layers.Dense(tiny.VOCABULARY)(kt.DecoderBlock(2, 16)(x, memory))
    generate = generator(keras.Model([source, target], x))
    assert generate([[49]]).shape == (1, 2)
    with pytest.raises(ValueError, match="from 0 to 49"):
        generate([[50]])


def test_ids_are_whole_numbers_of_any_type(models):
    generate = generator(models["decoder_only"])
    expected = generate([[5, 7, 3]])
    for dtype in ("uint8", "int64", "float32"):
        np.testing.assert_array_equal(generate(np.array([[5, 7, 3]], dtype)), expected)
    with pytest.raises(ValueError, match="Expected whole numbers"):
        generate([[5, 7.5]])


@pytest.mark.parametrize("family", ["decoder_only", "encoder_decoder"])
def test_padding_on_the_left_is_refused(models, family):
    generate = generator(models[family])
    for ids in ([[0, 5, 7]], np.array([[5, 7, 3], [0, 0, 3]])):
        with pytest.raises(ValueError, match="padded on the right"):
            generate(ids)


def test_without_padding_the_end_fills_rows_up():
    model = tiny.make("decoder_only", pad_id=None)
    with pytest.raises(ValueError, match="Expected a pad_id for prompts of several lengths"):
        generator(model)([[5, 7], [3]])
    assert generator(model)([[5, 7], [0, 3]]).shape == (2, 4)  # 0 is a token like any other
    rows = generator(model, end_id=4)([[5, 7], [3]])
    np.testing.assert_array_equal(rows[0], generator(model, end_id=4)([[5, 7]])[0])
    short = rows[1]
    np.testing.assert_array_equal(short[:3], generator(model, end_id=4)([[3]])[0])
    assert short[3] == 4
    # As GPT-2's texts, which begin with the token that ends them.
    alone = generator(model, end_id=4)(np.array([[4, 5, 7]]))
    np.testing.assert_array_equal(alone[0, :3], [4, 5, 7])


@pytest.mark.skipif(tiny.BACKEND != "tensorflow", reason="RaggedTensors are TensorFlow's")
def test_ragged_tensors_are_lists_of_rows(models):
    import tensorflow as tf

    generate, rows = generator(models["decoder_only"]), [[5, 7, 3], [4]]
    np.testing.assert_array_equal(generate(tf.ragged.constant(rows)), generate(rows))
