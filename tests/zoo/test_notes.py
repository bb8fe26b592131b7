"""What a folder says of generation and classes comes back from the model that it became."""

import json

import keras
import numpy as np
import pytest
import tiny

import keras_transformer as kt
from keras_transformer.zoo import ZooError

PAD = 10
OPUS = {
    "bad_words_ids": [[PAD]],
    "bos_token_id": 0,
    "decoder_start_token_id": PAD,
    "eos_token_id": [0, 3],
    "forced_eos_token_id": 0,
    "max_length": 12,
    "num_beams": 3,
    "pad_token_id": PAD,
}
LABELS = {
    "id2label": {"0": "NEGATIVE", "1": "NEUTRAL", "2": "POSITIVE"},
    "label2id": {"NEGATIVE": 0, "NEUTRAL": 1, "POSITIVE": 2},
    "problem_type": "single_label_classification",
}
BERT = {**tiny.BERT, "pooler": True}


def translator():
    model = kt.models.encoder_decoder(tiny.config(pad_id=PAD, logits_bias=True))
    return named(tiny.randomize(model), "marian")


def classifier(num_classes=3, **changes):
    model = kt.models.sequence_classifier(tiny.config(**{**BERT, **changes}), num_classes)
    return named(tiny.randomize(model), "bert")


def language_model():
    return named(tiny.randomize(kt.models.decoder_only(tiny.config(**tiny.GPT2))), "gpt2")


def named(model, name):
    model.name = name
    return model


def read(folder, name="config.json"):
    return json.loads((folder / name).read_text())


def add(folder, settings, name="config.json"):
    (folder / "digests.json").unlink(missing_ok=True)
    known = read(folder, name) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps(known | settings))


def saved(folder, model, settings, name="config.json"):
    kt.zoo.save(model, folder)
    add(folder, settings, name)
    return folder


def as_loaded(folder, tmp_path):
    return kt.zoo.load(folder)


def as_reloaded(folder, tmp_path):
    return tiny.reload(kt.zoo.load(folder), tmp_path)


def as_fine_tuned(folder, tmp_path):
    """As the recipes do it, to the end of a run."""
    kind = read(folder)["model_type"]
    model = (
        translator() if kind == "marian" else language_model() if kind == "gpt2" else classifier()
    )
    assert kt.zoo.load_weights(tiny.randomize(model, seed=5), folder) == []
    return tiny.reload(model, tmp_path)


WAYS = [as_loaded, as_reloaded, as_fine_tuned]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_a_translator_decodes_as_before(name, way, tmp_path):
    before = saved(tmp_path / "before", translator(), OPUS, name)
    kt.zoo.save(way(before, tmp_path), tmp_path / "after")
    assert OPUS.items() <= read(tmp_path / "after", name).items()
    assert (tmp_path / "after" / "generation_config.json").exists() == (name != "config.json")
    rows = [[5, 7, 3, 0], [9, 0]]
    with tiny.without_tracing():
        expected = kt.zoo.load_generator(before)(rows)
        found = kt.zoo.load_generator(tmp_path / "after")(rows)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("way", WAYS)
def test_several_ends_stay_several_beside_a_tokenizer_of_one(way, tmp_path):
    tokenizer = kt.text.train_tokenizer("bpe", ["the cat sat on the mat", "a dog"], 270)
    ends = {"eos_token_id": [7, 8], "bos_token_id": 5, "pad_token_id": 9}
    before = saved(tmp_path / "before", language_model(), ends)
    add(before, {**ends, "do_sample": True, "top_k": 3}, "generation_config.json")
    kt.zoo.save(way(before, tmp_path), tmp_path / "after", tokenizer)
    assert ends.items() <= read(tmp_path / "after").items()
    assert read(tmp_path / "after", "generation_config.json") == read(
        before, "generation_config.json"
    )
    generator = kt.zoo.load_generator(tmp_path / "after")
    assert (generator.end_ids, generator.start_id, generator.pad_id) == ((7, 8), 5, 9)


@pytest.mark.parametrize("way", WAYS)
def test_classes_keep_their_names(way, tmp_path):
    more = {**LABELS, "task_specific_params": {"a": [1, None, 0.5]}, "classifier_dropout": 0.3}
    before = saved(tmp_path / "before", classifier(), more)
    kt.zoo.save(way(before, tmp_path), tmp_path / "after")
    assert more.items() <= read(tmp_path / "after").items()


