"""Every example in a docstring, in the README and in the guides is executed; files named exist."""

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import keras
import pytest

import keras_transformer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PAGES = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
NEEDS_A_HUB = ["zoo.md"]  # executed by zoo/test_guide.py
# What these run on TensorFlow alone: tf.data, in-graph text, TensorBoard.
NEED_TENSORFLOW = ("data", "monitoring", "text", "training")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(keras_transformer.__path__, "keras_transformer.")
]


def name_of(page):
    return str(page.relative_to(ROOT))


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


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples(page, tmp_path, monkeypatch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the pages are written for the TensorFlow backend")
    text = page.read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert text.count("```") == 2 * len(blocks)  # what is not executed is indented
    if page.name in NEEDS_A_HUB:
        return
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": page.stem}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{name_of(page)}, python block {number}", "exec"), namespace)
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]*)\)", page.read_text()):
        if "://" not in link:
            path, _, heading = link.partition("#")
            target = page.parent / path if path else page
            assert target.is_file(), link
            assert not heading or heading in headings(target), link


def headings(page):
    """The headings as links name them."""
    titles = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_files_that_are_named_exist(page):
    folders = r"(?:keras_transformer|recipes|benchmarks|tests|docs|\.ci)"
    for name in re.findall(rf"(?<![\w./-]){folders}/[\w./-]*\w", page.read_text()):
        assert (ROOT / name).exists(), name


def test_what_contributors_are_told_of_files_is_so():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w./]+\.py)`", text)
    assert len(told) > 8
    for name, file in told:
        text = (ROOT / file).read_text()
        assert re.search(rf"^ {{0,4}}(def )?{name}\b.*( = |\()", text, re.MULTILINE), (name, file)


def test_the_readme_names_every_guide_and_is_two_screens():
    text = (ROOT / "README.md").read_text()
    for page in [*PAGES[1:], *OTHER_PAGES]:
        assert f"]({name_of(page)})" in text
    assert len(text.splitlines()) <= 110
