"""Runs that were made before the recipes became pages over tasks: they open, answer and go on."""

import json
import tarfile
from pathlib import Path

import pytest

import keras_transformer as kt
from keras_transformer.recipes import causal_lm, masked_lm, text_classification, translation

PAGES = {
    "translation": translation,
    "masked_lm": masked_lm,
    "text_classification": text_classification,
    "regression": text_classification,
    "causal_lm": causal_lm,
}


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """In a folder with the five runs, their text, and what they answered when they were made."""
    with tarfile.open(Path(__file__).with_name("before.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)


def said(name):
    return Path(name).read_text().splitlines()


def test_they_answer_as_they_did():
    lines = said("test.source")
    translate = kt.tasks.Translator.load("runs/translation", beams=2)
    assert translate(lines) == said("translated.txt")
    classify = kt.tasks.TextClassifier.load("runs/text_classification")
    answers = [f"{label}\t{probability:.4f}" for label, probability in classify(lines)]
    assert answers == said("classified.txt")
    measure = kt.tasks.TextClassifier.load("runs/regression")
    # Machines round the last of six digits otherwise.
    assert measure(lines) == pytest.approx([float(x) for x in said("numbers.txt")], rel=1e-5)
    fill = kt.tasks.MaskFiller.load("runs/masked_lm")
    rows = [f"{probability:.4f}\t{text}" for text, probability in fill("w1 [MASK] w3")]
    assert rows == said("filled.txt")[:-1]
    write = kt.tasks.TextGenerator.load("runs/causal_lm")
    assert ["w1 w2" + write("w1 w2", max_new_tokens=12)] == said("written.txt")


@pytest.mark.parametrize("name", PAGES)
def test_their_settings_repeat_them(name):
    stored = json.loads(Path(f"runs/{name}/settings.json").read_text())
    settings = PAGES[name].Settings.parse(["--settings", f"runs/{name}/settings.json"], "")
    stored["beams"] = stored.pop("beam", None)
    for field, value in vars(settings).items():
        if field != "name" and stored.get(field) is not None:
            assert value == (tuple(stored[field]) if isinstance(value, tuple) else stored[field])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_they_go_on(name):
    updates = kt.training.Run.open(f"runs/{name}").metrics["updates"]
    PAGES[name].main(["--resume", "--name", name, "--epochs", "3"])
    run = kt.training.Run.open(f"runs/{name}")
    assert run.metrics["updates"] == updates // 2 * 3
    assert run.settings["epochs"] == 3 and "beam" not in run.settings
