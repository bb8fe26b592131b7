"""The text classification recipe, as its user meets it."""

import io
import json
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import user

import keras_transformer as kt
from keras_transformer.recipes import beginning, masked_lm, text_classification

WORDS = [f"w{i}" for i in range(12)]
MARKS = {"bad": "w0", "fair": "w1", "good": "w2"}  # the word that makes a text's class
SIZE = "--preset bert_tiny --num-layers 1 --num-heads 2 --hidden-dim 16 --intermediate-dim 32"
TRAINING = (
    "--batch-size 8 --max-length 12 --epochs 6 --peak-learning-rate 0.02 --warmup-updates 5 "
    "--patience 5"
)
SMALL = f"--no-watch --tokenizer whitespace {SIZE} {TRAINING} --dropout 0.1".split()
PRETRAINING = (
    "--text text --valid-text text --tokenizer whitespace --vocabulary-size 17 --row-length 16 "
    "--batch-size 16 --epochs 1 --preset bert_tiny --num-heads 2 --hidden-dim 16 "
    "--intermediate-dim 32 --name lm"
)


def write_table(path, count, seed):
    """Texts of which one word tells the class, and no other word."""
    rng = np.random.default_rng(seed)
    with open(path, "w") as file:
        for label in rng.choice(list(MARKS), count):
            words = rng.choice(WORDS[3:], rng.integers(1, 5)).tolist()
            words.insert(rng.integers(len(words) + 1), MARKS[label])
            file.write(f"{' '.join(words)}\t{label}\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with text, the finished run `runs/first`, and the arguments that made it."""
    folder = tmp_path_factory.mktemp("classification")
    arguments = []
    for seed, (part, count) in enumerate([("train", 160), ("valid", 24), ("test", 24)]):
        write_table(folder / part, count, seed)
        arguments += [f"--{part}", part]
    (folder / "text").write_text("\n".join(" ".join(WORDS[i:]) for i in range(10)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        text_classification.main([*arguments, *SMALL, "--name", "first"])
    return folder, [*arguments, *SMALL]


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained


@pytest.fixture(scope="module")
def pretrained(trained):
    """The finished run `runs/lm` of masked_lm.py, in the same folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained[0])
        masked_lm.main(PRETRAINING.split())
    return "runs/lm"


def test_a_run_leaves_what_it_promises_and_learns(there):
    run = Path("runs/first")
    assert json.loads((run / "classes.json").read_text()) == list(MARKS)
    picture = keras.utils.img_to_array(keras.utils.load_img(run / "confusion.png"))
    assert picture.std() > 0
    found = user.metrics("first")
    assert {
        "accuracy", "macro_f1", "per_class", "valid_accuracy", "classes", "parameters", "updates",
        "train_seconds", "tokens_per_second", "padding_fraction",
    } == set(found)  # fmt: skip
    assert found["classes"] == list(found["per_class"]) == list(MARKS)
    assert sum(figures["support"] for figures in found["per_class"].values()) == 24
    assert found["updates"] == 6 * 20
    assert found["valid_accuracy"] == 1 and found["accuracy"] > 0.9


def test_tensorboard_has_curves_and_pictures(there):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def tags(run):
        return set(EventAccumulator(f"tensorboard_logs/first/{run}").Reload().Tags()["tensors"])

    assert {"loss", "accuracy", "learning_rate", "tokens_per_second", "padding_fraction"} <= tags(
        "train"
    )
    assert {"loss", "accuracy", "macro_f1"} <= tags("validation")
    assert tags("samples") == {"confusion_matrix", "samples"}


# Numbers as labels.


def write_numbers(path, count, seed):
    """Texts whose number is the mean of their words' own numbers, 0 to 5.5."""
    rng = np.random.default_rng(seed)
    with open(path, "w") as file:
        for _ in range(count):
            words = rng.integers(0, len(WORDS), rng.integers(1, 5))
            file.write(f"{' '.join(WORDS[i] for i in words)}\t{words.mean() / 2:.4f}\n")


@pytest.fixture(scope="module")
def numbers(trained):
    """The finished run `runs/numbers` in the same folder, and the arguments that made it."""
    arguments = ["--regression", *SMALL, "--dropout", "0", "--epochs", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained[0])
        for seed, (part, count) in enumerate([("train", 201), ("valid", 33), ("test", 40)]):
            write_numbers(f"{part}_numbers", count, seed)
            arguments += [f"--{part}", f"{part}_numbers"]
        text_classification.main([*arguments, "--name", "numbers"])
    return arguments


def test_numbers_are_learned(there, numbers, monkeypatch, capsys):
    found = user.metrics("numbers")
    assert {
        "mse", "mae", "valid_mse", "parameters", "updates", "train_seconds", "tokens_per_second",
        "padding_fraction",
    } == set(found)  # fmt: skip
    assert found["mse"] < 0.5 and found["mae"] ** 2 <= found["mse"]  # their variance is 1.5
    run_classify(monkeypatch, b"w2 w2\n\nw8 w9 w8\n", "numbers")
    low, empty, high, last = capsys.readouterr().out.split("\n")
    assert float(low) == pytest.approx(1, abs=1) and float(high) == pytest.approx(4.2, abs=1)
    assert empty == last == ""
    assert json.loads(Path("runs/numbers/settings.json").read_text())["regression"] is True


def test_the_figures_of_numbers_are_those_of_the_best_epoch(there, numbers):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorflow import make_ndarray

    events = EventAccumulator("tensorboard_logs/numbers/validation").Reload()
    assert set(events.Tags()["tensors"]) == {"loss", "mse", "mae"}

    def curve(name):
        return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(name)]

    np.testing.assert_allclose(curve("mse"), curve("loss"), rtol=1e-4)
    assert user.metrics("numbers")["valid_mse"] == pytest.approx(min(curve("mse")), rel=1e-5)


@pytest.mark.slow
def test_numbers_interrupted_and_resumed_are_like_uninterrupted(there, numbers, capsys):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(kt.training, "Throughput", interrupted_at(57))
        text_classification.main([*numbers, "--name", "cut_numbers"])
    text_classification.main(["--resume", "--name", "cut_numbers"])
    assert "numbers, from and to: 0, 5.5\n" in capsys.readouterr().out
    for key in ("mse", "mae", "valid_mse", "updates"):
        expected = pytest.approx(user.metrics("numbers")[key], rel=1e-4)
        assert user.metrics("cut_numbers")[key] == expected


def test_a_run_of_before_there_were_numbers_goes_on(there, capsys):
    shutil.copytree("runs/first", "runs/before")
    path = Path("runs/before/settings.json")
    settings = json.loads(path.read_text())
    assert settings.pop("regression") is False
    path.write_text(json.dumps(settings))
    Path("runs/before/digests.json").unlink()  # which it did not have either
    said = user.message(text_classification, ["--resume", "--name", "before", "--regression"])
    assert "regression was absent and is now True" in said
    text_classification.main(["--resume", "--name", "before"])
    assert "classes: bad, fair, good\n" in capsys.readouterr().out
    assert user.metrics("before")["accuracy"] == user.metrics("first")["accuracy"]


def test_training_that_diverges_ends_with_a_sentence(there, numbers):
    rate = ["--peak-learning-rate", "3e38"]
    said = user.message(text_classification, [*numbers, *rate, "--name", "diverged"])
    assert "a lower peak learning rate" in said


def last_checkpoint(name):
    with np.load(kt.training.Run(f"runs/{name}").checkpoints()[-1]) as file:
        return {key: file[key] for key in file.files if key not in ("position", "history")}


def interrupted_at(update):
    """`Throughput`, in place of which it breaks training off."""

    class Interrupt(kt.training.Throughput):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == update:
                raise KeyboardInterrupt

    return Interrupt


@pytest.mark.slow
def test_interrupted_and_resumed_is_like_uninterrupted(there):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(kt.training, "Throughput", interrupted_at(27))
        text_classification.main([*there[1], "--name", "cut"])
    text_classification.main(["--resume", "--name", "cut"])
    for key in ("accuracy", "macro_f1", "valid_accuracy", "updates"):
        assert user.metrics("cut")[key] == user.metrics("first")[key]
    first, cut = last_checkpoint("first"), last_checkpoint("cut")
    assert first.keys() == cut.keys()
    for key in first:
        np.testing.assert_allclose(cut[key], first[key], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_resume_keeps_the_best_model_and_patience_ends_training(there):
    shutil.copytree("runs/first", "runs/more")
    best = Path("runs/more/model.keras").read_bytes()  # right on every validation text
    text_classification.main("--resume --name more --epochs 99".split())
    assert Path("runs/more/model.keras").read_bytes() == best
    # Patience counts from the best epoch, be it before the resume.
    assert 120 < user.metrics("more")["updates"] <= 120 + 5 * 20
    assert user.metrics("more")["valid_accuracy"] == 1


def weights(model, name):
    return model.get_layer(name).get_weights()


def test_a_pretrained_model_is_taken_over(there, pretrained, capsys):
    source = keras.models.load_model("runs/lm/model.keras", compile=False)
    flags = ["--from-run", pretrained, "--dropout", "0.2"]
    settings = text_classification.Settings.parse(flags, "")
    tokenizer = beginning.make_tokenizer(settings, [])
    assert tokenizer.vocabulary == kt.text.load_tokenizer(pretrained).vocabulary
    config = text_classification.make_config(settings, tokenizer)
    assert (config.line_start_id, config.dropout, config.hidden_dim) == (None, 0.2, 16)
    model = text_classification.make_model(settings, config, 3, 10)
    assert capsys.readouterr().out == "weights: 4 layers from runs/lm, new: logits\n"
    for name in ("embedding", "embedding_norm", "encoder_block_0", "encoder_block_1"):
        for new, old in zip(weights(model, name), weights(source, name), strict=True):
            np.testing.assert_array_equal(new, old)


def test_frozen_layers_keep_their_weights(there, pretrained):
    source = keras.models.load_model("runs/lm/model.keras", compile=False)
    arguments = [*there[1][:6], "--from-run", pretrained, *TRAINING.split(), "--epochs", "1"]
    text_classification.main([*arguments, "--freeze", "1", "--name", "tuned"])
    model = keras.models.load_model("runs/tuned/model.keras", compile=False)

    def same(name):
        pairs = zip(weights(model, name), weights(source, name), strict=True)
        return [np.array_equal(new, old) for new, old in pairs]

    assert all(same("embedding") + same("embedding_norm") + same("encoder_block_0"))
    assert not any(same("encoder_block_1"))


def run_classify(monkeypatch, text, name="first"):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(SystemExit) as stop:
        text_classification.main(["classify", "--run", f"runs/{name}"])
    assert stop.value.code == 0


def test_classify_keeps_lines_in_order(there, monkeypatch, capsys):
    lines = ["w3 w4 w2 w5", "", "w0", "w1 w3 w4 w5 w6 w7 w8 w9", " ", "w0"]
    run_classify(monkeypatch, "\n".join(lines).encode() + b"\n")
    out, err = capsys.readouterr()
    together = out.split("\n")
    assert [line.split("\t")[0] for line in together] == ["good", "", "bad", "fair", "", "bad", ""]
    assert together[2] == together[5] and not err
    assert all(1 / 3 < float(line.split("\t")[1]) <= 1 for line in together if line)
    run_classify(monkeypatch, lines[3].encode())
    label, probability = capsys.readouterr().out.split("\t")  # as it is among others
    assert label == "fair" and float(probability) == pytest.approx(
        float(together[3].split("\t")[1]), abs=2e-4
    )


def test_a_label_stays_on_its_line(there, monkeypatch, capsys):
    shutil.copytree("runs/first", "runs/lines")
    Path("runs/lines/digests.json").unlink()
    Path("runs/lines/classes.json").write_text(json.dumps(["very\nbad", "fair", "good"]))
    run_classify(monkeypatch, b"w0\n", "lines")
    assert capsys.readouterr().out.startswith("very bad\t")


def test_classify_says_what_it_has_not_read(there, monkeypatch, capsys):
    run_classify(monkeypatch, b"w2\n" + b"w0 " + b"w3 " * 9 + b"w2 " * 30 + b"\n")
    out, err = capsys.readouterr()
    assert err == "line 2: 42 tokens, the model reads 12; not read whole\n"
    run_classify(monkeypatch, b"w2\n" + b"w0 " + b"w3 " * 9 + b"\n")
    assert capsys.readouterr().out == out


def write_bad_files():
    Path("latin").write_bytes(b"a\tb\n\xff\tc\n")
    Path("empty").touch()
    Path("one").write_text("a\tgood\nb\tgood\n")
    Path("columns").write_text("a\tgood\nb\n")
    Path("more").write_text("a\tgood\nb\tbad\tbad\n")
    Path("strange").write_text("w1\tfair\nw2\tgreat\n")
    Path("half").write_text("w1\t1\nw2\t.5\n")
    for i, number in enumerate(["nan", "-inf", "1e39", "1_0", "0,5", "few"]):
        Path(f"number_{i}").write_text(f"w1\t1\nw2\t{number}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--train nowhere", "nowhere: no such file"),
        ("--train empty", "empty: the file is empty"),
        ("--train latin", "latin, line 2: not UTF-8"),
        ("--train columns", "columns, line 2: expected at least 2 columns"),
        ("--train more", "more, line 2: expected 2 columns as in line 1. Received: 3"),
        ("--label-column 1", "train: expected text and label in two columns"),
        ("--header --train one", "one: expected several labels"),
        ("--train one", "one: expected several labels"),
        ("--test strange", "strange, line 2: expected one of the labels bad, fair, good."),
        ("--valid strange", "strange, line 2: expected one of the labels bad, fair, good."),
        ("--regression --train half --valid number_0", "number_0, line 2: expected a finite num"),
        (
            "--regression --train half --valid half --test number_1",
            "number_1, line 2: expected a finite number as label. Received: '-inf'",
        ),
        ("--regression --train number_2", "number_2, line 2: expected a finite number"),
        ("--regression --train number_3", "number_3, line 2: expected a finite number"),
        ("--regression --train number_4", "number_4, line 2: expected a finite number"),
        ("--regression --train number_5", "finite number as label. Received: 'few'"),
        ("lm --regression", "--regression goes together with --train"),
        ("--text-column review", "train, line 1: expected a column named 'review'"),
        ("--tokenizer witespace", "whitespace"),
        ("--max-length 2", "max_length"),
        ("--freeze 2", "Expected to freeze from 0 to the 1 blocks"),
        ("valid --valid valid", "--valid goes together with --train"),
        ("lm --from-run runs/lm --num-layers 2", "not --num-layers"),
        ("lm --from-run runs/lm --lowercase --preset bert_tiny", "not --lowercase, --preset"),
        ("lm --from-run runs/first", "runs/first: expected a run of masked_lm.py."),
        ("lm --from-run nowhere", "Expected a run folder"),
        ("classify --run no/such/folder", "Expected a folder, "),
        ("classify --run runs/lm", "runs/lm: expected a run of text_classification.py."),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_writes_nothing(there, pretrained, arguments, said):
    write_bad_files()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    first, *rest = arguments.split()
    if first in ("lm", "valid"):  # alone
        arguments = rest
    elif first in ("--resume", "--settings", "classify"):
        arguments = [first, *rest]
    else:
        arguments = [*there[1], first, *rest]
    assert said in user.message(text_classification, arguments)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_a_tenth_is_held_out_without_its_copies(there, tmp_path):
    path = tmp_path / "all.csv"
    path.write_text("stars,text\n" + "".join(f"{i % 3},text {i % 40}\n" for i in range(120)))
    settings = text_classification.Settings.parse(
        ["--train", str(path), "--text-column", "text", "--label-column", "stars"], ""
    )
    *parts, classes = text_classification.read_corpus(settings)
    assert classes == ["0", "1", "2"]
    train, valid, test = (set(part[0]) for part in parts)
    assert (len(train), len(valid), len(test)) == (33, 4, 3)
    assert not (train & valid or train & test or valid & test)


def test_what_looks_like_a_header_is_told(there, tmp_path, capsys):
    path = tmp_path / "table"
    path.write_text("text\tlabel\n" + "".join(f"w{i}\t{i % 2}\n" for i in range(60)))
    flags = ["--train", str(path), "--vocabulary", "nowhere"]  # and so nothing is trained
    said = user.message(text_classification, flags)
    told = capsys.readouterr().err
    assert "nowhere: no such file" in said and told.count("\n") == 1
    assert f"{path}, line 1: the label 'label' is no" in told and "--header" in told
    user.message(text_classification, [*flags, "--header"])
    assert not capsys.readouterr().err
    settings = text_classification.Settings.parse([*flags, "--header"], "")
    *_, classes = text_classification.read_corpus(settings)
    assert classes == ["0", "1"]


def test_without_text_there_is_the_built_in_task(monkeypatch):
    built_in, own = (
        text_classification.Settings.parse(words, "") for words in ([], ["--train", "a"])
    )
    assert (built_in.preset, built_in.max_length, built_in.epochs) == ("bert_tiny", 40, 6)
    assert (own.preset, own.max_length, own.epochs) == (None, 128, 10)
    *parts, classes = text_classification.read_corpus(built_in)
    assert [len(texts) for texts, _ in parts] == [4000, 500, 500]
    assert classes == ["future", "past", "present"]


def test_tokens_that_are_classified():
    def tokens(*flags):
        return text_classification.Settings.parse(["--train", "a", *flags], "").tokens

    assert (tokens(), tokens("--pooling", "first")) == ("mean", "first")
