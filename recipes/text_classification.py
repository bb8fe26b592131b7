"""Text classification: fine-tune a pretrained encoder, or train one, to tell classes of text apart.

    python recipes/text_classification.py                          # tense of sentences, built in
    python recipes/text_classification.py --train train.tsv --valid dev.tsv --test test.tsv \\
        --from-run runs/wiki --name reviews
    echo "a charming film" | python recipes/text_classification.py classify --run runs/reviews

The model and the fine-tuning are those of Devlin et al. 2019, "BERT", from what masked_lm.py has
learned or from scratch. The built-in task, past, present or future from the main clause of an
English sentence, takes about a minute on two cores and reaches over 95 % test accuracy; README.md
has the figures on real text, with their commands.
"""

import argparse
import dataclasses
import json
import os
import random
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import keras_transformer as kt
from keras_transformer.training import recipe
from keras_transformer.zoo import fine_tuning

# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------

# That --from-zoo takes.
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
# What the built-in task changes, when it is learned from scratch: it is small and regular.
BUILT_IN = {
    "vocabulary_size": 700,
    "max_length": 40,
    "preset": "bert_tiny",
    "epochs": 6,
    "peak_learning_rate": 1e-3,
}


def training_settings():
    """The parser of a training run: one line a setting."""
    parser = argparse.ArgumentParser(
        prog="text_classification.py",
        description=__doc__.partition("\n\n")[0],
        allow_abbrev=False,
    )
    add = parser.add_argument
    # Text. Without any, the built-in task.
    add("--train", help="text<tab>label lines, or .csv; plain or gzip")
    add("--valid", help="the same; without it a tenth is held out, 1,000 texts at most")
    add("--test", help="the same; without it another tenth is held out")
    add("--text-column", help="the text's column, its position from 1 or its name in line 1")
    add("--label-column", help="the label's column, the same (default: 1 and 2)")
    add("--header", action="store_true", help="line 1 names the columns; named ones imply it")
    add("--regression", action="store_true", help="labels are numbers, to learn as they are")
    add("--tokenizer", help=f"one of {', '.join(kt.text.KINDS)} (default wordpiece)")
    add("--vocabulary", help="instead of training a tokenizer: a published BERT's vocab.txt")
    add(
        "--vocabulary-size",
        type=int,
        help="tokens of a tokenizer that is trained (default 8000 at most)",
    )
    add("--lowercase", action="store_true", help="lower-case all text")
    # Batches.
    add("--batch-size", type=int, default=32, help="texts an update")
    add("--max-length", type=int, default=128, help="most tokens of a text; the rest is cut off")
    # Model.
    add("--from-run", help="run of masked_lm.py whose tokenizer, model and weights to begin with")
    add("--fresh", action="store_true", help="but random weights: what is pretraining worth?")
    add("--preset", help="instead: named size, such as bert_small (default bert_mini)")
    recipe.add_model_settings(add)
    add(
        "--pooling",
        choices=["mean", "first"],
        help="tokens that are classified (default mean, of a published model first)",
    )
    add("--freeze", type=int, help="embeddings and so many blocks keep their weights")
    # Training.
    recipe.add_optimizer_settings(add, peak_learning_rate=3e-4, warmup_updates=100)
    add("--patience", type=int, default=3, help="epochs without a better one until training ends")
    # The run.
    recipe.add_run_settings(add, epochs=10)
    return parser


def parse_training(arguments):
    # A pretrained model is fine-tuned with the usual settings, on the built-in task too.
    text = ["train", "from_run"]
    settings = recipe.parse_training(training_settings(), arguments, BUILT_IN, text)
    if not settings.train and (settings.valid or settings.test):
        raise ValueError("--valid and --test go together with --train.")
    if settings.regression and not settings.train:
        raise ValueError("--regression goes together with --train.")
    if settings.fresh and not settings.from_run:
        raise ValueError("--fresh goes together with --from-run.")
    if settings.from_run and settings.from_zoo:
        raise ValueError("Expected --from-run or --from-zoo, not both.")
    fine_tuning.check_zoo(settings, FAMILIES)
    settings.pooling = settings.pooling or ("first" if settings.from_zoo else "mean")
    return settings


# ------------------------------------------------------------------------------------------------
# Text
# ------------------------------------------------------------------------------------------------


def read_text(settings):
    """Training, validation and test text, each `(texts, labels)`, and the names of the classes.

    With --regression the labels are float and the classes None.
    """
    if not settings.train:
        rows = built_in_rows(5000, settings.seed)
        parts = [rows[:4000], rows[4000:4500], rows[4500:]]
        train, valid, test = [tuple(map(list, zip(*part, strict=True))) for part in parts]
        return train, valid, test, sorted(set(train[1]))
    train = read_table(settings, settings.train)
    classes = None if settings.regression else sorted(set(train[1]))
    if classes and len(classes) < 2:
        raise ValueError(f"{settings.train}: expected at least two labels, found {classes[0]!r}")
    valid, test = [
        path and read_table(settings, path, classes) for path in (settings.valid, settings.test)
    ]
    if valid is None:
        train, valid = hold_out(train, settings.seed)
    if test is None:
        train, test = hold_out(train, settings.seed + 1)
    return train, valid, test, classes


