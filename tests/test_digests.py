"""What files held when they were written is known, and that they hold something else is seen."""

import hashlib
import json

import pytest

import keras_transformer as kt
from keras_transformer.digests import check_digest, forget_digests
from keras_transformer.text import load_tokenizer, train_tokenizer
from keras_transformer.text.tokenizers import KINDS
from keras_transformer.zoo.tokenizers import save_tokenizer

SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
LINES = ["a dog runs in the small house", "the cat is old"] * 20


def flip(path, place=-3):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def model():
    config = kt.TransformerConfig.preset("gpt2_small", vocabulary_size=300, **SIZES)
    return kt.models.decoder_only(config)


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_every_file_of_a_published_folder_is_known(name, model, tmp_path):
    kt.zoo.save(model, tmp_path, train_tokenizer("bpe", LINES, 280))
    kt.zoo.load(tmp_path)
    kt.zoo.load_tokenizer(tmp_path)
    flip(tmp_path / name)
    load = kt.zoo.load_tokenizer if "tokenizer" in name else kt.zoo.load
    with pytest.raises(ValueError, match=f"{tmp_path / name}: expected what digests.json says"):
        load(tmp_path)
    (tmp_path / "digests.json").write_text("{}")
    with pytest.raises(ValueError, match=r"digests.json: expected digests of files"):
        load(tmp_path)


def test_what_was_changed_on_purpose_is_read_without_digests(model, tmp_path):
    kt.zoo.save(model, tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"layer_norm_epsilon": 1e-3}))
    (tmp_path / "digests.json").unlink()
    assert kt.zoo.load_config(tmp_path).layer_norm_epsilon == 1e-3


def test_digests_follow_what_is_written(model, tmp_path):
    def noted():
        return set(json.loads((tmp_path / "digests.json").read_text())["sha256"])

    weights = {"config.json", "model.safetensors"}
    kt.zoo.save(model, tmp_path)
    assert noted() == weights
    save_tokenizer(train_tokenizer("bpe", LINES, 280), tmp_path)
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert noted() == weights | tokenizer
    kt.zoo.save(model, tmp_path)  # the tokenizer stays
    assert noted() == weights | tokenizer
    kt.zoo.load_tokenizer(tmp_path)
    other = kt.TransformerConfig.preset("gpt2_small", vocabulary_size=290, **SIZES)
    kt.zoo.save(kt.models.decoder_only(other), tmp_path)  # of another vocabulary: it goes
    assert noted() == weights
    forget_digests(tmp_path, ["config.json"])
    assert noted() == {"model.safetensors"}


@pytest.mark.parametrize("size", [40, 64])
def test_what_the_hub_calls_a_file(size, tmp_path):
    content = b"some weights"
    known = hashlib.sha256(content) if size == 64 else hashlib.sha1(b"blob 12\0" + content)
    blob = tmp_path / "blobs" / known.hexdigest()
    blob.parent.mkdir()
    blob.write_bytes(content)
    link = tmp_path / "snapshots" / "0123" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(f"../../blobs/{known.hexdigest()}")
    check_digest(link)
    blob.write_bytes(b"some weighty")
    with pytest.raises(ValueError, match=f"{link}: expected what the hub gave"):
        check_digest(link)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runs_vocabulary_is_known(kind, tmp_path):
    tokenizer = train_tokenizer(kind, LINES)
    tokenizer.save(tmp_path)
    path = tmp_path / tokenizer.file
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, -2):
        flip(path, place)
        with pytest.raises(ValueError, match=f"{tokenizer.file} as it was written"):
            load_tokenizer(tmp_path)
        path.write_bytes(whole)
    path.write_bytes(whole[: whole.rindex(b"\n")] if b"\n" in whole else whole[:-9])
    with pytest.raises(ValueError, match=f"{tokenizer.file} as it was written"):
        load_tokenizer(tmp_path)
    path.write_bytes(whole)
    settings = json.loads((tmp_path / "tokenizer.json").read_text())
    del settings["sha256"]  # as earlier versions wrote it
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
    assert load_tokenizer(tmp_path).vocabulary == tokenizer.vocabulary


def test_a_published_vocabulary_of_a_run_is_known(tmp_path):
    save_tokenizer(train_tokenizer("bpe", LINES, 280), tmp_path / "published")
    kt.zoo.load_tokenizer(tmp_path / "published").save(tmp_path / "run")
    load_tokenizer(tmp_path / "run")
    flip(tmp_path / "run" / "published" / "tokenizer.json", 500)
    with pytest.raises(ValueError, match=r"tokenizer.json: expected what digests.json says"):
        load_tokenizer(tmp_path / "run")


@pytest.mark.parametrize("rows", [290, 301, 400])
def test_a_vocabulary_of_another_size_than_the_models(rows, tmp_path):
    save_tokenizer(train_tokenizer("bpe", LINES, 280), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": rows}))
    if rows < 400:
        kt.zoo.load_tokenizer(tmp_path)
    else:
        with pytest.raises(ValueError, match=r"vocab_size=400 of config.json. Received: 280"):
            kt.zoo.load_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 200}))
    with pytest.raises(ValueError, match=r"vocab_size=200 of config.json. Received: 280"):
        kt.zoo.load_tokenizer(tmp_path)
