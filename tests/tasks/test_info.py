"""What a folder holds, as `kt.tasks.info` says it."""

import dataclasses

import pytest
import tiny

import keras_transformer as kt
from keras_transformer.training.checkpoint_files import Position, save_checkpoint
from keras_transformer.training.run import Run


@pytest.fixture
def unfinished(tmp_path):
    """A run that was interrupted in its second epoch, and its model."""
    run = Run.create(tmp_path / "runs" / "cut", {"recipe": "causal_lm", "epochs": 5})
    kt.text.train_tokenizer("whitespace", ["a b c"]).save(run.folder)
    config = tiny.config()
    run.config_file.write_text(config.to_json())
    model = kt.models.decoder_only(config)
    model.compile("sgd", "mse")
    position = Position(epoch=1, batches=2, updates=7, seconds=3.0)
    save_checkpoint(run.checkpoints_folder / "update-0000000007.npz", model, position)
    return run, model


def test_a_run(unfinished):
    run, model = unfinished
    found = kt.tasks.info(run.folder)
    assert found["recipe"] == "causal_lm" and found["finished"] is False
    assert found["tokenizer"] == {"kind": "whitespace", "vocabulary_size": 7}
    assert found["config"] == dataclasses.asdict(tiny.config())
    assert found["progress"] == {
        "epochs": 1, "epochs_wanted": 5, "batches": 2, "updates": 7, "seconds": 3.0
    }  # fmt: skip
    assert found["parameters"] is None and found["scores"] == {}
    model.save(run.model_file)
    found = kt.tasks.info(run.folder)
    assert found["finished"] is True and found["parameters"] == model.count_params()
    run.save_metrics({"bleu": 12.5, "parameters": 99})
    found = kt.tasks.info(run.folder)
    assert found["parameters"] == 99 and found["scores"] == {"bleu": 12.5}


def test_a_run_before_its_first_checkpoint(unfinished):
    run, _ = unfinished
    run.checkpoints()[0].unlink()
    assert kt.tasks.info(run.folder)["progress"] == {"epochs": 0, "epochs_wanted": 5}


def test_no_weights_of_a_published_folder_are_read(tmp_path, monkeypatch):
    model = kt.models.decoder_only(tiny.config(**tiny.GPT2))
    kt.zoo.save(model, tmp_path)
    monkeypatch.setattr("keras_transformer.zoo.checkpoint.PublishedFolder.read", None)
    found = kt.tasks.info(tmp_path)
    assert found["architecture"] == "GPT2LMHeadModel" and found["head"] == "decoder"
    assert found["parameters"] == model.count_params()
    assert found["tokenizer"] is None
    assert found["config"]["num_layers"] == 2
