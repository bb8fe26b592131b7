"""The causal-language-model recipe, as its user meets it."""

import functools
import io
import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import user

import keras_transformer as kt
from keras_transformer.recipes import built_in_corpus, causal_lm
from keras_transformer.recipes.terminal import one_line
from keras_transformer.training import figures

LETTERS = "abcdefghij"  # each a word, always with the next one after it
CONTEXT = 24
PEAK = 1e9  # of the machine, in operations a second
SMALL = (
    "--no-watch --num-layers 1 --num-heads 2 --hidden-dim 32 --intermediate-dim 64 --batch-size 8 "
    f"--row-length {CONTEXT} --epochs 3 --warmup-updates 5 --dropout 0.1 "
    "--peak-learning-rate 0.01"
).split()
# Runs of other forms, a few updates each; see `train_kind`.
KINDS = {
    "letters": "--tokenizer character --modern --window 6 --accumulate 2",
    "pieces": "--tokenizer sentencepiece --vocabulary-size 20 --lowercase",
    "lines": "--vocabulary-size 270 --documents",
}


def words(start, count):
    return " ".join(LETTERS[(start + i) % 10] for i in range(count))


def sentences(count, seed=0):
    rng = np.random.default_rng(seed)
    return [words(rng.integers(10), rng.integers(4, 9)) for _ in range(count)]


