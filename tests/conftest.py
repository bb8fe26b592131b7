"""What all tests share: paths, a quiet TensorFlow, and a seed before each test."""

import gc
import os
import sys
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # there is a process a core
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
gc.set_threshold(200_000)  # tracing makes many objects that stay: looking for others takes time
ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "recipes")]

import keras  # noqa: E402
import pytest  # noqa: E402

import keras_transformer  # noqa: E402
from keras_transformer.backend import compiling  # noqa: E402

# What an installation makes of the folder.
recipes = keras_transformer.recipes = types.ModuleType("keras_transformer.recipes")
recipes.__path__ = [str(ROOT / "recipes")]
sys.modules[recipes.__name__] = recipes


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True, scope="module")
def lasting():
    """What a file leaves behind (graphs, mostly) is not gone through by all later collections."""
    yield
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def generation_without_xla(request):
    """Saves time: XLA compiles tiny models more slowly. Only the tests of generation keep it."""
    with pytest.MonkeyPatch.context() as patch:
        if "generation" not in request.path.parts:
            patch.setattr(compiling, "is_faster_by_xla", lambda model: False)
        yield


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def precision(request):
    """A dtype policy, while the test lasts."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)