def read_table(settings, path, classes=None):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", UserWarning)
        table = kt.text.read_table(
            path,
            settings.text_column,
            settings.label_column,
            classes,
            settings.header,
            settings.regression,
        )
    for warning in found:
        print(f"{warning.message} (here: --header)", file=sys.stderr)
    return table


def hold_out(text, seed):
    """Takes 1,000 texts, a tenth at most, with all that equal them out of the text."""
    rows = list(zip(*text, strict=True))
    parts = recipe.hold_out(rows, seed, key=lambda row: row[0])
    return [tuple(map(list, zip(*part, strict=True))) for part in parts]


def built_in_rows(count, seed):
    """Different English sentences, `(text, tense of the main clause)`.

    Half of them have a second clause, of any tense, or a question's order of words; the tense is in
    an auxiliary, in an ending, or in an irregular verb.
    """
    import built_in_corpus as corpus

    rng, tenses = random.Random(seed), {}
    while len(tenses) < count:
        clause = corpus.draw_negation(rng, corpus.draw_clause(rng))
        time = corpus.draw_time(rng, clause)
        kind = rng.choice(["statement", "statement", "question", "two clauses"])
        if kind == "question":
            text, _ = corpus.sentence("?", corpus.question(clause), time)
        elif kind == "two clauses":
            second = corpus.draw_clause(rng, earlier=clause.subject)  # of any tense
            link = rng.choice(corpus.LINKS[:2])
            text, _ = corpus.sentence(".", corpus.statement(clause), link, corpus.statement(second))
        else:
            text, _ = corpus.sentence(".", corpus.statement(clause), time)
        tenses.setdefault(text, clause.tense)
    return list(tenses.items())


def make_tokenizer(settings, texts):
    if settings.resume:
        return kt.text.load_tokenizer(recipe.run_folder(settings.name))
    if settings.from_run:
        return kt.text.load_tokenizer(kt.training.Run.open(settings.from_run, "masked_lm").folder)
    if settings.from_zoo:
        return fine_tuning.zoo_tokenizer(settings, "start", "end", "pad")
    if settings.vocabulary:
        return kt.text.load_vocabulary(settings.vocabulary)
    kind = settings.tokenizer or "wordpiece"
    return kt.text.train_tokenizer(kind, texts, settings.vocabulary_size, settings.lowercase)


# ------------------------------------------------------------------------------------------------
# Batches
# ------------------------------------------------------------------------------------------------


def make_batches(settings, tokenizer, config, classes, text, **kwargs):
    texts, labels = text
    if classes:
        numbers = {name: i for i, name in enumerate(classes)}
        labels = [numbers[label] for label in labels]
    return kt.data.LabelledBatches(
        tokenizer.encode(texts),
        labels,
        batch_size=settings.batch_size,
        max_length=longest(settings.max_length, config),
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
        segments=config.num_segments > 0,
        seed=settings.seed,
        **kwargs,
    )


def longest(max_length, config):
    """Tokens of a text; a pretrained model may read fewer than asked for."""
    return min(max_length, config.max_sequence_length)


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def make_config(settings, tokenizer):
    if settings.from_run:
        run = kt.training.Run.open(settings.from_run, "masked_lm")
        changes = {} if settings.dropout is None else {"dropout": settings.dropout}
        return dataclasses.replace(
            kt.TransformerConfig.from_json(run.config_file.read_text(encoding="utf-8")),
            line_start_id=None,  # a row is one text
            **changes,
        )
    if settings.from_zoo:
        return fine_tuning.zoo_config(settings, tokenizer)
    return kt.TransformerConfig.preset(
        settings.preset or "bert_mini",
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=settings.max_length,
        pad_id=tokenizer.pad_id,
        num_segments=0,
        pooler=settings.pooling == "first",
        **recipe.model_changes(settings),
    )


def make_model(settings, config, num_classes, num_batches):
    """The compiled model; its one class is the number of --regression."""
    model = kt.models.sequence_classifier(config, num_classes, settings.pooling)
    if settings.from_run and not settings.fresh:
        _, pretrained, _ = recipe.load_run(settings.from_run, "masked_lm")
        new = kt.models.copy_weights(pretrained, model)
        fine_tuning.begin_from(settings, model, settings.from_run, new)
    fine_tuning.load_zoo(settings, model)
    if settings.freeze is not None:
        freeze(model, config, settings.freeze)
    optimizer = recipe.make_optimizer(settings, model, num_batches)
    if settings.regression:
        model.compile(optimizer, keras.losses.MeanSquaredError())
    else:
        model.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
    return model


