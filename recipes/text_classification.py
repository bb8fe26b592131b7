"""Text classification: fine-tune a pretrained encoder, or train one, to tell classes of text apart.

    python recipes/text_classification.py                          # tense of sentences, built in
    python recipes/text_classification.py --train train.tsv --valid dev.tsv --test test.tsv \\
        --from-run runs/wiki --name reviews
    echo "a charming film" | python recipes/text_classification.py classify --run runs/reviews

The model and the fine-tuning are those of Devlin et al. 2019, "BERT", from what masked_lm.py has
learned or from scratch. The built-in task, past, present or future from the main clause of an
English sentence, takes about a minute on two cores and reaches over 95 % test accuracy;
docs/results.md has the figures on real text, with their commands.
"""

import functools
import os
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras

import keras_transformer as kt
from keras_transformer.checks import require
from keras_transformer.recipes import beginning, built_in_corpus, command_line, common, terminal
from keras_transformer.recipes.flags import flag_of


# The flags of training, beside those of common.Settings.
@dataclass(frozen=True, kw_only=True)
class Settings(common.Settings):
    recipe: ClassVar = "text_classification"
    families: ClassVar = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
    length: ClassVar = None  # longer texts are cut
    built_in: ClassVar = (  # learned from scratch
        "--vocabulary-size 700 --max-length 40 --preset bert_tiny --epochs 6 "
        "--peak-learning-rate 1e-3"
    )
    # Text. Without any, the built-in task.
    train: str | None = None  # text<tab>label lines, or .csv; plain or compressed
    valid: str | None = None  # the same; without it a tenth is held out, 1,000 texts at most
    test: str | None = None  # the same; without it another tenth is held out
    text_column: str | None = None  # the text's column, its position from 1 or its name in line 1
    label_column: str | None = None  # the label's column, the same (default: 1 and 2)
    header: bool = False  # line 1 names the columns; named ones imply it
    regression: bool = False  # labels are numbers, to learn as they are
    tokenizer: str | None = None  # such as bert, sentencepiece, whitespace (default: wordpiece)
    vocabulary: str | None = None  # instead of training a tokenizer: a published BERT's vocab.txt
    lowercase: bool = False  # lower-case all text
    # Batches.
    batch_size: int = 32  # texts an update
    max_length: int = 128  # most tokens of a text; the rest is cut off
    # Model.
    from_run: str | None = None  # run of masked_lm.py whose tokenizer and weights to begin with
    fresh: bool = False  # but random weights: what is pretraining worth?
    pooling: Literal["mean", "first"] | None = None  # tokens classified (published: first)
    freeze: int | None = None  # embeddings and so many blocks keep their weights
    # Training.
    peak_learning_rate: float = 3e-4  # AdamW's rate after the warm-up
    warmup_updates: int = 100  # updates of linear rise, before the fall
    weight_decay: float = 0.01  # of matrices, not of norms and biases
    clip_norm: float = 1.0  # largest norm of all gradients together
    patience: int = 3  # epochs without a better one until training ends

    @property
    def tokens(self) -> str:
        return self.pooling or ("first" if self.from_zoo else "mean")

    def is_built_in(self) -> bool:
        return not (self.train or self.from_run or self.from_zoo)

    def check(self) -> None:
        super().check()
        needs = {"valid": "train", "test": "train", "regression": "train", "fresh": "from_run"}
        for name, other in needs.items():
            if getattr(self, name) and not getattr(self, other):
                raise ValueError(f"--{name} goes together with {flag_of(other)}.")
        if self.from_run and self.from_zoo:
            raise ValueError("Expected --from-run or --from-zoo, not both.")


# Text and batches.
def read_corpus(settings: Settings):
    """Training, validation and test text, each texts and labels, and the names of the classes.

    With --regression the labels are float and the classes None.
    """
    if not settings.train:
        texts, tenses = built_in_corpus.tenses(5000, settings.seed)
        ends = [(0, 4000), (4000, 4500), (4500, 5000)]
        return *((texts[a:b], tenses[a:b]) for a, b in ends), sorted(set(tenses))

    def read(path, classes=None):
        columns = settings.text_column, settings.label_column
        return kt.text.read_table(path, *columns, classes, settings.header, settings.regression)

    train = read(settings.train)
    classes = None if settings.regression else sorted(set(train[1]))
    require(classes is None or classes[1:], "several labels", f"{classes}", where=settings.train)
    valid, test = (path and read(path, classes) for path in (settings.valid, settings.test))
    return *common.hold_out_missing(train, valid, test, settings.seed), classes


