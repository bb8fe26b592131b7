"""What is watched while a model trains; that it trains as it did."""

import csv
import os
import pathlib
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from reading import events, fit, make_model
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

import keras_transformer as kt
from keras_transformer.monitoring import (
    Charts,
    EpochWatcher,
    Graph,
    Hyperparameters,
    LayerNorms,
    Pictures,
    Profiler,
    Projector,
    Resources,
    SampleTable,
    TensorBoard,
    attention_images,
    attention_of,
    log_hyperparameters,
    watch,
)
from keras_transformer.training import MaskedCrossentropy

IDS = np.array([[2, 4, 5, 6], [2, 5, 4, 6], [2, 6, 6, 5], [2, 4, 4, 4]])
KINDS = {
    "curves": lambda log_dir, write: TensorBoard(log_dir, every=1),
    "charts": lambda log_dir, write: Charts(log_dir),
    "graph": lambda log_dir, write: Graph(log_dir),
    "resources": lambda log_dir, write: Resources(log_dir, every=1),
    "norms": lambda log_dir, write: LayerNorms(log_dir, every=1),
    "projector": lambda log_dir, write: Projector(log_dir, write.tokenizer),
    "settings": lambda log_dir, write: Hyperparameters(log_dir, {"a": 1}),
    "pictures": lambda log_dir, write: Pictures(log_dir, write, ["a dog"]),
    "samples": lambda log_dir, write: SampleTable(log_dir, ["a"], lambda: [["b"]]),
}
ODD = ["a\tb", "a\nb", " ", "", "<b>"]


def make():
    tokenizer = kt.text.train_tokenizer("whitespace", ["a dog runs"])
    config = kt.TransformerConfig(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16, dropout=0.1
    )
    keras.utils.set_random_seed(0)
    model = kt.models.decoder_only(config)
    model.compile(kt.training.Adam(0.01), MaskedCrossentropy())
    return kt.tasks.TextGenerator(model, tokenizer, 3)


@pytest.fixture
def write():
    return make()


def train(write, callbacks, epochs=2):
    keras.utils.set_random_seed(1)
    data = IDS[:, :-1], IDS[:, 1:]
    given = {"validation_data": data, "batch_size": 1, "verbose": 0, "callbacks": callbacks}
    write.model.fit(*data, epochs=epochs, **given)
    return write.model.get_weights()


def images(log_dir, run="samples"):
    """`{tag: [(step, pixels), ...]}`"""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    found = {}
    for tag in multiplexer.Runs()[run]["tensors"]:
        for event in multiplexer.Tensors(run, tag):
            _, _, content = event.tensor_proto.string_val
            pixels = tf.io.decode_png(content).numpy()
            found.setdefault(tag, []).append((event.step, pixels))
    return found


def summaries(folder):
    """The plugin data of all summaries in a folder, by plugin."""
    found = {}
    for path in pathlib.Path(folder).glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.metadata.plugin_data.plugin_name, []).append(value)
    return found


def test_training_is_as_it_was(tmp_path):
    write = make()
    one, other = train(make(), []), train(write, watch(tmp_path, write, ["a dog", "runs"]))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_that_there_is(write, tmp_path):
    train(write, watch(tmp_path, write, ["a dog runs"], folder=tmp_path / "png"))
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload().Runs()
    assert set(runs) == {"train", "validation", "samples"}  # of many TensorBoard shows none
    tags = runs["train"]["tensors"]
    assert {"loss", "score/loss", "weights/embedding", "updates/embedding"} <= set(tags)
    assert runs["train"]["graph"] or keras.backend.backend() != "tensorflow"
    assert set(summaries(tmp_path / "train")) >= {"scalars", "custom_scalars", "hparams"}
    assert (tmp_path / "train" / "projector_config.pbtxt").is_file()
    assert len(list((tmp_path / "train").glob("events*"))) == 1
    names = [f"causal_attention_1.decoder_block_0.head_{head}.png" for head in range(2)]
    found = sorted(path.name for path in (tmp_path / "png").iterdir())
    assert found == [*names, "positions.sinusoidal.png"]