def test_what_is_of_the_file_alone_is_not_kept(tmp_path):
    of_the_file = {
        "torch_dtype": "float16",
        "_name_or_path": "elsewhere",
        "auto_map": {"AutoModel": "code.Model"},
        "transformers_version": "4.1.0",
    }
    before = saved(tmp_path / "before", classifier(), of_the_file)
    kt.zoo.save(kt.zoo.load(before), tmp_path / "after")
    assert read(tmp_path / "after") == {
        name: value
        for name, value in read(before).items()
        if name not in ("torch_dtype", "_name_or_path", "auto_map")
    } | {"transformers_version": "5.0.0"}


def default_labels(count):
    return {str(i): f"LABEL_{i}" for i in range(count)}


@pytest.mark.parametrize("settings", [{"id2label": None, "num_labels": 3}, LABELS])
def test_the_number_of_labels_without_their_names(settings, tmp_path):
    saved(tmp_path, classifier(), settings)
    model = kt.zoo.load(tmp_path)
    assert model.output_shape == (None, 3)
    kt.zoo.save(model, tmp_path)
    assert read(tmp_path)["id2label"] == (settings["id2label"] or default_labels(3))
    assert len(read(tmp_path)["label2id"]) == 3


def test_new_classes_do_not_get_the_names_of_old_ones(tmp_path):
    folder = saved(tmp_path / "masked", classifier(), LABELS)
    tokens = kt.models.token_classifier(tiny.config(**BERT), num_classes=3)
    assert kt.zoo.load_weights(tokens, folder) == ["logits/kernel", "logits/bias"]
    other = kt.models.masked_language_model(tiny.config(**BERT))
    kt.zoo.save(named(other, "bert"), tmp_path / "other")
    add(tmp_path / "other", LABELS)
    new = classifier()
    assert "logits/kernel" in kt.zoo.load_weights(new, tmp_path / "other")
    for model in (named(tokens, "bert"), new):
        kt.zoo.save(model, tmp_path / "new")
        settings = read(tmp_path / "new")
        assert settings["id2label"] == default_labels(3) and "problem_type" not in settings


def test_labels(tmp_path):
    model = classifier()
    kt.zoo.save(model, tmp_path, labels=["no", "perhaps", "yes"])
    assert read(tmp_path)["id2label"] == {"0": "no", "1": "perhaps", "2": "yes"}
    assert read(tmp_path)["label2id"] == {"no": 0, "perhaps": 1, "yes": 2}
    kt.zoo.save(kt.zoo.load(tmp_path), tmp_path, labels=["a", "b", "c"])
    assert read(tmp_path)["label2id"] == {"a": 0, "b": 1, "c": 2}
    for wrong in (["a", "b"], ["a", "b", "b"], []):
        with pytest.raises(ZooError, match="3 different labels"):
            kt.zoo.save(model, tmp_path, labels=wrong)
    with pytest.raises(ZooError, match="0 different labels"):
        kt.zoo.save(language_model(), tmp_path, labels=["a"])
    assert read(tmp_path)["label2id"] == {"a": 0, "b": 1, "c": 2}


OLD = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "generation_config.json",
    "pytorch_model.bin.index.json",
    "pytorch_model-00001-of-00002.bin",
    "tf_model.h5",
]
TOKENIZER = ["added_tokens.json", "sentencepiece.bpe.model", "tokenizer.json", "vocab.txt"]
USES = ["modules.json", "sentence_bert_config.json", "chat_template.jinja"]


@pytest.mark.parametrize("other", ["the same", "vocabulary", "size", "family"])
def test_files_of_the_old_checkpoint(other, tmp_path):
    kt.zoo.save(classifier(), tmp_path)
    for name in (*OLD, *TOKENIZER, *USES, "README.md"):
        (tmp_path / name).write_text("{}")
    model = {
        "the same": classifier,
        "vocabulary": lambda: classifier(vocabulary_size=15),
        "size": lambda: classifier(hidden_dim=16),
        "family": language_model,
    }[other]()
    kt.zoo.save(model, tmp_path)
    left = {"config.json", "digests.json", "model.safetensors", "README.md"}
    left |= set(TOKENIZER) if other != "vocabulary" else set()
    left |= set(USES) if other == "the same" else set()
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_tokenizer_that_was_there_first_stays(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]")
    kt.zoo.save(classifier(), tmp_path)
    assert (tmp_path / "vocab.txt").exists()


def test_generation_settings_that_are_broken_are_named(tmp_path):
    saved(tmp_path, language_model(), {})
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(ZooError, match=rf"^{tmp_path / 'generation_config.json'}: expected JSON"):
        kt.zoo.load(tmp_path)


def test_a_model_of_other_layers_has_no_notes(tmp_path):
    model = keras.Model(*(lambda m: (m.inputs, m.outputs))(language_model()), name="gpt2")
    kt.zoo.save(model, tmp_path)
    assert read(tmp_path)["model_type"] == "gpt2"
