"""What all recipes do alike, as their users meet it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import small
import user
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_transformer as kt
from keras_transformer.digests import noted_digests
from keras_transformer.recipes import causal_lm, masked_lm, text_classification, translation

# Of each page the task that opens its runs, and the curves of its own.
RECIPES = {
    translation: (kt.tasks.Translator, {"bleu", "perplexity"}),
    masked_lm: (kt.tasks.MaskFiller, {"masked_accuracy", "perplexity"}),
    causal_lm: (kt.tasks.TextGenerator, {"bits_per_character", "perplexity"}),
    text_classification: (kt.tasks.TextClassifier, {"accuracy", "macro_f1"}),
}
NAMES = [page.Settings.recipe for page in RECIPES]


@pytest.fixture(scope="module", params=RECIPES, ids=NAMES)
def trained(request, tmp_path_factory):
    """A page, the flags of its finished run `runs/first`, and the folder."""
    folder = tmp_path_factory.mktemp("recipe")
    small.write_text(folder)
    page = request.param
    flags = small.FLAGS[page.Settings.recipe].split()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        page.main([*flags, "--name", "first"])
    return page, flags, folder


@pytest.fixture
def there(trained, monkeypatch):
    page, flags, folder = trained
    monkeypatch.chdir(folder)
    return page, flags


def same_figures(one, two):
    one, two = user.metrics(one), user.metrics(two)
    assert one["updates"] == two["updates"]
    figures = [name for name in one if "loss" in name or "accuracy" in name or "mse" in name]
    for name in figures:
        assert one[name] == pytest.approx(two[name], rel=1e-4), name
    assert figures


def test_a_run_leaves_what_it_promises(there):
    page, _ = there
    run = kt.training.Run.open("runs/first", page.Settings.recipe)
    assert run.settings["hidden_dim"] == run.config.hidden_dim == 16
    found = user.metrics("first")
    assert found["parameters"] == keras.models.load_model(run.model_file).count_params()
    assert found["updates"] % 3 == 0 and found["train_seconds"] > 0
    assert 0 <= found["padding_fraction"] < 1
    assert any(name.endswith("tokens_per_second") for name in found)
    assert run.checkpoints()
    task = RECIPES[page][0].load("runs/first")
    mask = " [MASK]" * (page is masked_lm)
    assert len(task([f"a b{mask}", f"c{mask}"])) == 2
    assert kt.tasks.info("runs/first")["scores"]["updates"] == found["updates"]


def test_tensorboard_has_curves_of_training_and_validation(there):
    own = RECIPES[there[0]][1]
    found = {
        run: set(EventAccumulator(f"tensorboard_logs/first/{run}").Reload().Tags()["tensors"])
        for run in ("train", "validation", "samples")
    }
    assert {"loss", "learning_rate", "padding_fraction"} <= found["train"]
    assert own | {"loss"} <= found["validation"] and found["samples"]


@pytest.mark.slow
def test_what_is_watched_is_written_and_nothing_else_where_it_is_not(there, capsys):
    page, flags = there
    logs = Path("tensorboard_logs")
    runs = {"train", "validation", "samples"}
    assert {path.name for path in (logs / "first").iterdir()} == runs
    tags = set(EventAccumulator(str(logs / "first/train")).Reload().Tags()["tensors"])
    assert not any("/" in tag for tag in tags)
    assert not Path("runs/first/pictures").exists()
    examples = ["--examples", "a b [MASK] d", "c d [MASK]"]
    page.main([*flags, "--watch", "--name", "watched", *examples, "--profile", "2-3"])
    assert "#projector" in capsys.readouterr().out.splitlines()[-1]
    found = {path.name for path in (logs / "watched").iterdir()}
    assert found == runs | {"plugins"}  # the profile
    drawn = {path.name.partition(".")[0] for path in Path("runs/watched/pictures").iterdir()}
    assert any(name.endswith("attention_2") for name in drawn)
    assert "--profile of batches" in user.message(page, [*flags, "--name", "x", "--profile", "3-2"])
    tags = set(EventAccumulator(str(logs / "watched/train")).Reload().Tags()["tensors"])
    kinds = {tag.partition("/")[0] for tag in tags if "/" in tag and tag[0] != "_"}
    assert kinds == {"weights", "updates", "unknown_tokens", "score"}
    assert any("attention" in path.name for path in Path("runs/watched/pictures").iterdir())
    same_figures("watched", "first")


@pytest.mark.slow
def test_its_settings_repeat_it_and_overwrite_replaces_it(there):
    page, _ = there
    old = Path("runs/again/checkpoints/update-0000000099.npz")
    old.parent.mkdir(parents=True)
    old.touch()
    Path("runs/again/settings.json").write_text("{}")
    repeat = ["--settings", "runs/first/settings.json", "--name", "again"]
    assert "--overwrite" in user.message(page, repeat) and old.exists()
    page.main([*repeat, "--overwrite"])
    assert not old.exists()
    same_figures("again", "first")


def interrupt_after(updates):
    """A `Throughput` that stops its training then."""

    class Interrupt(kt.training.Throughput):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == updates:
                raise KeyboardInterrupt

    return Interrupt


def test_interrupted_and_resumed_is_like_uninterrupted(there, monkeypatch, capsys):
    page, flags = there
    with monkeypatch.context() as patch:
        patch.setattr(kt.training, "Throughput", interrupt_after(7))
        with pytest.raises(SystemExit) as stop:
            page.main([*flags, "--name", "cut"])
    assert stop.value.code == 130
    said = capsys.readouterr().err
    assert "saved after 7 updates" in said and "--resume --name cut" in said
    assert not Path("runs/cut/metrics.json").exists()
    said = user.message(page, "--resume --name cut --dropout 0.2 --seed 5".split())
    assert "dropout was 0.1 and is now 0.2" in said and "seed was 1 and is now 5" in said
    page.main(["--resume", "--name", "cut"])
    same_figures("cut", "first")


def test_early_checkpoints_are_kept_where_they_are_asked_for(there, monkeypatch):
    page, flags = there
    assert kt.training.early_checkpoints("runs/first") == []
    with monkeypatch.context() as patch:
        patch.setattr(kt.training, "Throughput", interrupt_after(7))
        with pytest.raises(SystemExit):
            page.main([*flags, "--name", "early", "--keep-checkpoints", "early"])
    before = dict(kt.training.early_checkpoints("runs/early"))
    assert list(before) == [0, 1, 2, 4]
    page.main(["--resume", "--name", "early"])
    runs = [kt.training.Run.open(f"runs/{name}") for name in ("first", "early")]
    first, early = models = [run.load_model() for run in runs]
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = kt.training.early_checkpoints("runs/early")
    doublings = [2**n for n in range(user.metrics("early")["updates"].bit_length())]
    assert [updates for updates, _ in found] == [0, *doublings]
    early.load_weights(found[0][1])
    assert not np.array_equal(early.get_weights()[0], first.get_weights()[0])
    runs[1].check_whole()
    assert "early/update_00000004.weights.h5" in noted_digests(runs[1].folder)


def check_finite(run):
    """Nothing that a run has written holds NaN or infinity."""
    weights = keras.models.load_model(run.model_file, compile=False).get_weights()
    for path in run.checkpoints():
        with np.load(path) as file:
            weights += [file[name] for name in file if "/" in name]
    assert all(np.isfinite(weight).all() for weight in weights)


def test_training_that_diverges_goes_back_and_ends_with_a_sentence(there, capsys):
    page, flags = there
    try:
        said = user.message(page, [*flags, *small.FAST.split(), "--name", "diverged"])
    finally:
        keras.config.set_dtype_policy("float32")
    assert "Training diverged at update" in said and "a lower peak learning rate" in said
    assert capsys.readouterr().err.count("of the learning rate (") == 3
    run = kt.training.Run.open("runs/diverged")
    check_finite(run)
    assert not run.is_finished and run.metrics == {}
    RECIPES[page][0].load("runs/diverged")


@pytest.mark.slow
def test_one_update_with_nan_is_left_out(there, monkeypatch, capsys):
    page, flags = there
    apply = kt.training.Adam._backend_apply_gradients
    for kind in (kt.training.Adam, kt.training.AdamW):
        monkeypatch.setattr(kind, "_backend_apply_gradients", small.poisoned(apply))
    page.main([*flags, "--name", "poisoned"])
    assert "diverged" not in capsys.readouterr().err
    run = kt.training.Run.open("runs/poisoned")
    check_finite(run)
    text = (run.folder / "metrics.json").read_text()
    assert "null" not in text and "NaN" not in text
    left_out = EventAccumulator("tensorboard_logs/poisoned/train").Reload()
    assert [e.step for e in left_out.Tensors("updates_left_out")][:1] != []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--preset transformer_tinny", "transformer_tiny"),
        ("--tokenizer sentencepeace", "sentencepiece"),
        ("--num-heads 3", "num_heads"),
        ("--name first", "--overwrite"),
        ("--name first/inside", "in no other run. Received: runs/first/inside, inside runs/first"),
        ("--name ../out", "Expected --name to be of a folder inside runs. Received: --name=../out"),
        ("--overwrite --name /tmp/out", "Expected --name to be of a folder inside runs"),
        ("--resume --name nowhere", "Expected a run folder"),
        ("--resume", "--resume needs the --name"),
        ("--settings train.a", "expected a JSON dictionary"),
        ("--epochs 0", "Expected --epochs to be at least 1"),
        ("--max-updates 0", "Expected --max-updates to be at least 1. Received: --max-updates=0"),
        ("--peak-learning-rate nan", "Expected --peak-learning-rate to be above 0"),
        ("--peak-learning-rte 1", "did you mean --peak-learning-rate?"),
        ("--epochs three", "--epochs"),
        ("--lora 2", "--lora goes together with a pretrained model"),
        ("train", "Expected"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(there, arguments, said):
    page, flags = there
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    arguments = arguments.split()
    if arguments[0] not in ("--resume", "--settings", "train"):
        arguments = [*flags, *arguments]
    assert said in user.message(page, arguments)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_commands_refuse_what_is_no_finished_run(there, tmp_path):
    page, _ = there
    Path("runs/unfinished/checkpoints").mkdir(parents=True, exist_ok=True)
    stored = {"recipe": page.Settings.recipe}
    Path("runs/unfinished/settings.json").write_text(json.dumps(stored))
    Path("runs/foreign").mkdir(exist_ok=True)
    Path("runs/foreign/settings.json").write_text('{"recipe": "other"}')
    word = page.COMMANDS[0].__name__
    for name, said in (
        ("unfinished", "a run whose training is over, with model.keras"),
        ("foreign", f"a run of {page.Settings.recipe}.py. Received: one of other.py"),
    ):
        assert said in user.message(page, [word, "--run", f"runs/{name}"])


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_one_page(name):
    page = Path(__file__).parents[2] / "recipes" / f"{name}.py"
    assert len(page.read_text().splitlines()) <= 200