def test_pictures_are_of_the_model_as_it_is(write, tmp_path):
    pictures = Pictures(tmp_path, write, ["a dog runs"], share=1.0)
    train(write, [pictures])
    [found] = attention_of(write, "a dog runs")
    expected = attention_images(found.weights, found.queries, found.keys)
    drawn = images(tmp_path)
    for head in range(2):
        (first, early), (last, late) = drawn[f"causal_attention_1/decoder_block_0/head_{head}"]
        assert (first, last) == (4, 8)
        np.testing.assert_array_equal(late, expected[head])
        assert not np.array_equal(early, late)


class Slow(EpochWatcher):
    looks = 0

    def look(self):
        self.looks += 1


def test_looks_take_their_share_and_the_last_one(write, tmp_path, monkeypatch):
    import keras_transformer.monitoring.watcher as watcher

    now = [0.0]
    monkeypatch.setattr(watcher.time, "monotonic", lambda: now[0])

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            now[0] += 10  # what an epoch takes

    class Taking(Slow):
        def look(self):
            super().look()
            now[0] += 1

    looks = Taking(tmp_path, share=0.01)
    train(write, [Clock(), looks], epochs=4)
    assert looks.looks == 2  # after the first epoch and at the end
    often = Taking(tmp_path, share=0.5)
    train(write, [Clock(), often], epochs=4)
    assert often.looks == 4
    with pytest.raises(ValueError, match="share to be between 0 and 1"):
        Slow(tmp_path, share=0)


def test_a_folder_that_cannot_be_written_is_one_warning(write, tmp_path):
    """As where it is a file. Whoever is alone says it, too."""
    for name in ("all", *KINDS):
        log_dir = tmp_path / name
        log_dir.write_text("")
        callbacks = [kind(log_dir, write) for kind in KINDS.values()]
        callbacks = callbacks if name == "all" else [KINDS[name](log_dir, write)]
        with pytest.warns(UserWarning, match="TensorBoard will lack it") as found:
            train(write, callbacks)
        assert len([w for w in found if "training" in str(w.message)]) == 1, name
        assert write.model.history.history["loss"]


def test_a_model_without_attention_is_one_warning(write, tmp_path):
    model = make_model(MaskedCrossentropy())
    write.model = model
    with pytest.warns(UserWarning, match="Expected a model with attention layers") as found:
        fit(model, [Pictures(tmp_path, write, ["", "a"])])
    assert len([w for w in found if "attention" in str(w.message)]) == 1
    with pytest.raises(ValueError, match="at least one example"):
        Pictures(tmp_path, write, [])


def test_a_text_without_tokens_is_left_out(tmp_path):
    tokenizer = kt.text.train_tokenizer("whitespace", ["a dog", "um cão"])
    config = kt.TransformerConfig(
        vocabulary_size=tokenizer.vocabulary_size, num_layers=1, num_heads=1, hidden_dim=8,
        intermediate_dim=16, max_sequence_length=9,
    )  # fmt: skip
    translate = kt.tasks.Translator(kt.models.encoder_decoder(config), tokenizer, beams=1)
    names = [name for name, _ in Pictures(tmp_path, translate, [("a dog", "um cão"), ""]).drawn()]
    assert [name.partition("/")[0] for name in names] == [
        *("self_attention_1", "causal_attention_1", "cross_attention_1", "alignment", "positions")
    ]


def test_norms_are_those_of_an_update(write, tmp_path):
    before, states = write.model.get_weights(), []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            states.append(self.model.get_weights())

    train(write, [LayerNorms(tmp_path, every=3), Keep()])
    found = events(tmp_path)["train"]
    assert {name.partition("/")[2] for name in found} == {
        layer.name for layer in write.model.layers if layer.trainable_variables
    }
    states.insert(0, before)
    for place, update in enumerate((0, 3, 6)):
        old, new = states[update], states[update + 1]
        for name, weights in (("weights", new), ("updates", [b - a for a, b in zip(old, new)])):  # noqa: B905
            whole = sum(float(np.sum(w**2)) for w in weights)
            values = [points[place] for tag, points in found.items() if tag.startswith(name)]
            assert {step for step, _ in values} == {update + 1}
            assert sum(value**2 for _, value in values) == pytest.approx(whole, rel=1e-4)
    with pytest.raises(ValueError, match="every to be at least 1"):
        LayerNorms(tmp_path, every=0)


