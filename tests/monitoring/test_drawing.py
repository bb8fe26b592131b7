"""Pictures: the numbers behind them, and texts that are hard to draw."""

import warnings

import numpy as np
import pytest

from keras_transformer.monitoring import (
    alignment_figure,
    attention_figure,
    attention_images,
    position_figure,
)
from keras_transformer.monitoring.figures import pixels
from keras_transformer.monitoring.fonts import drawable

TOKENS = ["<s>", "$x_1$", "a\nb", "", " ", "<script>", "Ωß", "incomprehensibilities"]


def weights(rows, columns, heads=()):
    return np.random.default_rng(0).dirichlet(np.ones(columns), (*heads, rows)).astype("float32")


def labels(figure):
    [axes] = figure.get_axes()
    return [[x.get_text() for x in axis.get_ticklabels()] for axis in (axes.yaxis, axes.xaxis)]


def test_a_picture_shows_the_weights_it_is_given():
    found = weights(8, 3)
    for figure in (
        attention_figure(found, TOKENS, ["a", "b", "c"], title="$head"),
        alignment_figure(found, ["a", "b", "c"], TOKENS),
    ):
        [image] = figure.get_axes()[0].get_images()
        np.testing.assert_array_equal(image.get_array(), found)
        assert (image.norm.vmin, image.norm.vmax) == (0, 1)
        assert labels(figure)[1] == ["a", "b", "c"]


def test_any_token_is_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = attention_figure(weights(8, 8), TOKENS)
        pixels(figure)
    rows, columns = labels(figure)
    assert rows == columns
    assert rows == ["<s>", "$x_1$", "aU+000Ab", "␣", "␣", "<script>", "Ωß", "incomprehen…"]


def test_of_a_long_text_the_first_tokens_are_drawn_and_it_is_said():
    figure = attention_figure(weights(30, 25), ["q"] * 30, ["k"] * 25, max_tokens=20)
    [axes] = figure.get_axes()
    assert axes.get_images()[0].get_array().shape == (20, 20)
    assert axes.get_ylabel() == "looks (the first 20 of 30 tokens)"
    assert axes.get_xlabel() == "looked at (the first 20 of 25 tokens)"
    figure = alignment_figure(weights(30, 5), ["s"] * 5, ["t"] * 30)
    assert figure.get_axes()[0].get_xlabel() == "the first 20 of 30 words of the translation"


def test_many_heads_at_once_are_the_same_pictures():
    found = weights(6, 6, heads=[3])
    tokens = list("abcdef")
    images = attention_images(found, tokens)
    for head, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(image, pixels(attention_figure(head, tokens)))
    assert not np.array_equal(images[0], images[1])


def test_weights_of_other_tokens_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), as there are tokens.*shape \(3, 2\)"):
        attention_figure(weights(3, 2), ["a", "b"], ["c", "d", "e"])
    with pytest.raises(ValueError, match=r"\(positions, D\)"):
        position_figure(np.zeros(3))


def test_positions_and_their_similarities():
    table = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    values, similarity = position_figure(table).get_axes()
    np.testing.assert_array_equal(values.get_images()[0].get_array(), table)
    expected = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    np.testing.assert_allclose(similarity.get_images()[0].get_array(), expected)
    pixels(position_figure(np.zeros((4, 2))))  # which has no directions


def test_a_script_without_a_font_is_named_and_shown_by_numbers():
    private = "\U000f0000"  # no font has what has no meaning
    with pytest.warns(UserWarning, match="Expected a font for UNKNOWN.*000f0000"):
        shown, families = drawable(["a" + private, "b"])
    assert shown == ["aU+F0000", "b"] and families == ["DejaVu Sans"]


def test_another_font_is_found_for_what_the_first_one_lacks(monkeypatch):
    """Fonts of this machine, whichever they are."""
    import keras_transformer.monitoring.fonts as fonts

    known = {fonts.FIRST: frozenset(b"a"), "Other": frozenset(b"b"), "Third": frozenset(b"c")}
    monkeypatch.setattr(fonts, "_characters_of", known.__getitem__)
    monkeypatch.setattr(fonts, "_all_families", lambda: set(known))
    fonts._families.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawable(["ab"]) == (["ab"], [fonts.FIRST, "Other"])
    fonts._families.cache_clear()
