"""Memory stays flat, in a small share of `benchmarks/soak.py`."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak():
    spec = importlib.util.spec_from_file_location("soak", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name, scale", [("Generator", 0.01), ("fit", 0.1)])
def test_memory_is_flat(soak, name, scale):
    found = soak.in_process(name, scale)
    _, rise, _ = soak.after_the_first(found["places"], found["memory"], share=0.4)
    assert rise < 2  # MiB; a kilobyte a call would be as much


def test_rise_and_slope(soak):
    places, memory = [10, 20, 50, 100], [50.0, 100.0, 100.3, 100.8]
    first, rise, slope = soak.after_the_first(places, memory, share=0.2)
    assert first == 100.0 and rise == pytest.approx(0.8) and slope == pytest.approx(10.0)


def test_the_picture_is_drawn(soak, tmp_path):
    found = {"fit": {"places": [2, 4], "memory": [1.0, 2.0]}}
    soak.draw(found, tmp_path / "pictures" / "soak.svg")
    assert "<svg" in (tmp_path / "pictures" / "soak.svg").read_text()