def test_resources(write, tmp_path):
    train(write, [Resources(tmp_path, tokens_per_batch=2.5, every=3)])
    found = events(tmp_path)["train"]
    assert [step for step, _ in found["step_seconds"]] == [3, 6]
    assert found["tokens_seen"] == [(3, 7.5), (6, 15.0)]
    assert all(value > 10 for _, value in found["memory_mib"])
    assert all(value > 0 for _, value in found["step_seconds"])
    assert "tokens_seen" not in Resources(tmp_path).found


def test_settings_and_scores_stand_in_one_line(tmp_path):
    settings = {"seed": 1, "name": "x", "precision": None, "rate": 0.5, "path": pathlib.Path("a")}
    log_hyperparameters(tmp_path / "mine", settings, {"bleu": 4.0, "text": "x", "loss": np.nan})
    data = [
        value.metadata.plugin_data.content
        for value in summaries(tmp_path / "mine/train")["hparams"]
    ]
    starts = [plugin_data_pb2.HParamsPluginData.FromString(x).session_start_info for x in data]
    [start] = [x for x in starts if x.hparams]
    assert set(start.hparams) == {"seed", "name", "rate", "path"}
    assert events(tmp_path)["mine/train"]["score/bleu"] == [(0, 4.0)]


def test_the_last_figures_are_the_scores(write, tmp_path):
    settings = Hyperparameters(tmp_path, {"layers": 1})
    history = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: history.append(dict(logs))
    )
    train(write, [settings, keep])
    assert settings.scores == pytest.approx(history[-1])
    found = events(tmp_path)["train"]
    assert found["score/val_loss"][0][1] == pytest.approx(history[-1]["val_loss"])


def test_charts_hold_training_and_validation(write, tmp_path):
    train(write, [Charts(tmp_path)])
    [value] = summaries(tmp_path / "train")["custom_scalars"]
    layout = layout_pb2.Layout.FromString(value.tensor.string_val[0])
    assert [chart.title for chart in layout.category[0].chart] == ["loss"]
    assert list(layout.category[0].chart[0].multiline.tag) == ["^loss$"]


def test_every_point_has_its_token(write, tmp_path):
    """Whatever a vocabulary holds: a line and a cell each."""
    write.tokenizer.vocabulary = [*write.tokenizer.vocabulary[:2], *ODD]
    train(write, [Projector(tmp_path, write.tokenizer, most=100)])
    folder = tmp_path / "train"
    with open(folder / "tokens.tsv", newline="", encoding="utf-8") as file:
        labels = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    vectors = np.loadtxt(folder / "vectors.tsv", delimiter="\t")
    assert len(labels) == len(vectors) == 7
    assert all(len(label) == 1 and label[0].strip() for label in labels)
    table = write.model.get_layer("embedding").embeddings
    np.testing.assert_allclose(vectors, np.asarray(table), rtol=1e-4)
    train(write, [Projector(tmp_path, write.tokenizer, most=3)])
    assert len((folder / "tokens.tsv").read_text().splitlines()) == 3


def test_chosen_steps_are_profiled(write, tmp_path):
    train(write, [Profiler(tmp_path, 2, 100)])  # ends with training
    assert len(list(tmp_path.rglob("*.xplane.pb"))) == 1
    with pytest.raises(ValueError, match=r"1 <= first <= last.*first=3"):
        Profiler(tmp_path, 3, 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_one_warning(write, tmp_path):
    tmp_path.chmod(0o500)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        train(write, [Charts(tmp_path / "logs")])
    assert len([w for w in found if "is off" in str(w.message)]) == 1