def is_regular(text):
    """Whether every word is the one that follows in the training text."""
    lines = [line.split() for line in text.splitlines()]
    return all(
        one in LETTERS and two == words(LETTERS.index(one) + 1, 1)
        for line in lines
        for one, two in pairwise(line)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the finished run `runs/first`, and the arguments that made it."""
    folder = tmp_path_factory.mktemp("causal_lm")
    files = {
        "train.txt": sentences(400),
        "valid.txt": [*sentences(20, seed=1), "", "  ", words(0, 100)],
        "short.txt": sentences(170, seed=2),
        "few.txt": ["a b c d"],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(line + "\n" for line in lines))
    (folder / "latin.txt").write_bytes(b"a\n\xff\n")
    (folder / "empty.txt").touch()
    for name, settings in {
        "other": {"recipe": "masked_lm", "seed": 1},
        "unfinished": {"recipe": "causal_lm", "seed": 1},
    }.items():
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "settings.json").write_text(json.dumps(settings))
    arguments = "--text train.txt --vocabulary-size 270 --epoch-updates 40".split() + SMALL
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(figures, "matmul_peak", lambda dtype: PEAK)
        causal_lm.main([*arguments, "--name", "first"])
        yield folder, arguments


@pytest.fixture
def there(trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    return trained


def held_out():
    text = Path("train.txt").read_text()
    return text[len(text) * 9 // 10 :]


def train_kind(name):
    """Trains the run `name` of `KINDS`, once."""
    if not (Path("runs") / name).exists():
        files = "--text train.txt --valid-text valid.txt".split()
        arguments = [*files, *SMALL, *KINDS[name].split()]
        causal_lm.main([*arguments, "--row-length", "64", "--max-updates", "4", "--name", name])


def load(name):
    write = kt.tasks.TextGenerator.load(f"runs/{name}")
    return write.model, write.tokenizer


def read_config(name):
    return kt.training.Run.open(f"runs/{name}").config


def write(capsys, arguments, name="first"):
    """What `generate` prints of a prompt."""
    capsys.readouterr()
    causal_lm.main(["generate", "--run", f"runs/{name}", *shlex.split(arguments)])
    return capsys.readouterr().out


def write_lines(monkeypatch, capsys, lines, arguments="", name="first"):
    """What `generate` makes of standard input: its status, output and standard error."""
    text = "".join(line + "\n" for line in lines).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        causal_lm.main(["generate", "--run", f"runs/{name}", *shlex.split(arguments)])
    return stop.value.code, *capsys.readouterr()


def read_texts(output):
    """Pairs of a log-probability and a text."""
    parts = re.split(r"^--- log-probability (\S+)\n", output, flags=re.MULTILINE)
    assert parts[0] == ""
    texts = [text.removesuffix("\n") for text in parts[2::2]]
    return list(zip(map(float, parts[1::2]), texts, strict=True))


def greedy(model, tokenizer, prompt, count):
    """The likeliest continuation, without a cache; a full context goes on with its last half."""
    [ids] = tokenizer.encode([prompt])
    ids, begin = ids.tolist(), 0
    for _ in range(count):
        if len(ids) - begin > CONTEXT:
            begin = len(ids) - CONTEXT // 2
        logits = keras.ops.convert_to_numpy(model(np.array([ids[begin:]])))[0, -1]
        logits[[i for i in tokenizer.special_ids if i != tokenizer.end_id]] = -np.inf
        ids.append(int(logits.argmax()))
    return tokenizer.decode([ids])[0]


def log_probabilities(model, ids):
    """`(T - 1,)` of all tokens but the first, given those before."""
    ids = np.asarray(ids)
    logits = keras.ops.convert_to_numpy(model(ids[None, :-1]))[0].astype("float64")
    log_total = np.log(np.exp(logits).sum(axis=-1))
    return logits[np.arange(len(ids) - 1), ids[1:]] - log_total


def test_a_run_leaves_its_model_and_its_figures(there):
    assert Path("runs/first/byte_pair.json").is_file()
    model, tokenizer = load("first")
    config = read_config("first")
    assert kt.models.decoder_only(config).count_params() == model.count_params()
    assert config.vocabulary_size == tokenizer.vocabulary_size == 270
    assert config.max_sequence_length == CONTEXT and config.attention_dropout == 0.1
    found = user.metrics("first")
    assert set(found) == {
        "valid_loss", "valid_perplexity", "valid_bits_per_character", "valid_tokens",
        "parameters", "updates", "train_seconds", "tokens_per_second",
        "model_flops_utilization", "padding_fraction",
    }  # fmt: skip
    assert found["updates"] == 3 * 40 and found["padding_fraction"] == 0
    matrices = 4 * 32 * 32 + 2 * 32 * 64 + 32 * 270
    flops = found["tokens_per_second"] * (6 * matrices + 12 * 32 * CONTEXT)
    assert found["model_flops_utilization"] == pytest.approx(flops / PEAK, rel=1e-3, abs=1e-4)


def test_tensorboard_has_curves_and_samples(there):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def read(run):
        return EventAccumulator(f"tensorboard_logs/first/{run}").Reload()

    def curve(run, tag):
        return {e.step: float(make_ndarray(e.tensor_proto)) for e in read(run).Tensors(tag)}

    assert set(read("train").Tags()["tensors"]) == {
        "loss", "perplexity", "learning_rate", "gradient_norm", "tokens_per_second",
        "model_flops_utilization", "padding_fraction",
    }  # fmt: skip
    assert set(read("validation").Tags()["tensors"]) == {"loss", "perplexity", "bits_per_character"}
    rates = curve("train", "learning_rate")
    assert list(rates) == [40, 80, 100, 120]
    assert 0.01 > rates[40] > rates[80] > rates[100] > rates[120]
    assert rates[120] == pytest.approx(0.001)
    assert all(norm > 0 for norm in curve("train", "gradient_norm").values())
    bits = curve("validation", "bits_per_character")
    found = user.metrics("first")
    assert bits[120] == pytest.approx(found["valid_bits_per_character"], rel=1e-4)
    assert bits[120] < bits[40]
    samples = read("samples")
    assert samples.Tags()["tensors"] == ["samples"]
    tables = [e.tensor_proto.string_val[0].decode() for e in samples.Tensors("samples")]
    titles, _, *rows = tables[-1].split("\n")
    assert len(tables) == 3 and titles.startswith("| prompt | goes on (") and len(rows) == 5
    valid = held_out()
    for row in rows:
        row = row.replace("**", "")  # around what changed
        prompt, text = row.removeprefix("| ").removesuffix(" |").split(" | ")
        assert len(prompt.split()) <= 3 and prompt in valid and len(text.split()) > 20


def test_it_learns_a_regular_text(there):
    # 16 or so without a look at the word before; 2 of who knows all but where lines end and begin.
    assert user.metrics("first")["valid_perplexity"] < 3
    model, tokenizer = load("first")
    for start in range(10):
        assert greedy(model, tokenizer, words(start, 1), 3) == words(start, 4)


def test_validation_covers_all_that_is_held_out(there):
    model, tokenizer = load("first")
    text, found = held_out(), user.metrics("first")
    [ids] = tokenizer.encode([text])
    assert found["valid_tokens"] == len(ids) - 1
    assert found["valid_tokens"] % (8 * CONTEXT)  # the last batch is not full
    # Rows follow each other; the last token of a row is the first one of the next.
    rows = [ids[begin : begin + CONTEXT + 1] for begin in range(0, len(ids) - 1, CONTEXT)]
    nats = -np.concatenate([log_probabilities(model, row) for row in rows])
    assert len(nats) == found["valid_tokens"]
    assert found["valid_perplexity"] == pytest.approx(np.exp(nats.mean()), rel=1e-4)
    assert found["valid_loss"] == pytest.approx(nats.mean(), rel=1e-4)
    bits = nats.sum() / len(text) / np.log(2)
    assert found["valid_bits_per_character"] == pytest.approx(bits, rel=1e-4)


def test_bits_are_those_of_the_loss(there):
    found = user.metrics("first")
    nats = found["valid_loss"] * found["valid_tokens"]
    expected = nats / len(held_out()) / np.log(2)
    assert found["valid_bits_per_character"] == pytest.approx(expected, rel=1e-6)


def interrupt(arguments, batches):
    """Trains as far as Ctrl-C after so many batches."""

    class Interrupt(kt.training.Throughput):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer._iterations) == batches:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kt.training, "Throughput", Interrupt)
        with pytest.raises(SystemExit) as stop:
            causal_lm.main(arguments)
    assert stop.value.code == 130


def assert_same_run(one, two):
    for key in ("valid_loss", "valid_bits_per_character", "updates"):
        assert user.metrics(one)[key] == pytest.approx(user.metrics(two)[key], rel=1e-5)
    weights = zip(load(one)[0].get_weights(), load(two)[0].get_weights(), strict=True)
    for weight, other in weights:
        np.testing.assert_allclose(weight, other, rtol=1e-3, atol=1e-5)


@pytest.fixture
def no_samples(monkeypatch):
    """Saves the time to write them."""
    none = functools.partial(kt.monitoring.SampleTexts, count=0)
    monkeypatch.setattr(kt.monitoring, "SampleTexts", none)


@pytest.mark.slow
def test_interrupted_in_the_middle_of_an_accumulation(there, no_samples):
    arguments = "--text short.txt --vocabulary-size 270 --accumulate 2".split() + SMALL
    causal_lm.main([*arguments, "--name", "pairs"])
    # Of five batches an epoch: the second one begins in the middle of an accumulation too.
    assert user.metrics("pairs")["updates"] == 3 * 5 // 2
    interrupt([*arguments, "--name", "between"], batches=7)
    checkpoints = list(Path("runs/between/checkpoints").iterdir())
    assert "update-0000000003_000001.npz" in [path.name for path in checkpoints]
    causal_lm.main(["--resume", "--name", "between"])
    assert_same_run("between", "pairs")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_other_forms_run(there, capsys, name):
    train_kind(name)
    found, (_, tokenizer) = user.metrics(name), load(name)
    assert found["updates"] == 4
    text = Path("valid.txt").read_text()
    lines = [line for line in text.split("\n") if line.strip()]
    # Of letters a text is a stream, its empty lines too; else a line has an end; a stream's first
    # token has none before it.
    rows = [text] if name == "letters" else lines
    tokens = sum(len(ids) for ids in tokenizer.encode(rows))
    tokens += {"letters": -1, "pieces": len(lines) - 1, "lines": len(lines)}[name]
    assert found["valid_tokens"] == tokens
    nats = found["valid_loss"] * tokens
    characters = len(text) if name == "letters" else sum(len(line) + 1 for line in lines)
    expected = nats / characters / np.log(2)
    assert found["valid_bits_per_character"] == pytest.approx(expected, rel=1e-6)
    text = write(capsys, "--prompt 'a b' --max-new-tokens 5 --seed 1", name)
    assert text.startswith("a b") and text.endswith("\n") and len(text) > len("a b\n")


def test_a_modern_model_looks_back_no_further_than_its_window(there):
    train_kind("letters")
    model, tokenizer = load("letters")
    config = read_config("letters")
    assert (config.position, config.norm, config.gated) == ("rotary", "rms_norm", True)
    assert config.num_key_value_heads == 1 and config.window == 6
    assert not any("bias" in weight.path for weight in model.weights)
    [ids] = tokenizer.encode([words(0, 5)])
    one, two = (np.asarray(model(np.array([[first, *ids]]))[0]) for first in ids[:2])
    assert np.abs(one - two).max(axis=-1)[:6].min() > 1e-6
    np.testing.assert_allclose(one[6:], two[6:], atol=1e-6)


def test_whole_documents_are_held_out(there):
    settings = causal_lm.Settings.parse("--text short.txt --documents".split(), "")
    train, valid = (text.splitlines() for text in causal_lm.read_corpus(settings))
    lines = Path("short.txt").read_text().splitlines()
    assert len(valid) == len(set(valid)) == len(set(lines)) // 10
    assert sorted(train) == sorted(line for line in lines if line not in valid)


def test_documents_in_a_row_do_not_see_each_other(there):
    train_kind("lines")
    model, tokenizer = load("lines")
    assert kt.tasks.TextGenerator.load("runs/lines").before == [tokenizer.start_id]
    assert kt.tasks.TextGenerator.load("runs/first").before == []
    one, two = ([tokenizer.start_id, *ids] for ids in tokenizer.encode(["a b c", "d e"]))
    together, alone = (np.asarray(model(np.array([ids]))[0]) for ids in (one + two, two))
    np.testing.assert_allclose(together[len(one) :], alone, atol=1e-5)


def test_dropout_is_of_attention_too_and_padding_is_no_token():
    settings = causal_lm.Settings.parse("--text a --dropout 0.3 --window 5".split(), "")
    config = causal_lm.make_config(settings, SimpleNamespace(vocabulary_size=300, pad_id=0))
    assert (config.dropout, config.attention_dropout, config.window) == (0.3, 0.3, 5)
    assert config.pad_id is None and config.line_start_id is None


class Terminal(io.StringIO):
    """Keeps what was to be seen after each flush."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def flush(self):
        self.seen.append(self.getvalue())


def test_a_prompt_is_continued_as_the_tokens_come_and_beyond_the_context(there, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal := Terminal())
        causal_lm.main(
            "generate --run runs/first --temperature 0 --max-new-tokens 48 --prompt".split()
            + ["a b c"]
        )
    expected = greedy(*load("first"), "a b c", 48)
    assert terminal.getvalue() == expected + "\n"
    assert len(expected.split()) > 1.5 * CONTEXT and is_regular(expected)
    seen = list(dict.fromkeys(terminal.seen))
    assert seen[0] == "a b c" and len(seen) >= 48


def test_the_same_seed_gives_the_same_text(there, capsys):
    options = "--prompt 'Où a b' --temperature 1.5 --max-new-tokens 20"
    one, same, other = (write(capsys, f"{options} --seed {seed}") for seed in (5, 5, 6))
    assert one.startswith("Où a b") and one == same != other


def test_temperature_0_and_the_only_choice_are_the_likeliest_text(there, capsys):
    expected = greedy(*load("first"), "c d", 12) + "\n"
    options = "--prompt 'c d' --max-new-tokens 12"
    for others in ("--temperature 0 --seed 3", "--temperature 3 --top-k 1"):
        assert write(capsys, f"{options} {others}") == expected


def test_flags_are_those_of_the_task(there, capsys):
    flags = {
        "repetition_penalty": 1.2, "no_repeat_ngrams": 3, "min_length": 4, "temperature": 0.7,
        "top_k": 5, "top_p": 0.9, "min_p": 0.1, "seed": 3, "max_new_tokens": 9,
    }  # fmt: skip
    words = [f"--{name.replace('_', '-')} {value}" for name, value in flags.items()]
    expected = kt.tasks.TextGenerator.load("runs/first", **flags)("a b")
    assert write(capsys, f"--prompt 'a b' {' '.join(words)}") == f"a b{expected}\n"


def test_a_stop_string_ends_the_text_before_it(there, capsys):
    options = "--prompt 'a b' --temperature 0 --max-new-tokens 15 --stop"
    assert write(capsys, f"{options} f") == "a b c d e \n"
    assert write(capsys, f"{options} f 'd e'") == "a b c \n"


def test_forbidden_words_are_not_said(there, capsys):
    options = "--prompt 'a b' --temperature 0 --max-new-tokens 15"
    assert " e" in write(capsys, options)
    text = write(capsys, f"{options} --forbid ' e' e ' h'")
    assert "e" not in text and " h" not in text and len(text.split()) > 10


def test_samples_are_several_texts_best_first(there, capsys):
    options = "--prompt 'a b' --temperature 1 --top-k 5 --max-new-tokens 12 --seed 2"
    found = read_texts(write(capsys, f"{options} --samples 4"))
    scores = [score for score, _ in found]
    assert len(found) == 4 and len({text for _, text in found}) > 1
    assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1]
    model, tokenizer = load("first")
    for score, text in found:
        assert text.startswith("a b")
        [ids] = tokenizer.encode([text])
        assert len(ids) == 2 + 12
        assert score == pytest.approx(log_probabilities(model, ids)[1:].sum(), abs=0.011)


