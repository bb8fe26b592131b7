"""Importing the package is light: Keras and its backend, nothing else."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

HEAVY = {"keras_hub", "keras_nlp", "tensorflow_text", "tensorboard", "sentencepiece", "sacrebleu"}
CODE = """
import json, sys
import {}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
PACKAGES = ("", ".layers", ".models", ".generation", ".zoo")
OURS = ", ".join(f"keras_transformer{name}" for name in PACKAGES)


def imported(what, backend):
    """Top-level names of all modules after `import what`, in a new process."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(what)],
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
    keras, ours = imported("keras", backend), imported(OURS, backend)
    assert "keras_transformer" in ours
    more = {name for name in ours - keras if name not in sys.stdlib_module_names}
    assert more == {"keras_transformer"}
    assert not HEAVY & (ours - keras)


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
