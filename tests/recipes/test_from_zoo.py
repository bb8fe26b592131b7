"""The recipes with published models: --from-zoo, --lora and --int8."""

import contextlib
import dataclasses
import functools
import io
import json
import shlex
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import sentencepiece
import tokenizers
import user

import keras_transformer as kt
from keras_transformer.recipes import (
    beginning,
    causal_lm,
    masked_lm,
    text_classification,
    translation,
)

LETTERS = "abcdefghij"  # each a word, always with the next one after it
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT = {
    "activation": "gelu", "layer_norm_epsilon": 1e-12, "position": "learned",
    "scale_embedding": False, "embedding_norm": True, "initializer_range": 0.02,
}  # fmt: skip
GPT2 = {
    "activation": "gelu_tanh", "normalize_first": True, "position": "learned", "pad_id": None,
    "scale_embedding": False, "initializer_range": 0.02,
}  # fmt: skip
LLAMA = {
    "activation": "silu", "gated": True, "norm": "rms_norm", "layer_norm_epsilon": 1e-6,
    "normalize_first": True, "position": "rotary", "scale_embedding": False, "dropout": 0.0,
    "use_bias": False, "pad_id": None, "tie_embeddings": False, "initializer_range": 0.02,
}  # fmt: skip


def sentence(start, count):
    return " ".join(LETTERS[(start + i) % 10] for i in range(count))


SENTENCES = [sentence(i, 4 + i % 5) for i in range(120)]
FEW = [sentence(i, 5) for i in range(8)]  # of one length: generation is compiled once


# Published folders: an architecture with random weights and a tokenizer of the family's own files.


def write_model(folder, family, build, vocabulary_size, **settings):
    config = kt.TransformerConfig(
        vocabulary_size=vocabulary_size, max_sequence_length=32, **SIZES, **settings
    )
    model = build(config)
    model.name = family
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, 0.2, weight.shape))
    kt.zoo.save(model, folder)


def byte_level(folder, special):
    """`vocab.json` and `merges.txt`; the number of tokens."""
    model = tokenizers.ByteLevelBPETokenizer()
    model.train_from_iterator(SENTENCES, 290, special_tokens=special, show_progress=False)
    model.save_model(str(folder))
    return model.get_vocab_size()


