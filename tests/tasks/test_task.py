"""What holds for all tasks: lines in, answers out in their order, and the folders they are from."""

import keras
import making
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.tasks import MaskFiller, TextClassifier, TextGenerator, Translator
from keras_transformer.training.run import RunError
from keras_transformer.zoo import ZooError

each_task = pytest.mark.parametrize("cls", making.TASKS, ids=lambda cls: cls.__name__)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run's folder and a published one of each task."""
    root = tmp_path_factory.mktemp("folders")
    return {
        cls: (
            making.make_run(cls, root / f"run-{cls.__name__}"),
            making.make_published(cls, root / cls.__name__),
        )
        for cls in making.TASKS
    }


def made(cls, cache={}):  # noqa: B006  once
    if cls not in cache:
        cache[cls] = making.make(cls, **settings_of(cls))
    return cache[cls]


def settings_of(cls):
    if cls is Translator:
        return {"beams": 2, "max_new_tokens": 5}
    return {"max_new_tokens": 5} if cls is TextGenerator else {}


def flat(answers):
    """The texts of answers, and their numbers."""
    leaves = keras.tree.flatten(answers)
    texts = [x for x in leaves if isinstance(x, str)]
    numbers = [np.ravel(x) for x in leaves if not isinstance(x, str)]
    return texts, np.concatenate([*numbers, np.zeros(0)])


def assert_same(answers, expected, tolerance=1e-5):
    texts, numbers = flat(answers)
    assert texts == flat(expected)[0]
    np.testing.assert_allclose(numbers, flat(expected)[1], rtol=0, atol=tolerance)


@each_task
def test_lines_do_not_change_each_other(cls):
    task, lines = made(cls), making.lines_of(cls)
    assert_same(list(task(lines * 3)), [task(line) for line in lines] * 3)
    assert_same(list(task(lines[::-1])), list(task(lines))[::-1])
    assert type(task(lines[:1])) is type(task(lines)) and len(task(lines[:1])) == 1


@each_task
def test_a_list_may_be_anything_with_lines(cls):
    task, lines = made(cls), making.lines_of(cls)
    expected = task(lines)
    for given in (tuple(lines), (line for line in lines), np.array(lines), dict.fromkeys(lines)):
        assert_same(task(given), expected)
    assert len(task([])) == 0 and task.problems([]) == []
    assert_same(task(np.array(lines)[1]), task(lines[1]))


@each_task
@pytest.mark.parametrize("stranger", [3, None, b"a dog", ["a dog"]])
def test_what_is_no_line(cls, stranger):
    lines = making.lines_of(cls)
    with pytest.raises(ValueError, match=r"Expected a str, or a list of str. Received: "):
        made(cls)([lines[0], stranger])


@each_task
def test_the_longest_line(cls):
    task = made(cls)
    special = len(task.before) + len(task.after)
    masks = "[MASK] " if cls is MaskFiller else ""
    words = making.LENGTH - special - bool(masks)
    fits, long = masks + "dog " * words, masks + "dog " * (words + 1)
    task(fits)
    assert task.problems([fits, long]) == [None, "13 tokens, the model reads 12"]
    message = r"line 2: 13 tokens, the model reads 12 \(truncate=True cuts it\)$"
    with pytest.raises(ValueError, match=message):
        task([fits, long])
    assert_same(task([fits, long], truncate=True)[1], task(fits))


@each_task
def test_the_end_of_a_table(cls):
    """Ids are those of the vocabulary, though a model may have more."""
    tokenizer = making.tokenizer_of(cls)
    last = making.WORDS.index(tokenizer.vocabulary[-1])
    made(cls)(making.WORDS[last] + (" [MASK]" if cls is MaskFiller else ""))


@each_task
def test_room_for_special_tokens(cls):
    task = made(cls)
    with pytest.raises(ValueError, match="Expected max_length of at least"):
        type(task)(task.model, task.tokenizer, max_length=0)
    short = type(task)(task.model, task.tokenizer, max_length=5)
    assert short.max_length == 5
    assert type(task)(task.model, task.tokenizer, max_length=99).max_length == making.LENGTH


