"""Every example in a docstring and in the README is executed."""

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import keras
import pytest

import keras_transformer

README = Path(__file__).parents[1] / "README.md"
# What these run on TensorFlow alone: tf.data, in-graph text, TensorBoard.
NEED_TENSORFLOW = ("data", "monitoring", "text", "training")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(keras_transformer.__path__, "keras_transformer.")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    if name.split(".")[1] in NEED_TENSORFLOW and keras.backend.backend() != "tensorflow":
        pytest.skip("these modules are for the TensorFlow backend")
    failed, _ = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL,
    )
    assert failed == 0


def test_every_public_layer_has_an_example():
    for name in keras_transformer.layers.__all__:
        examples = doctest.DocTestFinder(recurse=False).find(
            getattr(keras_transformer.layers, name), name
        )
        assert any(test.examples for test in examples), name


def test_readme(tmp_path, monkeypatch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the README is written for the TensorFlow backend")
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks or "```" not in README.read_text()
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)
    assert os.getcwd() == str(tmp_path)
