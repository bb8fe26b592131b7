"""The guide page is executed, on small folders in the place of what it would download."""

import io
import json
import re
from pathlib import Path

import huggingface_hub
import keras
import pytest
import sentencepiece
import tiny

import keras_transformer as kt

GUIDE = Path(__file__).parents[2] / "docs" / "zoo.md"
LINES = ["a dog runs .", "the house is small .", "once upon a time", "the capital of france"]
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def make_bert(folder, model_type):
    words = sorted({word for line in LINES for word in line.split()})
    folder.mkdir()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in dict.fromkeys(tokens)))
    if model_type == "bert":
        config = kt.TransformerConfig.preset("bert_tiny", vocabulary_size=60, **SIZES)
        model = kt.models.masked_language_model(config, next_sentence=True)
    else:
        config = kt.TransformerConfig.preset(
            "distilbert_base", vocabulary_size=60, pooler=True, pooler_activation="relu", **SIZES
        )
        model = kt.models.sequence_classifier(config, num_classes=2)
    model.name = model_type
    kt.zoo.save(tiny.randomize(model), folder)
    if model_type == "bert":  # as published, with more heads than the one it names
        settings = json.loads((folder / "config.json").read_text())
        settings["architectures"] = ["BertForMaskedLM"]
        (folder / "config.json").write_text(json.dumps(settings))
        (folder / "digests.json").unlink()


def make_embedder(folder):
    make_bert(folder, "bert")
    kinds = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [{"type": f"sentence_transformers.models.{n}", "path": p} for n, p in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "mean"}))


def make_gpt2(folder):
    tokenizer = kt.text.train_tokenizer("bpe", LINES, 270)
    config = kt.TransformerConfig.preset(
        "gpt2_small", vocabulary_size=tokenizer.vocabulary_size, **SIZES
    )
    kt.zoo.save(tiny.randomize(kt.models.decoder_only(config)), folder, tokenizer)


def make_marian(folder):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=out, vocab_size=26, minloglevel=2
    )
    folder.mkdir()
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(out.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    names = [pieces.id_to_piece(i) for i in range(3, len(pieces))]
    ids = {name: i for i, name in enumerate(["</s>", "<unk>", *names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    config = kt.TransformerConfig(
        len(ids), logits_bias=True, pad_id=ids["<pad>"], activation="silu", **SIZES
    )
    model = kt.models.encoder_decoder(config)
    model.name = "marian"
    kt.zoo.save(tiny.randomize(model), folder)
    settings = {
        "eos_token_id": 0,
        "pad_token_id": ids["<pad>"],
        "decoder_start_token_id": ids["<pad>"],
        "bad_words_ids": [[ids["<pad>"]]],
        "num_beams": 3,
        "max_length": 12,
    }
    (folder / "generation_config.json").write_text(json.dumps(settings))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with small folders of the names in the guide, and nothing else."""
    make_bert(tmp_path / "bert-base-uncased", "bert")
    make_bert(tmp_path / "distilbert-base-uncased-finetuned-sst-2-english", "distilbert")
    make_embedder(tmp_path / "all-MiniLM-L6-v2")
    make_gpt2(tmp_path / "gpt2")
    make_marian(tmp_path / "opus-mt-en-de")

    def download(hub_id, **_):
        folder = tmp_path / hub_id.split("/")[-1]
        if not folder.is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such thing")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)


def test_guide(hub, tmp_path, monkeypatch, capsys):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the guide is written for the TensorFlow backend")
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 8
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path / "user")
    namespace = {"__name__": "guide"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"docs/zoo.md, python block {number}", "exec"), namespace)
    said = capsys.readouterr().out
    assert "['logits/kernel', 'logits/bias']" in said
    assert "my-classifiers: no such folder" in said
    assert [file.name for file in Path().iterdir()] == ["my-classifier"]
