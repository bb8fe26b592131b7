"""Importing the package is light, Keras and its backend, and lets Keras load what we saved."""

import ast
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tiny

import keras_transformer as kt

PACKAGES = ("", ".layers", ".models", ".generation", ".zoo")
CODE = f"""
import json, sys
import keras
before = {{name.split(".")[0] for name in sys.modules}}
import {", ".join(f"keras_transformer{name}" for name in PACKAGES)}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}} - before)))
"""

LOAD = """
import json, sys
import keras_transformer, keras
model = keras.models.load_model(sys.argv[1])
print(json.dumps([model.evaluate(*[keras.ops.array([[3, 4, 5, 0]])] * 2, verbose=0),
                  sorted(keras.saving.get_custom_objects())]))
"""


WITHOUT_TENSORFLOW = """
import json, sys

class Nowhere:
    def find_spec(self, name, *args):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_text", "keras_hub", "keras_nlp"):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Nowhere())
import numpy as np
import keras_transformer as kt
sizes = dict(vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
model = kt.models.encoder_decoder(kt.TransformerConfig(**sizes))
model.compile(kt.training.Adam(1e-3), kt.training.MaskedCrossentropy())
model.fit([np.ones((2, 3), int)] * 2, np.ones((2, 3), int), verbose=0)
print(json.dumps(kt.Generator(model, 3, 2, max_new_tokens=4)([[5, 6]]).shape))
"""


def in_new_process(code, backend=None, *arguments):
    """What the code prints last, as JSON; with the backend of this process unless one is given."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment | {"KERAS_BACKEND": backend or keras.config.backend()},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def registered_names():
    """The registered names of all that the package's source registers with Keras."""
    for path in Path(kt.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(node, "decorator_list", ()):
                if "register_keras_serializable" in ast.unparse(decorator):
                    yield f"keras_transformer>{node.name}"


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_import_is_light(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    imported = set(in_new_process(CODE, backend))  # for us and not for Keras
    assert imported - sys.stdlib_module_names == {"keras_transformer"}


def test_jax_needs_no_tensorflow():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    assert in_new_process(WITHOUT_TENSORFLOW, "jax") == [1, 4]


def test_the_version_is_the_distribution_s():
    assert kt.__version__ == importlib.metadata.version("keras-transformer-zoo")


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (kt.training.Adam, kt.training.Noam(8, 4)),
        (kt.training.AdamW, kt.training.InverseSquareRoot(1e-3, 4)),
        (kt.training.AdamW, kt.training.LinearDecay(1e-3, 4, 9)),
    ],
)
def test_what_a_saved_file_names_is_known_after_the_import_alone(optimizer, schedule, tmp_path):
    model = tiny.make("decoder_only")
    metrics = [
        kt.training.MaskedAccuracy(),
        kt.training.Perplexity(),
        kt.training.TargetTokens(),
        kt.training.PaddingFraction(),
    ]
    model.compile(optimizer(schedule), kt.training.MaskedCrossentropy(), weighted_metrics=metrics)
    batch = [keras.ops.array([[3, 4, 5, 0]])] * 2
    model.fit(*batch, verbose=0)
    model.save(tmp_path / "model.keras")
    found, known = in_new_process(LOAD, None, str(tmp_path / "model.keras"))
    assert found == pytest.approx(model.evaluate(*batch, verbose=0), rel=1e-4)
    names = set(registered_names())
    assert len(names) > 25 and names <= set(known)


def test_subpackages_load_at_first_use():
    names = ("data", "generation", "layers", "models", "monitoring", "text", "training", "zoo")
    for name in names:
        assert getattr(kt, name).__name__ == f"keras_transformer.{name}"
    with pytest.raises(AttributeError, match="no attribute 'zoology'"):
        _ = kt.zoology


def test_public_names_exist():
    for module in (kt, kt.layers, kt.models, kt.generation, kt.zoo):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
