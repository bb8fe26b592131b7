"""The text classification recipe, as its user meets it."""

import io
import json
import shutil
import sys
from pathlib import Path

import keras
import masked_lm
import numpy as np
import pytest
import text_classification
import user

WORDS = [f"w{i}" for i in range(12)]
MARKS = {"bad": "w0", "fair": "w1", "good": "w2"}  # the word that makes a text's class
SIZE = "--preset bert_tiny --num-layers 1 --num-heads 2 --hidden-dim 16 --intermediate-dim 32"
TRAINING = (
    "--batch-size 8 --max-length 12 --epochs 6 --peak-learning-rate 0.02 --warmup-updates 5 "
    "--patience 5"
)
SMALL = f"--tokenizer whitespace {SIZE} {TRAINING} --dropout 0.1".split()
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
    assert (run / "model.keras").is_file() and (run / "tokenizer.json").is_file()
    assert len(list((run / "checkpoints").iterdir())) == 1
    assert json.loads((run / "classes.json").read_text()) == list(MARKS)
    picture = keras.utils.img_to_array(keras.utils.load_img(run / "confusion_matrix.png"))
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
    assert tags("samples") == {"confusion_matrix"}


def last_checkpoint(name):
    [path] = (Path("runs") / name / "checkpoints").iterdir()
    with np.load(path) as file:
        return {key: file[key] for key in file.files if key != "position"}


def test_interrupted_and_resumed_is_like_uninterrupted(there, monkeypatch, capsys):
    class Interrupt(text_classification.kt.training.Throughput):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 27:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text_classification.kt.training, "Throughput", Interrupt)
        with pytest.raises(SystemExit) as stop:
            text_classification.main([*there[1], "--name", "cut"])
    assert stop.value.code == 130
    assert "--resume --name cut" in capsys.readouterr().out
    assert not Path("runs/cut/metrics.json").exists()

    said = user.message(
        text_classification, ["--resume", "--name", "cut", "--dropout", "0.2", "--pooling", "first"]
    )
    assert "dropout was 0.1 and is now 0.2" in said and "pooling was" in said
    text_classification.main(["--resume", "--name", "cut"])
    for key in ("accuracy", "macro_f1", "valid_accuracy", "updates"):
        assert user.metrics("cut")[key] == user.metrics("first")[key]
    first, cut = last_checkpoint("first"), last_checkpoint("cut")
    assert first.keys() == cut.keys()
    for key in first:
        np.testing.assert_allclose(cut[key], first[key], rtol=1e-4, atol=1e-6)


def test_resume_keeps_the_best_model_and_patience_ends_training(there):
    shutil.copytree("runs/first", "runs/more")
    best = Path("runs/more/model.keras").read_bytes()  # right on every validation text
    text_classification.main("--resume --name more --epochs 99".split())
    assert Path("runs/more/model.keras").read_bytes() == best
    assert 120 + 5 * 20 <= user.metrics("more")["updates"] <= 120 + 10 * 20
    assert user.metrics("more")["valid_accuracy"] == 1


def weights(model, name):
    return model.get_layer(name).get_weights()


def test_a_pretrained_model_is_taken_over(there, pretrained, capsys):
    source = keras.models.load_model("runs/lm/model.keras", compile=False)
    settings = text_classification.parse_training(["--from-run", pretrained, "--dropout", "0.2"])
    tokenizer = text_classification.make_tokenizer(settings, [])
    assert tokenizer.vocabulary == text_classification.kt.text.load_tokenizer(pretrained).vocabulary
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


def run_classify(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    text_classification.main(["classify", "--run", "runs/first"])


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


def test_classify_says_what_it_has_not_read(there, monkeypatch, capsys):
    run_classify(monkeypatch, b"w2\n" + b"w0 " + b"w3 " * 9 + b"w2 " * 30 + b"\n")
    out, err = capsys.readouterr()
    assert err == "line 2: 42 tokens, the model reads 12; classified by the first\n"
    run_classify(monkeypatch, b"w2\n" + b"w0 " + b"w3 " * 9 + b"\n")
    assert capsys.readouterr().out == out


def write_bad_files():
    Path("latin").write_bytes(b"a\tb\n\xff\tc\n")
    Path("empty").touch()
    Path("one").write_text("a\tgood\nb\tgood\n")
    Path("columns").write_text("a\tgood\nb\n")
    Path("more").write_text("a\tgood\nb\tbad\tbad\n")
    Path("strange").write_text("w1\tfair\nw2\tgreat\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--train nowhere", "nowhere: no such file"),
        ("--train empty", "empty: the file is empty"),
        ("--train latin", "latin, line 2: not UTF-8"),
        ("--train columns", "columns, line 2: expected at least 2 columns"),
        ("--train more", "more, line 2: expected 2 columns as in line 1, found 3"),
        ("--label-column 1", "train: expected text and label in two columns"),
        ("--header --train one", "one: expected at least two labels, found 'good'"),
        ("--max-unknown -0.1", "Expected --max-unknown to be from 0 to 1"),
        ("--train one", "one: expected at least two labels, found 'good'"),
        ("--test strange", "strange, line 2: expected one of the labels bad, fair, good, found 'g"),
        ("--valid strange", "strange, line 2: expected one of the labels bad, fair, good, found"),
        ("--text-column review", "train, line 1: expected a column named 'review'"),
        ("--preset bert_tinny", "bert_tiny"),
        ("--tokenizer witespace", "whitespace"),
        ("--num-heads 3", "num_heads"),
        ("--max-length 2", "max_length"),
        ("--freeze 2", "Expected --freeze from 0 to the 1 blocks"),
        ("--name first", "--overwrite"),
        ("valid --valid valid", "--valid and --test go together with --train"),
        ("lm --from-run runs/lm --num-layers 2", "not --num-layers"),
        ("lm --from-run runs/lm --lowercase --preset bert_tiny", "not --lowercase, --preset"),
        ("lm --from-run runs/first", "runs/first is a run of text_classification.py"),
        ("lm --from-run nowhere", "not a run folder"),
        ("--resume --name nowhere", "not a run folder"),
        ("--settings train", "does not hold a JSON"),
        ("classify --run nowhere", "not a run folder"),
        ("classify --run runs/lm", "runs/lm is a run of masked_lm.py"),
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
    settings = text_classification.parse_training(
        ["--train", str(path), "--text-column", "text", "--label-column", "stars"]
    )
    *parts, classes = text_classification.read_text(settings)
    assert classes == ["0", "1", "2"]
    train, valid, test = (set(part[0]) for part in parts)
    assert (len(train), len(valid), len(test)) == (33, 4, 3)
    assert not (train & valid or train & test or valid & test)


def test_the_built_in_task_is_not_in_the_last_mark(there):
    rows = text_classification.built_in_rows(600, seed=3)
    assert rows == text_classification.built_in_rows(600, seed=3)
    assert len({text for text, _ in rows}) == 600
    tenses = [tense for _, tense in rows]
    assert set(tenses) == {"past", "present", "future"}
    for mark in ".?":
        found = [tense for text, tense in rows if text.endswith(mark)]
        most = max(found.count(tense) for tense in set(tenses))
        assert len(found) > 100 and most < 0.5 * len(found)
