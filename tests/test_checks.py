import pytest

from keras_transformer.checks import check_at_least, refusal, require, some


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


def test_arguments_are_at_least_what_they_must_be():
    check_at_least(1, rows=1, columns=2)
    with pytest.raises(ValueError, match=r"^Expected rows to be at least 1. Received: rows=0$"):
        check_at_least(1, columns=2, rows=0)


def test_what_nobody_would_read_to_its_end_is_shortened():
    with pytest.raises(ValueError, match=r"Received: x='a+\.\.\. \(9,004 characters\)$") as refused:
        require(False, "a number", x="a" * 9000)
    assert len(str(refused.value)) < 2100


def test_some_names_and_how_many_more():
    assert some("abc", count=3) == "a, b, c" and some([]) == ""
    assert some(range(1005), count=2) == "0, 1 and 1,003 more"