def test_lines_of_standard_input_are_continued_and_bad_ones_named(there, monkeypatch, capsys):
    lines = ["a b", "", "e f g", words(3, 40), "h", "i j"]
    options = "--temperature 0 --max-new-tokens 8"
    status, out, err = write_lines(monkeypatch, capsys, lines, f"{options} --batch-size 3")
    assert status == 1
    assert err.strip().split("\n") == [
        "line 2: an empty prompt; not continued",
        "line 4: 40 tokens, the model reads 24; --keep-last takes the last ones; not continued",
    ]
    texts = [text for _, text in read_texts(out)]
    model, tokenizer = load("first")
    expected = [greedy(model, tokenizer, lines[i], 8) for i in (0, 2, 4, 5)]
    assert texts == list(map(one_line, expected)) != expected
    options = "--samples 2 --max-new-tokens 8 --temperature 2 --seed 1"
    status, out, err = write_lines(monkeypatch, capsys, ["a b", "e f g"], options)
    assert (status, err) == (0, "")
    (s, one), (t, two), (u, three), (v, four) = read_texts(out)
    assert s >= t and u >= v and one != two and three != four
    assert all(text.startswith("a b") for text in (one, two))
    assert all(text.startswith("e f g") for text in (three, four))


def test_keep_last_reads_the_end_of_a_long_prompt(there, monkeypatch, capsys):
    prompt, read = words(3, 40), " " + words(3 + 16, CONTEXT)
    options = "--keep-last --temperature 0 --max-new-tokens 6"
    expected = prompt + greedy(*load("first"), read, 6).removeprefix(read)
    assert write(capsys, f"{options} --prompt '{prompt}'") == expected + "\n"
    status, out, err = write_lines(monkeypatch, capsys, ["a", prompt], options)
    assert (status, read_texts(out)[1][1]) == (0, one_line(expected))
    assert err == "line 2: 40 tokens, the model reads 24; not read whole\n"


