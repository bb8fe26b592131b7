"""Importing the package is light: Keras and its backend, nothing else."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

PACKAGES = ("", ".layers", ".models", ".generation", ".zoo")
CODE = f"""
import json, sys
import keras
before = {{name.split(".")[0] for name in sys.modules}}
import {", ".join(f"keras_transformer{name}" for name in PACKAGES)}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}} - before)))
"""


def imported(backend):
    """What is imported for us and not for Keras, in a new process: names of packages."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, "-c", CODE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_import_is_light(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    assert imported(backend) - sys.stdlib_module_names == {"keras_transformer"}


def test_subpackages_load_at_first_use():
    import keras_transformer as kt

    names = ("data", "generation", "layers", "models", "monitoring", "text", "training", "zoo")
    for name in names:
        assert getattr(kt, name).__name__ == f"keras_transformer.{name}"
    with pytest.raises(AttributeError, match="no attribute 'zoology'"):
        _ = kt.zoology


def test_public_names_exist():
    import keras_transformer as kt

    for module in (kt, kt.layers, kt.models, kt.generation, kt.zoo):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