def freeze(model, config, num_blocks):
    """Embeddings and the first blocks learn no more."""
    if not 0 <= num_blocks <= config.num_layers:
        raise ValueError(
            f"Expected --freeze from 0 to the {config.num_layers} blocks of the model. "
            f"Received: {num_blocks}"
        )
    blocks = [f"encoder_block_{i}" for i in range(num_blocks)]
    for layer in model.layers:
        if layer.name in ("embedding", "segment_embedding", "embedding_norm", *blocks):
            layer.trainable = False


# ------------------------------------------------------------------------------------------------
# Train
# ------------------------------------------------------------------------------------------------


def train(settings):
    recipe.prepare(settings)
    text, valid_text, test_text, classes = read_text(settings)
    tokenizer = make_tokenizer(settings, text[0])
    parts = {"train": text[0], "valid": valid_text[0], "test": test_text[0]}
    unknown = recipe.check_unknown(settings, tokenizer, parts)
    config = make_config(settings, tokenizer)
    batches = make_batches(settings, tokenizer, config, classes, text)
    valid_batches, test_batches = [
        make_batches(settings, tokenizer, config, classes, part, shuffle=False)
        for part in (valid_text, test_text)
    ]
    model = make_model(settings, config, len(classes) if classes else 1, batches.num_batches)
    # Last: nothing is written if anything is wrong.
    run, log_dir = recipe.open_run(settings, tokenizer, config)
    kt.training.run.write_json(classes_file(run), classes)
    model.summary()
    for name, part in (("train", batches), ("valid", valid_batches), ("test", test_batches)):
        print(f"{name}: {part.describe()}")
    if classes:
        print(f"classes: {', '.join(classes)}")
    else:
        print(f"labels: from {min(text[1]):g} to {max(text[1]):g}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\n{unknown}\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {log_dir}", flush=True)

    checkpoint = kt.training.Checkpoint(run, keep=1)
    best = best_so_far(run, valid_batches)
    if classes:
        better = {"monitor": "val_accuracy", "mode": "max"}
        figures = kt.monitoring.ConfusionMatrix(
            log_dir, classes, lambda: answers(model, valid_batches)
        )
    else:
        better = {"monitor": "val_mse", "mode": "min"}
        figures = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(
                {f"val_{name}": value for name, value in errors(model, valid_batches).items()}
            )
        )
    callbacks = [
        kt.training.Throughput(batches.tokens / batches.num_batches),
        kt.training.LogConstants(padding_fraction=batches.padding_fraction),
        figures,
        kt.monitoring.TensorBoard(log_dir),
        # The best model before the checkpoint: stopped between the two, an epoch is done again.
        keras.callbacks.ModelCheckpoint(
            str(run.model_file), save_best_only=True, initial_value_threshold=best, **better
        ),
        keras.callbacks.EarlyStopping(patience=settings.patience, baseline=best, **better),
        checkpoint,
    ]
    history = recipe.fit(settings, model, batches, valid_batches, checkpoint, callbacks)

    model = keras.models.load_model(run.model_file, compile=False)  # of the best epoch
    if classes:
        truth, predicted = answers(model, test_batches)
        report = kt.monitoring.classification_report(truth, predicted, classes)
        matrix = kt.monitoring.confusion_matrix(truth, predicted, len(classes))
        report |= {"valid_accuracy": accuracy(model, valid_batches), "classes": classes}
        picture = kt.monitoring.plot_confusion(matrix, classes)
        keras.utils.save_img(run.folder / "confusion_matrix.png", picture, scale=False)
        show_report(report, matrix)
    else:
        report = errors(model, test_batches)
        report["valid_mse"] = errors(model, valid_batches)["mse"]
    position = checkpoint.position()
    speeds = history.get("tokens_per_second")
    recipe.save_metrics(
        run,
        {
            **report,
            "parameters": model.count_params(),
            "updates": position.updates,
            "train_seconds": round(position.seconds, 1),
            "tokens_per_second": round(float(np.mean(speeds)), 1) if speeds else None,
            "padding_fraction": round(batches.padding_fraction, 4),
        },
    )
    recipe.show_metrics(run, log_dir, classes)


def classes_file(run):
    return run.folder / "classes.json"


def best_so_far(run, valid_batches):
    """The accuracy, or error, that a resumed run has to beat, None in a new one."""
    if run.model_file.is_file():
        model = keras.models.load_model(run.model_file, compile=False)
        if is_regression(model):
            return errors(model, valid_batches)["mse"]
        return float(np.float32(accuracy(model, valid_batches)))  # as Keras' metric rounds it


# ------------------------------------------------------------------------------------------------
# Evaluate
# ------------------------------------------------------------------------------------------------