@pytest.mark.parametrize("name", ["letters", "pieces"])
def test_lines_with_unknown_characters_are_named(there, monkeypatch, capsys, name):
    train_kind(name)
    lines = ["a x", "a b", "éa xé", "   ", "c d"]
    status, out, err = write_lines(monkeypatch, capsys, lines, "--max-new-tokens 4", name)
    assert status == 1
    good, said = ["a b", "c d"], err.strip().split("\n")
    assert said[:2] == [
        "line 1: 'x' was never seen in training; not continued",
        "line 3: 'é', 'x' were never seen in training; not continued",
    ]
    if name == "letters":  # to which a space is as good as a letter
        good.insert(1, "   ")
    else:
        assert said.pop().startswith("line 4: ")
    assert len(said) == 2
    texts = [text for _, text in read_texts(out)]
    assert all(text.startswith(prompt) for text, prompt in zip(texts, good, strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--text nowhere.txt", "nowhere.txt: no such file"),
        ("--text train.txt nowhere.txt", "nowhere.txt: no such file"),
        ("--text empty.txt", "empty.txt: the file is empty"),
        ("--text latin.txt", "latin.txt, line 2: not UTF-8"),
        ("--valid-text nowhere.txt", "nowhere.txt: no such file"),
        (
            "--text few.txt --tokenizer character --vocabulary-size 8 --max-unknown 1",
            "Expected a stream of at least 25 tokens. Received: 7",
        ),
        ("--vocabulary-size 1000", "at most 270"),
        ("--vocabulary-size 100", "at least 260"),
        ("--modern --num-heads 32", "an even head size"),
        ("--window 0", "window"),
        ("--row-length 0", "--row-length to be at least 1"),
        ("--accumulate 0", "--accumulate to be at least 1"),
        ("--epoch-updates -1", "--epoch-updates to be at least 1"),
        ("--documents", "--epoch-updates is for a stream"),
        ("--warmup-updates 0", "warmup"),
        ("--resume --name first --batch-size 4", "batch_size was 8 and is now 4"),
        ("generate --run no/such/folder --prompt a", "Expected a folder, "),
        ("generate --run runs/other --prompt a", "Received: one of masked_lm.py"),
        ("generate --run runs/unfinished --prompt a", "a run whose training is over"),
        ("generate --run runs/first --prompt ''", "an empty prompt"),
        ("generate --run runs/letters --prompt 'x a, é'", "'x', ',', 'é' were never seen"),
        ("generate --run runs/letters --prompt 'xx a'", "'x' was never seen"),
        (f"generate --run runs/first --prompt '{words(0, 25)}'", "--keep-last"),
        ("generate --run runs/first --prompt a --temperature -1", "--temperature to be at least 0"),
        ("generate --run runs/first --prompt a --top-p 1.5", "--top-p to be above 0"),
        ("generate --run runs/first --prompt a --top-p 0", "--top-p to be above 0"),
        ("generate --run runs/first --prompt a --top-k 0", "--top-k to be at least 1"),
        ("generate --run runs/first --prompt a --min-p 2", "--min-p to be from 0 to 1"),
        ("generate --run runs/first --prompt a --samples 0", "samples"),
        ("generate --run runs/first --prompt a --samples 2 --temperature 0", "texts that differ"),
        (
            "generate --run runs/first --prompt a --max-new-tokens 0",
            "--max-new-tokens to be at least 1",
        ),
        ("generate --run runs/first --prompt a --stop ''", "stop"),
        ("generate --run runs/first --batch-size 0", "batch"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(there, monkeypatch, capsys, arguments, said):
    if "letters" in arguments:
        train_kind("letters")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b\n")))
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    arguments = shlex.split(arguments)
    if arguments[0] not in ("--resume", "--settings", "generate"):
        arguments = [*there[1], *arguments]
    capsys.readouterr()
    assert said in user.message(causal_lm, arguments)
    assert capsys.readouterr().out == ""
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_without_text_there_is_the_built_in_corpus(monkeypatch):
    built_in, own = (causal_lm.Settings.parse(words, "") for words in ([], ["--text", "a"]))
    assert (built_in.preset, built_in.row_length, built_in.epochs) == ("gpt_micro", 64, 3)
    assert (own.preset, own.row_length, own.epochs) == ("gpt_mini", 128, 10)
    assert causal_lm.Settings.parse(["--epochs", "1"], "").epochs == 1
    pairs = [(f"Line {i}.", f"Linha {i}.") for i in range(1000)]
    monkeypatch.setattr(built_in_corpus, "split_pairs", lambda *_, seed: (pairs, [], []))
    text, valid_text = causal_lm.read_corpus(built_in)
    assert text + valid_text == "".join(f"{english}\n" for english, _ in pairs)
    assert len(valid_text) == pytest.approx(len(text) / 9, rel=0.01)