def make_batches(settings: Settings, tokenizer, config, classes, text, shuffle=True):
    texts, labels = text
    return kt.data.LabelledBatches(
        tokenizer.encode(texts),
        [classes.index(label) for label in labels] if classes else labels,
        batch_size=settings.batch_size,
        max_length=min(settings.max_length, config.max_sequence_length),
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
        segments=config.num_segments > 0,
        seed=settings.seed,
        shuffle=shuffle,
    )


# Model.
def make_config(settings: Settings, tokenizer) -> kt.TransformerConfig:
    if settings.from_run:
        changes = {"line_start_id": None}  # a row is one text
        changes |= {} if settings.dropout is None else {"dropout": settings.dropout}
        return replace(kt.training.Run.open(settings.from_run, "masked_lm").config, **changes)
    sizes = {"max_sequence_length": settings.max_length, "num_segments": 0}
    pooler = settings.tokens == "first"
    return beginning.make_config(settings, tokenizer, preset="bert_mini", **sizes, pooler=pooler)


def make_model(settings: Settings, config, num_classes, num_batches):
    """The compiled model; its one class is the number of --regression."""
    model = kt.models.sequence_classifier(config, num_classes, settings.tokens)
    if settings.from_run and not settings.fresh:
        pretrained = kt.tasks.MaskFiller.load(settings.from_run).model
        new = kt.models.copy_weights(pretrained, model)
        beginning.begin_from(settings, model, settings.from_run, new)
    beginning.load_zoo(settings, model)
    if settings.freeze is not None:
        kt.training.freeze(model, settings.freeze)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if settings.regression:
        loss, metrics = "mean_squared_error", ["mse", "mae"]
    model.compile(beginning.make_optimizer(settings, model, num_batches), loss, metrics=metrics)
    return model


# Train.
def train(settings: Settings) -> None:
    common.prepare(settings)
    *texts, classes = read_corpus(settings)
    lowercase = settings.lowercase
    tokenizer = beginning.make_tokenizer(settings, texts[0][0], "wordpiece", lowercase=lowercase)
    unknown = common.check_unknown(settings, tokenizer, [text for text, _ in texts])
    config = make_config(settings, tokenizer)
    batches, valid_batches, test_batches = parts = [
        make_batches(settings, tokenizer, config, classes, text, shuffle=text is texts[0])
        for text in texts
    ]
    model = make_model(settings, config, len(classes) if classes else 1, batches.num_batches)
    files = {"classes.json": classes}
    run = common.begin_run(settings, tokenizer, config, model, unknown, *parts, files=files)
    labels = classes or [f"{limit(texts[0][1]):g}" for limit in (min, max)]
    print(f"{'classes' if classes else 'numbers, from and to'}: {', '.join(labels)}", flush=True)
    quantity, mode, look = ("accuracy", "max", []) if classes else ("mse", "min", [])
    if classes:
        answers = functools.partial(kt.monitoring.answers, model, valid_batches)
        look = [kt.monitoring.ConfusionMatrix(settings.log_dir, classes, answers)]
    measure = functools.partial(kt.monitoring.report, batches=valid_batches, classes=classes)
    best = kt.training.KeepBest(run, quantity, mode, settings.patience, measure)
    look_at = kt.tasks.TextClassifier(model, tokenizer, classes), texts[1][0]
    look += [kt.monitoring.SampleClasses(settings.log_dir, *look_at, texts[1][1]), best]
    reached = common.train(settings, run, model, batches, valid_batches, look_at, *look)
    model = run.load_model()  # of the best epoch
    found = kt.monitoring.report(model, test_batches, classes)
    found[f"valid_{quantity}"] = measure(model)[quantity]
    if classes:
        found["classes"] = classes
        kt.monitoring.show_confusion(model, test_batches, classes, run.folder / "confusion.png")
    common.finish(settings, run, model, batches, *reached, found, classes)


# Classify.
def classify(options: common.Finished):
    """The class of each line of standard input and its probability, or its number."""
    task = kt.tasks.TextClassifier.load(options.run, options.int8)

    def show(line, answer):
        text = "{}\t{:.4f}".format(*answer) if task.labels else f"{answer:.6g}"
        return terminal.one_line(text) if line.strip() else ""

    terminal.answer_lines(task, "classified", show, truncate=True)


COMMANDS = (classify,)
main = functools.partial(command_line.run, Settings, train, COMMANDS)

if __name__ == "__main__":
    main()