def is_regression(model):
    return model.output_shape[-1] == 1


def answers(model, batches):
    """The right class, or number, of every text, and the one that the model gives it."""
    found = []
    for inputs, labels in batches.epoch(0):
        logits = model.predict_on_batch(inputs)  # (B, C)
        given = logits[:, 0] if is_regression(model) else np.argmax(logits, axis=-1)
        found.append((labels, given))
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def errors(model, batches):
    """The mean squared error of numbers and the mean absolute one; refuses what has diverged."""
    truth, predicted = (np.array(numbers, "float64") for numbers in answers(model, batches))
    if not np.isfinite(predicted).all():
        raise ValueError(
            "Expected finite numbers of the model. Received: others, for training diverged; "
            "a lower --peak-learning-rate may help"
        )
    return {
        "mse": float(np.mean((predicted - truth) ** 2)),
        "mae": float(np.mean(np.abs(predicted - truth))),
    }


def accuracy(model, batches):
    truth, predicted = answers(model, batches)
    return float(np.mean(truth == predicted))


def show_report(report, matrix):
    """The figures of every class, and what is mistaken for what."""
    names = [escape(name) for name in report["per_class"]]
    table = Table("class", "precision", "recall", "f1", "support", title="Test text")
    for name, figures in zip(names, report["per_class"].values(), strict=True):
        *shares, support = figures.values()
        table.add_row(name, *(f"{100 * share:.1f}" for share in shares), f"{support:,}")
    Console().print(table)
    if len(names) > 20:
        return  # wider than a screen; the picture has it
    table = Table("truth \\ model", *names, title="Confusion matrix")
    for name, counts in zip(names, matrix, strict=True):
        table.add_row(name, *(f"{count:,}" for count in counts))
    Console().print(table)


class Classifier:
    """Gives lines their classes, or without any their numbers."""

    def __init__(self, model, tokenizer, classes, max_length):
        self.model = model
        self.tokenizer = tokenizer
        self.classes = classes
        self.max_length = max_length

    def too_long(self, lines):
        """`(index, tokens)` of every line of which the model reads the beginning only."""
        lengths = [len(row) + 2 for row in self.tokenizer.encode(lines)]
        return [(i, n) for i, n in enumerate(lengths) if n > self.max_length]

    def __call__(self, lines):
        """For every line what is said of it."""
        start, room = [self.tokenizer.start_id], self.max_length - 2
        ids = [[*start, *row[:room]] for row in self.tokenizer.encode(lines)]
        found = [None] * len(lines)
        for rows, batch in kt.data.length_batches(
            ids,
            batch_tokens=2048,
            end_id=self.tokenizer.end_id,
            pad_id=self.tokenizer.pad_id,
            max_length=self.max_length,
        ):
            inputs = recipe.encoder_inputs(self.model, batch)
            logits = np.array(self.model.predict_on_batch(inputs), "float64")[: len(rows)]
            for row, own in zip(rows, logits, strict=True):
                found[row] = self.say(own)
        return found

    def say(self, logits):
        """`label<tab>probability`, or the number."""
        if not self.classes:
            return f"{logits[0]:.6g}"
        shares = np.exp(logits - logits.max())
        label = recipe.one_line(self.classes[logits.argmax()])
        return f"{label}\t{shares.max() / shares.sum():.4f}"


def classify(arguments):
    """Standard input to standard output: `label<tab>probability`, or the number, a line each."""
    run, model, tokenizer = recipe.load_run(arguments.run, "text_classification", arguments.int8)
    config = kt.TransformerConfig.from_json(run.config_file.read_text(encoding="utf-8"))
    classes = json.loads(classes_file(run).read_text(encoding="utf-8"))
    room = longest(run.settings["max_length"], config)
    classifier = Classifier(model, tokenizer, classes, room)
    for first, lines in recipe.standard_input():
        for i, tokens in classifier.too_long(lines):
            print(
                f"line {first + i}: {tokens} tokens, the model reads {room}; "
                "classified by the first",
                file=sys.stderr,
            )
        found = iter(classifier([line for line in lines if line.strip()]))
        for line in lines:
            print(next(found) if line.strip() else "")
        sys.stdout.flush()


# ------------------------------------------------------------------------------------------------
# Main
# ------------------------------------------------------------------------------------------------


def parse_classify(arguments):
    parser = argparse.ArgumentParser(prog="text_classification.py classify", allow_abbrev=False)
    parser.add_argument("--run", required=True, help="folder of a run, such as runs/reviews")
    recipe.add_int8(parser.add_argument)
    return parser.parse_args(arguments)


def main(arguments):
    with recipe.clear_errors("text_classification.py"):
        if arguments[:1] == ["classify"]:
            return classify(parse_classify(arguments[1:]))
        return train(parse_training(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
