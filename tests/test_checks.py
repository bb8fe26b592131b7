import pytest

from keras_transformer.checks import refusal, require


def test_a_refusal_says_what_was_expected_and_what_came():
    assert str(refusal("a number", x="one")) == "Expected a number. Received: x='one'"
    assert str(refusal("a number", "none")) == "Expected a number. Received: none"
    error = refusal("a tab", "none", where="a.tsv, line 3", error=KeyError)
    assert isinstance(error, KeyError)
    assert error.args == ("a.tsv, line 3: expected a tab. Received: none",)


def test_what_is_required_is_refused_only_where_it_is_not():
    require(True, "a number", x="one")
    with pytest.raises(ValueError, match=r"^Expected a number. Received: x='one', y=2$"):
        require(False, "a number", x="one", y=2)
