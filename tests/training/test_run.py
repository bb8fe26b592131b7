"""A run folder refuses, in one sentence, whatever would lose or mix up work."""

import json

import pytest

from keras_transformer import TransformerConfig
from keras_transformer.training import Run, RunError

SETTINGS = {"seed": 1, "dims": (4, 8), "epochs": 3}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "demo"


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_create_then_open(folder):
    Run.create(folder, SETTINGS)
    run = Run.open(folder)
    assert run.settings == {"seed": 1, "dims": [4, 8], "epochs": 3}
    assert run.metrics == {}
    run.save_metrics({"bleu": 41.0})
    assert Run.open(folder).metrics == {"bleu": 41.0}
    assert not list(folder.rglob("unfinished*"))


def test_create_refuses_an_existing_run(folder):
    Run.create(folder, SETTINGS)
    before = contents(folder)
    with pytest.raises(RunError, match=r"demo exists; .*--overwrite"):
        Run.create(folder, {"seed": 2})
    assert contents(folder) == before


def test_overwrite_leaves_nothing_of_the_earlier_run(folder):
    run = Run.create(folder, SETTINGS)
    (run.checkpoints_folder / "update-0000000001.npz").touch()
    run = Run.create(folder, {"seed": 2}, overwrite=True)
    assert run.settings == {"seed": 2}
    assert run.checkpoints() == []


def test_nothing_that_is_not_a_run_is_ever_overwritten(folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("all of it")
    for overwrite in [False, True]:
        with pytest.raises(RunError, match="is not a run folder"):
            Run.create(folder, SETTINGS, overwrite=overwrite)
    assert (folder / "thesis.txt").read_text() == "all of it"


def test_settings_that_json_cannot_hold_make_no_folder(folder):
    with pytest.raises(TypeError):
        Run.create(folder, {"seed": object()})
    assert not folder.exists()
    Run.create(folder, SETTINGS)
    before = contents(folder)
    with pytest.raises(TypeError):
        Run.create(folder, {"seed": object()}, overwrite=True)
    assert contents(folder) == before


def test_an_empty_folder_may_become_a_run(folder):
    folder.mkdir(parents=True)
    assert Run.create(folder, SETTINGS).settings["seed"] == 1


def test_resume_takes_equal_settings(folder):
    Run.create(folder, SETTINGS).begin({})
    assert Run.resume(folder, SETTINGS).settings["dims"] == [4, 8]


def test_resume_names_every_key_that_differs_with_both_values(folder):
    Run.create(folder, SETTINGS)
    before = contents(folder)
    with pytest.raises(RunError) as error:
        Run.resume(folder, {"seed": 2, "epochs": 9, "new": "x"}, may_differ=["epochs"])
    message = str(error.value)
    assert "seed was 1 and is now 2" in message
    assert "dims was [4, 8] and is now absent" in message
    assert "new was absent and is now 'x'" in message
    assert "epochs" not in message
    assert contents(folder) == before


def test_resume_keeps_the_new_value_of_a_key_that_may_differ(folder):
    Run.create(folder, SETTINGS).begin({})
    Run.resume(folder, {**SETTINGS, "epochs": 9}, may_differ=["epochs"])
    assert Run.open(folder).settings["epochs"] == 9


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.touch()])
def test_what_is_not_a_run_folder_is_said_so(tmp_path, make):
    make(tmp_path / "other")
    for attempt in [Run.open, lambda folder: Run.resume(folder, SETTINGS)]:
        with pytest.raises(RunError, match=r"a run folder, with settings\.json.*folder=.*other"):
            attempt(tmp_path / "other")


def test_a_run_of_another_recipe_is_refused(folder):
    Run.create(folder, {**SETTINGS, "recipe": "translation"})
    assert Run.open(folder, "translation").settings["seed"] == 1
    assert Run.open(folder).settings["seed"] == 1
    message = r"demo: expected a run of masked_lm\.py\. Received: one of translation\.py"
    with pytest.raises(RunError, match=message):
        Run.open(folder, "masked_lm")


@pytest.mark.parametrize("recipe", ["a\nb", ["masked_lm"], 3])
def test_a_recipe_that_is_no_name_is_shown_in_one_line(folder, recipe):
    Run.create(folder, {"recipe": recipe})
    with pytest.raises(RunError) as refused:
        Run.open(folder, "masked_lm")
    assert str(refused.value).endswith(f"Received: recipe={recipe!r}")


def test_a_run_may_be_of_one_of_several_recipes(folder):
    Run.create(folder, {"recipe": "masked_lm"})
    assert Run.open(folder, "text_classification", "masked_lm").folder == folder
    with pytest.raises(
        RunError, match=r"causal_lm\.py or translation\.py\. Received: one of masked"
    ):
        Run.open(folder, "causal_lm", "translation")


def test_settings_of_before_have_the_names_of_now(folder):
    Run.create(folder, {"beam": 4, "seed": 1}).begin({})
    assert Run.open(folder).settings == {"beams": 4, "seed": 1}
    Run.resume(folder, {"beams": 4, "seed": 1})
    with pytest.raises(RunError, match="beams was 4 and is now 5"):
        Run.resume(folder, {"beams": 5, "seed": 1})


def test_a_run_knows_its_models_config(folder):
    run = Run.create(folder, SETTINGS)
    config = TransformerConfig.preset("bert_tiny")
    run.config_file.write_text(config.to_json())
    assert Run.open(folder).config == config


def test_a_run_from_before_runs_knew_their_recipe_is_taken(folder):
    Run.create(folder, SETTINGS)
    assert Run.open(folder, "translation").settings["seed"] == 1


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[1]", b"[" * 100_000])
def test_a_broken_settings_file_is_named(folder, text):
    run = Run.create(folder, SETTINGS)
    (folder / "settings.json").write_bytes(text)
    with pytest.raises(RunError, match=r"settings\.json"):
        Run.resume(folder, SETTINGS)
    with pytest.raises(RunError, match=r"settings\.json"):
        _ = run.settings


def test_an_interrupted_write_leaves_the_old_file(folder, monkeypatch):
    run = Run.create(folder, SETTINGS)
    run.save_metrics({"bleu": 1.0})

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.save_metrics({"bleu": 2.0})
    assert json.loads((folder / "metrics.json").read_text()) == {"bleu": 1.0}


def test_checkpoints_are_in_the_order_of_their_updates(folder):
    run = Run.create(folder, SETTINGS)
    for update in [90, 1000, 200]:
        (run.checkpoints_folder / f"update-{update:010d}.npz").touch()
    for name in (
        "unfinished.update-0000000007.npz",
        "update-7.npz",
        "update-0000000008 (copy).npz",
    ):
        (run.checkpoints_folder / name).touch()
    assert [int(path.stem[7:]) for path in run.checkpoints()] == [90, 200, 1000]


def test_no_run_inside_a_run(tmp_path):
    Run.create(tmp_path / "a", {})
    with pytest.raises(RunError, match=r"in no other run\. Received: .*checkpoints/b, inside .*a"):
        Run.create(tmp_path / "a" / "checkpoints" / "b", {})
    Run.create(tmp_path / "group" / "b", {})
