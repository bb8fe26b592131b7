"""The masked-language-model recipe, as its user meets it."""

import io
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import user

import keras_transformer as kt
from keras_transformer.recipes import masked_lm

WORDS = [f"w{i}" for i in range(12)]
SIZES = "--num-layers 1 --num-heads 2 --hidden-dim 16 --intermediate-dim 32 --row-length 20".split()
SMALL = [
    *("--no-watch", *SIZES),
    *"--tokenizer whitespace --vocabulary-size 17 --batch-size 8 --epochs 3".split(),
    *"--warmup-updates 5 --dropout 0.1".split(),
]


def sentences(count, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in range(count)]


def documents(count, seed=0):
    """Sentences with an empty line after every fifth."""
    lines = sentences(count, seed)
    return [line for i in range(0, count, 5) for line in [*lines[i : i + 5], ""]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the finished run `runs/first`, and the arguments that made it."""
    folder = tmp_path_factory.mktemp("masked_lm")
    files = {
        "train.txt": sentences(120),
        "books.txt": documents(60),
        "valid.txt": documents(30, seed=1),
        "few.txt": WORDS[:9],
        "vocab.txt": [
            "[PAD]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            "w",
            *(f"##{i}" for i in range(10)),
        ],
        "cut.txt": ["[PAD]", "[UNK]", "[SEP]", *WORDS],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(line + "\n" for line in lines))
    words = ["".join(map(chr, 0x0E01 + np.arange(i, i + 12))) * 9 for i in range(30)]
    (folder / "thai.txt").write_text("".join(word + "\n" for word in words))  # without spaces
    (folder / "latin.txt").write_bytes(b"a\n\xff\n")
    (folder / "empty.txt").touch()
    other = folder / "runs" / "other"
    other.mkdir(parents=True)
    (other / "settings.json").write_text(json.dumps({"recipe": "translation", "seed": 1}))
    arguments = ["--text", "train.txt", *SMALL]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        masked_lm.main([*arguments, "--name", "first"])
    return folder, arguments


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained


def run_fill(monkeypatch, lines, name="first", *arguments):
    text = "".join(line + "\n" for line in lines).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(SystemExit) as stop:
        masked_lm.main(["fill", "--run", f"runs/{name}", *arguments])
    return stop.value.code


def read_fill(output):
    """For every line of the input, its `(probability, text)`."""
    blocks = output.removesuffix("\n\n").split("\n\n")
    rows = [[line.split("\t") for line in block.split("\n")] for block in blocks]
    return [[(float(probability), text) for probability, text in block] for block in rows]


def test_a_run_leaves_its_model_and_its_figures(there):
    run = Path("runs/first")
    model = keras.models.load_model(run / "model.keras", compile=False)
    config = kt.training.Run.open(run).config
    assert kt.models.masked_language_model(config).count_params() == model.count_params()
    found = user.metrics("first")
    assert set(found) == {
        "valid_loss", "valid_masked_accuracy", "valid_perplexity", "parameters", "updates",
        "train_seconds", "tokens_per_second", "input_tokens_per_second", "padding_fraction",
    }  # fmt: skip
    assert found["updates"] % 3 == 0 and found["updates"] > 9
    assert found["valid_perplexity"] == pytest.approx(np.exp(found["valid_loss"]), rel=1e-3)
    assert found["input_tokens_per_second"] > 0 and 0 <= found["padding_fraction"] < 0.3
    tokenizer = kt.text.load_tokenizer(run)
    assert tokenizer.mask_id == 4 and tokenizer.vocabulary_size == config.vocabulary_size == 17


def test_masks_of_validation_text_are_always_the_same(there):
    settings = masked_lm.Settings.parse(there[1], "")
    tokenizer, config = (
        kt.text.load_tokenizer("runs/first"),
        kt.training.Run.open("runs/first").config,
    )
    lines = sentences(30)
    batches = masked_lm.make_batches(settings, tokenizer, config, lines, shuffle=False)
    for (one, _), (two, _) in zip(batches.epoch(0), batches.epoch(1), strict=True):
        np.testing.assert_array_equal(one["token_ids"], two["token_ids"])
    # Short lines share rows, each as if it were alone.
    assert config.line_start_id == tokenizer.start_id
    assert max((row == tokenizer.start_id).sum() for row in one["token_ids"]) > 1


def test_tensorboard_has_curves_and_samples(there):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(run):
        return EventAccumulator(f"tensorboard_logs/first/{run}").Reload()

    curves = {"loss", "masked_accuracy", "perplexity"}
    figures = {"learning_rate", "tokens_per_second", "padding_fraction"}
    assert set(read("train").Tags()["tensors"]) == curves | figures
    assert set(read("validation").Tags()["tensors"]) == curves
    samples = read("samples")
    assert samples.Tags()["tensors"] == ["samples"]
    tables = [e.tensor_proto.string_val[0].decode() for e in samples.Tensors("samples")]
    assert len(tables) == 3 and "MASK" in tables[0] and " %" in tables[0]


def test_fill_prints_five_completions_best_first(there, monkeypatch, capsys):
    assert run_fill(monkeypatch, ["w3 [MASK] w5", "[MASK] w1 [MASK]", "w3 [MASK] w5"]) == 0
    one, two, again = read_fill(capsys.readouterr().out)
    assert one == again
    for completions in (one, two):
        probabilities = [probability for probability, _ in completions]
        assert len(completions) == len({text for _, text in completions}) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1 + 5 * 0.00005  # printed with four digits
    for _, text in one:
        first, guess, last = text.split()
        assert (first, last) == ("w3", "w5") and guess in WORDS
    for _, text in two:
        first, middle, last = text.split()
        assert middle == "w1" and {first, last} <= set(WORDS)
    run_fill(monkeypatch, ["w3 [MASK] w5"], "first", "--guesses", "12")
    [everything] = read_fill(capsys.readouterr().out)
    assert [text for _, text in everything[:5]] == [text for _, text in one]
    assert sum(p for p, _ in everything) == pytest.approx(1, abs=1e-3)  # no special token is left


def test_fill_reports_what_it_cannot_fill(there, monkeypatch, capsys):
    lines = ["w1 w2", "w1 [MASK]", "", "[MASK] " + "w1 " * 18]
    assert run_fill(monkeypatch, lines) == 1
    out, err = capsys.readouterr()
    assert err.strip().split("\n") == [
        "line 1: no [MASK] in it; not filled",
        "line 3: no [MASK] in it; not filled",
        "line 4: 21 tokens, the model reads 20; not filled",
    ]
    [completions] = read_fill(out)
    assert len(completions) == 5 and all(text.startswith("w1 ") for _, text in completions)


def test_a_published_vocabulary_and_whole_words(there, monkeypatch, capsys):
    arguments = ["--text", "train.txt", *SMALL, "--vocabulary", "vocab.txt", "--whole-words"]
    masked_lm.main([*arguments, "--row-length", "32", "--max-updates", "4", "--name", "published"])
    assert user.metrics("published")["updates"] == 4
    assert json.loads(Path("runs/published/tokenizer.json").read_text())["kind"] == "bert"
    saved = Path("runs/published/vocabulary.txt").read_text()
    assert saved == Path("vocab.txt").read_text()
    capsys.readouterr()
    assert run_fill(monkeypatch, ["W3 [MASK] w5"], "published") == 0
    [completions] = read_fill(capsys.readouterr().out)
    assert all(text.startswith("w3") and text.endswith("w5") for _, text in completions)


def test_next_sentence(there, monkeypatch, capsys):
    files = "--text books.txt --valid-text valid.txt --next-sentence --name pairs".split()
    masked_lm.main([*SMALL, *files, "--row-length", "24", "--epochs", "1"])
    found = user.metrics("pairs")
    [accuracy] = [found[key] for key in found if "next_sentence" in key and "accuracy" in key]
    assert 0 <= accuracy <= 1
    [tokens] = [found[key] for key in found if key.endswith("masked_accuracy")]
    assert 0 <= tokens <= 1 and np.isfinite(found["valid_loss"])
    model = keras.models.load_model("runs/pairs/model.keras", compile=False)
    assert model.output_names == ["logits", "next_sentence"]
    capsys.readouterr()
    assert run_fill(monkeypatch, ["w3 [MASK] w5"], "pairs") == 0
    assert len(read_fill(capsys.readouterr().out)[0]) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--text nowhere.txt", "nowhere.txt: no such file"),
        ("--text train.txt nowhere.txt", "nowhere.txt: no such file"),
        ("--text empty.txt", "empty.txt: the file is empty"),
        ("--text latin.txt", "latin.txt, line 2: not UTF-8"),
        ("--text few.txt", "at least 10 different lines"),
        ("--valid-text nowhere.txt", "nowhere.txt: no such file"),
        ("--vocabulary cut.txt", "cut.txt: expected a vocabulary with the special tokens"),
        ("--vocabulary nowhere.txt", "nowhere.txt: no such file"),
        ("--tokenizer wordpeice", "wordpiece"),
        ("--vocabulary-size 1000", "at most 17"),
        ("--row-length 5", "row_length"),
        ("--mask-rate 1.5", "--mask-rate to be above 0 and at most 1"),
        ("--text thai.txt", "at most 10 % of unknown tokens"),
        ("--text thai.txt --max-unknown 1", "tokens to guess, neither special nor unknown"),
        ("--next-sentence", "--valid-text with --next-sentence"),
        ("--next-sentence --valid-text train.txt", "at least two lines with an empty line"),
        ("fill --run no/such/folder", "Expected a folder, "),
        ("fill --run runs/other", "Received: one of translation.py"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(there, arguments, said):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    arguments = arguments.split()
    if arguments[0] not in ("--resume", "--settings", "fill"):
        arguments = [*there[1], *arguments]
    assert said in user.message(masked_lm, arguments)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_without_text_there_is_the_built_in_corpus():
    built_in, own = (masked_lm.Settings.parse(words, "") for words in ([], ["--text", "a"]))
    assert (built_in.num_layers, built_in.row_length, built_in.epochs) == (2, 64, 8)
    assert (own.num_layers, own.row_length, own.epochs) == (None, 128, 10)
    assert masked_lm.Settings.parse(["--epochs", "1"], "").epochs == 1
    train, valid = masked_lm.read_corpus(built_in)
    assert (len(train), len(valid)) == (30_000, 500) and not {*train} & {*valid}