@each_task
@pytest.mark.parametrize("place", [0, 1], ids=["run", "published"])
def test_folders(cls, place, folders):
    folder, settings = folders[cls][place], settings_of(cls)
    task, lines = cls.load(folder, **settings), making.lines_of(cls)
    expected = task(lines)
    assert_same(cls.load(str(folder), **settings)(lines), expected)
    assert task.max_length == making.LENGTH
    assert cls.load(folder, max_length=8, **settings).max_length == 8
    task.model.summary(print_fn=lambda *_, **__: None)


@pytest.mark.slow
@each_task
@pytest.mark.parametrize("place", [0, 1], ids=["run", "published"])
def test_precision_and_int8(cls, place, folders):
    folder, lines = folders[cls][place], making.lines_of(cls)
    settings = settings_of(cls)
    half = cls.load(folder, precision="bfloat16", **settings)
    assert {str(w.dtype).removeprefix("torch.") for w in half.model.weights} == {"bfloat16"}
    assert len(half(lines)) == len(lines)
    rounded = cls.load(folder, int8=True, **settings)
    kernels = {str(w.dtype) for w in rounded.model.weights if w.name == "kernel"}
    assert "int8" in kernels and len(rounded(lines)) == len(lines)
    if cls is TextClassifier:
        exact = cls.load(folder).probabilities(lines)
        assert 0 < np.abs(rounded.probabilities(lines) - exact).max() < 0.1
        assert 0 < np.abs(half.probabilities(lines) - exact).max() < 0.1


@each_task
def test_a_folder_of_another_task(cls, folders):
    for other, (run, published) in folders.items():
        if making.RECIPES[other] not in cls.recipes:
            with pytest.raises(RunError, match=r"expected a run of .*Received: one of \w+\.py"):
                cls.load(run)
        is_encoder = cls is kt.tasks.TextEmbedder and making.FAMILIES[other][0] == "bert"
        if other is not cls and not is_encoder:
            with pytest.raises(ZooError, match=f"expected a model for a {cls.__name__}. Received"):
                cls.load(published)


@each_task
def test_a_run_that_is_not_over(cls, folders, tmp_path):
    run = making.make_run(cls, tmp_path / "run")
    (run / "model.keras").unlink()
    with pytest.raises(RunError, match=r"a run whose training is over"):
        cls.load(run)
    with pytest.raises(ZooError, match=r"Received: .*nowhere"):
        cls.load(tmp_path / "nowhere")


@each_task
def test_a_revision_of_the_hub(cls, folders, monkeypatch):
    import huggingface_hub

    asked = []

    def download(hub_id, revision=None, **_):
        asked.append((hub_id, revision))
        return str(folders[cls][1])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    cls.load("some-one/some-model", revision="v2")
    assert asked == [("some-one/some-model", "v2")]


@each_task
def test_settings_in_place_of_the_folders(cls, folders):
    with pytest.raises(TypeError, match="warmth"):
        cls.load(folders[cls][0], warmth=1)


@each_task
def test_progress_is_for_terminals(cls, capsys):
    made(cls)(making.lines_of(cls), progress=True)
    assert capsys.readouterr().err.strip() == ""


@each_task
def test_shapes_are_few(cls):
    """However long lines are, and however many."""
    task, shapes = made(cls), set()
    rng = np.random.default_rng(0)
    rows = [[5] * n for n in rng.integers(1, making.LENGTH + 1, 300)]
    for count in (1, 2, 3, 7, 50, 300):
        for places, batch in task._batches(rows[:count]):
            shapes.add(batch.shape)
            assert len(places) <= len(batch)
    assert len(shapes) <= 6


def test_the_tasks_are_found_like_other_parts():
    assert {"tasks", "zoo", "Generator"} <= {*dir(kt)}
    others = {"Writing", "info", "load_task"}
    assert {cls.__name__ for cls in making.TASKS} == {*kt.tasks.__all__} - others


@each_task
def test_the_task_of_a_folder(cls, folders):
    for kind, folder in zip(("run", "published"), folders[cls], strict=True):
        # A run's masked language model is for filling masks; one that is published says no more.
        is_encoder = cls is kt.tasks.TextEmbedder
        expected = kt.tasks.MaskFiller if is_encoder and kind == "run" else cls
        assert type(kt.tasks.load_task(folder)) is expected


def test_a_folder_that_no_task_is_for(tmp_path):
    with pytest.raises(ValueError, match="Expected a folder"):
        kt.tasks.load_task(tmp_path / "none")