def pieces(path, lines):
    """A SentencePiece model; its pieces."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type="bpe", minloglevel=2,
        vocab_size=400, hard_vocab_limit=False, byte_fallback=path.name == "tokenizer.model",
    )  # fmt: skip
    path.write_bytes(out.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    return [model.id_to_piece(i) for i in range(model.get_piece_size())]


def bert(folder):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS]
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in tokens))
    build = kt.models.masked_language_model
    write_model(folder, "bert", build, len(tokens), num_segments=2, **BERT)


def distilbert(folder):
    bert(folder)
    write_model(folder, "distilbert", kt.models.masked_language_model, 15, **BERT)


def roberta(folder):
    size = byte_level(folder, ROBERTA)
    write_model(folder, "roberta", kt.models.masked_language_model, size, pad_id=1, **BERT)


def gpt2(folder):
    size = byte_level(folder, ["<|endoftext|>"])
    write_model(folder, "gpt2", kt.models.decoder_only, size, **GPT2)


def qwen2(folder):  # no start, padding is the end, a table with room for more tokens
    size = byte_level(folder, ["<|endoftext|>"]) + 9
    settings = {**LLAMA, "use_bias": ["query_key_value"], "num_key_value_heads": 1}
    write_model(folder, "qwen2", kt.models.decoder_only, size, **settings)


def llama(folder):  # no padding
    size = len(pieces(folder / "tokenizer.model", SENTENCES))
    write_model(folder, "llama", kt.models.decoder_only, size, **LLAMA)


def marian(folder):  # a model of pieces for each language, one vocabulary, padding last
    source = pieces(folder / "source.spm", SENTENCES)
    target = pieces(folder / "target.spm", [line.upper() for line in SENTENCES])
    shared = dict.fromkeys([*source, *target])
    tokens = ["</s>", "<unk>", *[t for t in shared if t not in ("</s>", "<unk>", "<s>")], "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    write_model(
        folder, "marian", kt.models.encoder_decoder, len(tokens), pad_id=len(tokens) - 1,
        activation="silu", logits_bias=True, initializer_range=0.02,
    )  # fmt: skip


def bart(folder):
    size = byte_level(folder, ROBERTA)
    write_model(
        folder, "bart", kt.models.encoder_decoder, size, pad_id=1, activation="gelu",
        position="learned", embedding_norm=True, scale_embedding=False, logits_bias=True,
        initializer_range=0.02,
    )  # fmt: skip


PUBLISHED = [bert, distilbert, roberta, gpt2, qwen2, llama, marian, bart]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    for make in PUBLISHED:
        (folder / make.__name__).mkdir()
        make(folder / make.__name__)
    for name, lines in (("text", SENTENCES), ("few", FEW)):
        text = "".join(line + "\n" for line in lines)
        (folder / name).write_text(text)
        (folder / f"{name}_shouted").write_text(text.upper())
    (folder / "documents").write_text("".join(f"{line}\n{line}\n\n" for line in FEW))
    (folder / "numbers").write_text("".join(f"{line}\t{i / 4}\n" for i, line in enumerate(FEW)))
    (folder / "table").write_text(
        "".join(f"{line}\t{'early' if line[0] in 'abcde' else 'late'}\n" for line in FEW)
    )
    return folder


@pytest.fixture(autouse=True)
def there(home, monkeypatch):
    monkeypatch.chdir(home)


COMMON = "--epochs 1 --warmup-updates 2 --dropout 0.1".split()
PAIRS = "--next-sentence --text documents --valid-text documents"
TRAINING = {
    translation: "--source few --target few_shouted --valid-source few "
    "--valid-target few_shouted --test-source few --test-target few_shouted --max-length 24 "
    "--batch-tokens 400 --beams 1",
    masked_lm: "--text text --valid-text few --row-length 24 --batch-size 16",
    causal_lm: "--text text --valid-text few --row-length 24 --batch-size 16",
    text_classification: "--train table --valid table --test table --batch-size 32",
}


def arguments(recipe, flags):
    return [*TRAINING[recipe].split(), *COMMON, *shlex.split(flags)]


def begin(recipe, flags):
    """`(settings, tokenizer, config)` of a run that is not begun."""
    settings = recipe.Settings.parse(arguments(recipe, flags), "")
    tokenizer = beginning.make_tokenizer(settings, None)
    if recipe is translation:
        length = {"max_sequence_length": settings.max_length}
        return settings, tokenizer, beginning.make_config(settings, tokenizer, **length)
    return settings, tokenizer, recipe.make_config(settings, tokenizer)


def train(recipe, name, flags):
    recipe.main([*arguments(recipe, flags), "--name", name])


@pytest.fixture
def no_samples(monkeypatch):
    """Samples take longer than all the rest."""
    few = functools.partial(kt.monitoring.SampleTexts, count=0)
    monkeypatch.setattr(kt.monitoring, "SampleTexts", few)
    rare = functools.partial(kt.monitoring.SampleTranslations, every=99)
    monkeypatch.setattr(kt.monitoring, "SampleTranslations", rare)


def load(name):
    return keras.models.load_model(f"runs/{name}/model.keras", compile=False)


def values(model):
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights if "seed" not in w.path}


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


# What a run begins with.


@pytest.mark.parametrize(
    ("recipe", "family", "new"),
    [
        (translation, "marian", "none"),
        (translation, "bart", "none"),
        (masked_lm, "bert", "none"),
        (masked_lm, "distilbert", "none"),
        (masked_lm, "roberta", "none"),
        (causal_lm, "gpt2", "none"),
        (causal_lm, "qwen2", "none"),
        (causal_lm, "llama", "none"),
        (text_classification, "bert", "logits, pooled_output"),
        (text_classification, "roberta", "logits, pooled_output"),
        (text_classification, "distilbert --pooling mean", "logits"),
    ],
)
def test_a_run_begins_with_the_published_model(recipe, family, new, capsys):
    settings, _, config = begin(recipe, f"--from-zoo {family}")
    more = {text_classification: (2, 9), causal_lm: (9,), masked_lm: (9,)}.get(recipe, ())
    model = recipe.make_model(settings, config, *more)
    folder = family.split()[0]
    assert capsys.readouterr().out.strip().endswith(f"layers from {folder}, new: {new}")
    assert (model.name, config.dropout) == (folder, 0.1)
    published = values(kt.zoo.load(folder))
    ours = values(model)
    shared = {path for path in ours if path.split("/")[0] not in new}
    assert any("_block_0" in path for path in shared)
    for path in shared:
        np.testing.assert_array_equal(ours[path], published[path])


def test_a_translation_is_framed_as_published():
    text = ["a b"], ["C D"]
    settings, tokenizer, _ = begin(translation, "--from-zoo marian")
    [(inputs, labels)] = translation.make_batches(settings, tokenizer, text).epoch(0)
    [source], [target] = tokenizer.encode(["a b"]), tokenizer.encode_target(["C D"])
    assert tokenizer.unknown_id not in target
    pad, end = tokenizer.pad_id, tokenizer.end_id
    assert inputs["source_ids"].tolist() == [[*source, end]]
    assert inputs["target_ids"].tolist() == [[pad, *target]]  # Marian's start is its padding
    assert labels.tolist() == [[*target, end]]

    settings, tokenizer, _ = begin(translation, "--from-zoo bart")
    [(inputs, labels)] = translation.make_batches(settings, tokenizer, text).epoch(0)
    source, target = tokenizer.frame(["a b", "C D"])
    assert inputs["source_ids"].tolist() == [source.tolist()]
    assert inputs["target_ids"].tolist() == [[tokenizer.end_id, *target[:-1]]]
    assert labels.tolist() == [target.tolist()]


@pytest.mark.parametrize("family", ["marian", "bart"])
def test_a_translation_is_the_published_models(family):
    model, tokenizer = kt.zoo.load(family), kt.zoo.load_tokenizer(family)
    [source] = tokenizer.frame(FEW[:1])
    target = [tokenizer.pad_id if family == "marian" else tokenizer.end_id]
    for _ in range(24):
        logits = np.array(model([source[None], np.array([target])]))[0, -1]
        logits[tokenizer.pad_id] = -np.inf
        target.append(int(logits.argmax()))
        if target[-1] == tokenizer.end_id:
            break
    translator = kt.tasks.Translator(model, tokenizer, beams=1, max_length=24)
    assert translator(FEW[:1]) == tokenizer.decode([target[1:]]) != [""]


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_encoders_read_text_as_published(family):
    settings, tokenizer, config = begin(masked_lm, f"--from-zoo {family} --mask-rate 0.0001")
    batches = masked_lm.make_batches(settings, tokenizer, config, ["a b c"])
    [(inputs, labels)] = batches.epoch(0)
    [framed] = tokenizer.frame(["a b c"])
    assert inputs["token_ids"][0, : len(framed)].tolist() == framed.tolist()
    assert (inputs["token_ids"][0, len(framed) :] == tokenizer.pad_id).all()
    assert ("segment_ids" in inputs) == (family == "bert")
    assert (labels == tokenizer.pad_id).all()


def test_pairs_of_sentences_go_on_from_bert(capsys):
    settings, tokenizer, config = begin(masked_lm, f"--from-zoo bert {PAIRS}")
    model = masked_lm.make_model(settings, config, 9)
    assert capsys.readouterr().out.strip().endswith("new: next_sentence, pooled_output")
    lines, _ = masked_lm.read_corpus(settings)
    batch = next(masked_lm.make_batches(settings, tokenizer, config, lines).epoch(0))
    assert np.isfinite(model.train_on_batch(*batch)).all()


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "llama"])
def test_padding_of_a_causal_model_is_never_a_label(family):
    settings, tokenizer, config = begin(causal_lm, f"--from-zoo {family} --documents")
    start = tokenizer.end_id if tokenizer.start_id is None else tokenizer.start_id
    assert config.line_start_id == start
    [(token_ids, labels)] = causal_lm.make_batches(settings, tokenizer, "a b\nc d\n").epoch(0)
    one, two = (ids.tolist() for ids in tokenizer.encode(["a b", "c d"]))
    end, length = tokenizer.end_id, len(one) + len(two) + 2
    assert token_ids[0, :length].tolist() == [start, *one, start, *two]
    assert labels[0, :length].tolist() == [*one, end, *two, end]  # the end is learned
    assert (labels[0, length:] == -1).all() and (labels[1:] == -1).all()
    assert token_ids.min() >= 0
    settings = dataclasses.replace(settings, documents=False)
    text = "a b c d e f g\n" * 3
    batches = causal_lm.make_batches(settings, tokenizer, text, shuffle=False)
    labels = np.concatenate([labels.ravel() for _, labels in batches.epoch(0)])
    assert (labels >= 0).sum() == batches.tokens == len(tokenizer.encode_stream(text)) - 1


# Whole runs, their commands, and the way back.


def back(printed, folder):
    """Runs the code that a run prints at its end."""
    code = printed.split("as a published folder:\n")[1].replace("'FOLDER'", repr(folder))
    exec("\n".join(line.strip() for line in code.splitlines() if line.startswith(" ")))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__")  # of NumPy, for TensorFlow
@pytest.mark.parametrize(
    ("recipe", "name", "flags", "command"),
    [
        (translation, "marian", "", "translate --beams 1"),
        (masked_lm, "roberta", "", "fill"),
        (
            causal_lm,
            "qwen2",
            "--documents",
            "generate --prompt 'a b' --max-new-tokens 5 --stop '\n'",  # random text may have lines
        ),
        (text_classification, "distilbert", "", "classify"),
    ],
)
def test_a_run_is_used_and_goes_back(no_samples, monkeypatch, capsys, recipe, name, flags, command):
    train(recipe, name, f"--from-zoo {name} {flags}")
    folder, model = back(capsys.readouterr().out, f"{name}_again"), load(name)
    published = kt.zoo.load(folder)
    assert published.name == model.name == name
    assert same(values(published), values(model))
    assert not same(values(model), values(kt.zoo.load(name)))
    if recipe is text_classification:
        assert list(settings_of(folder)["id2label"].values()) == ["early", "late"]
    tokenizer = kt.text.load_tokenizer(f"runs/{name}")
    assert tokenizer.kind == "published"
    for other in (kt.zoo.load_tokenizer(name), kt.zoo.load_tokenizer(folder)):
        for one, two in zip(other.frame(FEW), tokenizer.frame(FEW), strict=True):
            np.testing.assert_array_equal(one, two)
    lines = b"a b c\n\nc d e\n" if command != "fill" else b"a [MASK] c d\n"
    said = []
    for more in ([], ["--int8"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
        with contextlib.suppress(SystemExit):
            recipe.main([*shlex.split(command), "--run", f"runs/{name}", *more])
        found = capsys.readouterr()
        said.append(found.out)
        assert found.out.strip() and not found.err
    assert len(said[0].split("\n")) == len(said[1].split("\n"))


def settings_of(folder):
    return json.loads((Path(folder) / "config.json").read_text())


@pytest.mark.slow
def test_a_head_of_one_number_is_taken_over_and_goes_back(capsys):
    model = kt.models.sequence_classifier(kt.zoo.load_config("bert", pooler=True), num_classes=1)
    model.name = "bert"
    kt.zoo.save(model, "reranker", kt.zoo.load_tokenizer("bert"), labels=["relevance"])
    flags = "--from-zoo reranker --regression --train numbers --valid numbers --test numbers"
    settings, _, config = begin(text_classification, flags)
    ours = text_classification.make_model(settings, config, 1, 9)
    assert "layers from reranker, new: none" in capsys.readouterr().out
    assert same(values(ours), values(kt.zoo.load("reranker")))
    train(text_classification, "reranker", flags)
    folder = back(capsys.readouterr().out, "reranker_again")
    assert same(values(kt.zoo.load(folder)), values(load("reranker")))
    assert settings_of(folder)["id2label"] == {"0": "relevance"}
    train(text_classification, "number", flags.replace("reranker", "distilbert"))
    folder = back(capsys.readouterr().out, "number_again")
    assert settings_of(folder)["id2label"] == {"0": "LABEL_0"}
    said = user.message(text_classification, arguments(text_classification, "--from-zoo reranker"))
    assert ": reranker: " in said


# LoRA.


LORA = "--from-zoo llama --documents --lora 2 --peak-learning-rate 0.03 --epochs 2"


@pytest.mark.slow
def test_lora_learns_little_and_is_saved_as_a_plain_model(no_samples, capsys):
    train(causal_lm, "lora", LORA)
    printed = capsys.readouterr().out
    before, after = values(kt.zoo.load("llama")), values(load("lora"))
    changed = {path for path in after if not np.array_equal(before[path], after[path])}
    maps = ("query_key_value", "output", "expand", "contract")
    assert changed == {path for path in after if path.split("/")[-2] in maps}
    ranks = {np.linalg.matrix_rank(after[path] - before[path], tol=1e-4) for path in changed}
    assert ranks == {2}
    trained = sum(2 * sum(after[path].shape) for path in changed)
    total = trained + sum(value.size for value in after.values())
    assert f"LoRA: {trained:,} of {total:,} parameters learn" in printed
    assert same(values(kt.zoo.load(back(printed, "lora_again"))), after)
    # Interrupted and resumed it is the same.
    train(causal_lm, "cut", f"{LORA} --max-updates 3")
    causal_lm.main(["--resume", "--name", "cut", "--max-updates", "99"])
    cut = values(load("cut"))
    assert user.metrics("cut")["updates"] == user.metrics("lora")["updates"]
    for path in after:
        np.testing.assert_allclose(cut[path], after[path], atol=1e-4)


def test_lora_of_a_classifier_learns_the_head_too(capsys):
    settings, _, config = begin(text_classification, "--from-zoo bert --lora 1")
    model = text_classification.make_model(settings, config, 2, 9)
    learning = {weight.path.split("/")[-1] for weight in model.trainable_weights}
    assert learning == {"lora_kernel_a", "lora_kernel_b", "kernel", "bias"}
    heads = {w.path.split("/")[0] for w in model.trainable_weights if "lora" not in w.path}
    assert heads == {"pooled_output", "logits"}


# Mistakes.


@pytest.mark.parametrize(
    ("recipe", "flags", "said"),
    [
        (causal_lm, "--from-zoo bert", "bert: expected a model of type gpt2 or llama or mistral"),
        (masked_lm, "--from-zoo gpt2", "gpt2: expected a model of type bert or roberta"),
        (translation, "--from-zoo gpt2", "gpt2: expected a model of type marian or bart"),
        (text_classification, "--from-zoo bart", "bart: expected a model of type bert"),
        (causal_lm, "--from-zoo gpt2 --tokenizer character", "--from-zoo brings its own"),
        (causal_lm, "--from-zoo gpt2 --modern --window=3", "not --modern, --window."),
        (masked_lm, "--from-zoo bert --vocabulary-size 9 --lowercase", "not --vocabulary-size, --"),
        (translation, "--from-zoo marian --num-layers 2 --preset x", "not --preset, --num-layers."),
        (causal_lm, "--from-zoo gpt2 --row-length 33", "Expected --row-length up to the 32 tokens"),
        (masked_lm, "--from-zoo bert --row-length 33", "Expected --row-length up to the 32 tokens"),
        (translation, "--from-zoo bart --max-length 33", "Expected --max-length up to the 32 tok"),
        (text_classification, "--from-zoo bert --from-run runs/x", "Expected --from-run or --from"),
        (causal_lm, "--lora 2", "--lora goes together with a pretrained model."),
        (causal_lm, "--from-zoo gpt2 --lora 0", "Expected --lora to be at least 1. Received: --lo"),
        (text_classification, "--from-run runs/x --fresh --lora 2", "--lora goes together with a "),
        (masked_lm, f"--from-zoo roberta {PAIRS}", "two segments for next_sentence"),
        (causal_lm, "--from-zoo nowhere/at/all", "Expected"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_writes_nothing(recipe, flags, said):
    before = sorted(Path().rglob("*"))
    assert said in user.message(recipe, [*arguments(recipe, flags), "--name", "bad"])
    assert sorted(Path().rglob("*")) == before


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    kt.zoo.save(kt.zoo.load("bert"), tmp_path)
    tokens = Path("bert/vocab.txt").read_text() + "k\n"
    (tmp_path / "vocab.txt").write_text(tokens)
    said = user.message(masked_lm, arguments(masked_lm, f"--from-zoo {tmp_path}"))
    assert "expected a tokenizer of up to 15 tokens and with padding 0" in said
