"""Masked language modelling: pretrain a BERT on text, then let it fill in missing words.

    python recipes/masked_lm.py                                    # built-in English sentences
    python recipes/masked_lm.py --text wiki.txt.gz news.txt --preset bert_small --name wiki
    echo "The dog [MASK] in the garden." | python recipes/masked_lm.py fill --run runs/wiki

The model and the masks are those of Devlin et al. 2019, "BERT"; short lines share rows, each as if
it were alone. The built-in corpus takes a minute and a half on two cores and guesses 48 % of
the masked words; README.md has the figures on real text, with their commands. What a run has
learned is fine-tuned by text_classification.py.
"""

import argparse
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import keras_transformer as kt
from keras_transformer.training import recipe
from keras_transformer.zoo import fine_tuning

MASK = "[MASK]"  # how a user writes it, whatever the tokenizer calls it

# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------

# That --from-zoo takes.
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")
# What the built-in corpus changes: it is small and regular.
BUILT_IN = {
    "vocabulary_size": 700,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 128,
    "intermediate_dim": 512,
    "row_length": 64,
    "epochs": 8,
    "peak_learning_rate": 2e-3,
    "warmup_updates": 200,
}


def training_settings():
    """The parser of a training run: one line a setting."""
    parser = argparse.ArgumentParser(
        prog="masked_lm.py", description=__doc__.partition("\n\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    # Text. Without any, the built-in corpus.
    add("--text", nargs="+", help="files with a sentence or a document a line, plain or gzip")
    add("--valid-text", nargs="+", help="validation text; without it 1,000 lines are held out")
    add("--tokenizer", default="wordpiece", help=f"one of {', '.join(kt.text.KINDS)}")
    add("--vocabulary", help="instead of training a tokenizer: a published BERT's vocab.txt")
    add(
        "--vocabulary-size",
        type=int,
        help="tokens of a tokenizer that is trained (default 8000 at most)",
    )
    add("--lowercase", action="store_true", help="lower-case all text")
    # Batches.
    add("--batch-size", type=int, default=32, help="rows an update")
    add("--row-length", type=int, default=128, help="tokens of a row, which holds several lines")
    add("--mask-rate", type=float, default=0.15, help="share of the tokens to guess")
    add("--whole-words", action="store_true", help="mask all tokens of a word together")
    add("--next-sentence", action="store_true", help="also guess whether two lines are neighbours")
    # Model.
    add("--preset", default="bert_mini", help="named size, such as bert_small")
    recipe.add_model_settings(add)
    # Training.
    recipe.add_optimizer_settings(add, peak_learning_rate=1e-3, warmup_updates=500)
    # The run.
    recipe.add_run_settings(add, epochs=10)
    return parser


def parse_training(arguments):
    settings = recipe.parse_training(training_settings(), arguments, BUILT_IN, ["text"])
    fine_tuning.check_zoo(settings, FAMILIES, "row_length")
    return settings


# ------------------------------------------------------------------------------------------------
# Text
# ------------------------------------------------------------------------------------------------


def read_text(settings):
    """Training and validation lines; an empty line ends a document."""
    if not settings.text:
        import built_in_corpus

        parts = built_in_corpus.split_pairs(30_000, 500, 0, seed=settings.seed)
        return [[english for english, _ in part] for part in parts[:2]]
    train = read_files(settings.text)
    if settings.valid_text:
        return train, read_files(settings.valid_text)
    if settings.next_sentence:
        raise ValueError("Expected --valid-text with --next-sentence: lines belong together.")
    return recipe.hold_out([line for line in train if line.strip()], settings.seed)


def read_files(paths):
    lines = []
    for path in paths:
        lines += [*kt.text.read_lines(path), ""]  # a file ends its last document
    return lines


def make_tokenizer(settings, lines):
    if settings.resume:
        return kt.text.load_tokenizer(recipe.run_folder(settings.name))
    if settings.from_zoo:
        return fine_tuning.zoo_tokenizer(settings, "start", "end", "pad", "mask")
    if settings.vocabulary:
        return kt.text.load_vocabulary(settings.vocabulary)
    return kt.text.train_tokenizer(
        settings.tokenizer, lines, settings.vocabulary_size, settings.lowercase, mask=True
    )


# ------------------------------------------------------------------------------------------------
# Batches
# ------------------------------------------------------------------------------------------------


def make_batches(settings, tokenizer, config, lines, **kwargs):
    return kt.data.MaskedBatches(
        tokenizer.encode(lines),
        tokenizer,
        batch_size=settings.batch_size,
        row_length=settings.row_length,
        rate=settings.mask_rate,
        whole_words=settings.whole_words,
        next_sentence=settings.next_sentence,
        segments=config.num_segments > 0,
        seed=settings.seed,
        **kwargs,
    )


def input_speed(batches, seconds=2.0):
    """Real tokens a second that masking and batching alone can deliver."""
    began, count = time.monotonic(), 0
    for _ in batches.dataset().take(batches.num_batches):
        count += 1
        if time.monotonic() - began > seconds:
            break
    return count * batches.tokens / batches.num_batches / (time.monotonic() - began)


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def make_config(settings, tokenizer):
    pairs = settings.next_sentence
    rows = {
        "line_start_id": None if pairs else tokenizer.start_id,  # a row of a pair is one text
        "pooler": pairs,
    }
    if settings.from_zoo:
        return fine_tuning.zoo_config(settings, tokenizer, **rows)
    return kt.TransformerConfig.preset(
        settings.preset,
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=settings.row_length,
        pad_id=tokenizer.pad_id,
        num_segments=2 if pairs else 0,
        **rows,
        **recipe.model_changes(settings),
    )


def make_model(settings, config, num_batches):
    model = kt.models.masked_language_model(config, next_sentence=settings.next_sentence)
    fine_tuning.load_zoo(settings, model)
    pad_id = config.pad_id
    loss = kt.training.MaskedCrossentropy(pad_id=pad_id)
    metrics = [kt.training.MaskedAccuracy(pad_id=pad_id), kt.training.Perplexity(pad_id=pad_id)]
    if settings.next_sentence:
        not_a_pair = kt.data.NOT_A_PAIR
        loss = [loss, kt.training.MaskedCrossentropy(pad_id=not_a_pair)]
        metrics = [metrics, [kt.training.MaskedAccuracy(pad_id=not_a_pair, name="accuracy")]]
    model.compile(recipe.make_optimizer(settings, model, num_batches), loss, metrics=metrics)
    return model


# ------------------------------------------------------------------------------------------------
# Train
# ------------------------------------------------------------------------------------------------


def train(settings):
    recipe.prepare(settings)
    lines, valid_lines = read_text(settings)
    tokenizer = make_tokenizer(settings, lines)
    unknown = recipe.check_unknown(settings, tokenizer, {"train": lines, "valid": valid_lines})
    config = make_config(settings, tokenizer)
    batches = make_batches(settings, tokenizer, config, lines)
    valid_batches = make_batches(settings, tokenizer, config, valid_lines, shuffle=False)
    model = make_model(settings, config, batches.num_batches)
    # Last: nothing is written if anything is wrong.
    run, log_dir = recipe.open_run(settings, tokenizer, config)
    model.summary()
    print(f"train: {batches.describe()}\nvalid: {valid_batches.describe()}")
    speed = input_speed(batches)
    print(f"input alone: {speed:,.0f} tokens a second")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\n{unknown}\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {log_dir}", flush=True)

    checkpoint = kt.training.Checkpoint(run, keep=1)
    filler = Filler(model, tokenizer, settings.row_length)
    samples = mask_words(tokenizer, valid_lines, settings)
    callbacks = [
        kt.training.Throughput(batches.tokens / batches.num_batches),
        kt.training.LogConstants(padding_fraction=batches.padding_fraction),
        kt.monitoring.SampleTable(
            log_dir,
            ["sentence", "truth", "guesses"],
            lambda: sample_rows(filler, samples),
        ),
        kt.monitoring.TensorBoard(log_dir),
        checkpoint,
    ]
    history = recipe.fit(settings, model, batches, valid_batches, checkpoint, callbacks)

    model.save(run.model_file)
    position = checkpoint.position()
    speeds = history.get("tokens_per_second")
    recipe.save_metrics(
        run,
        {
            **evaluate(model, valid_batches),
            "parameters": model.count_params(),
            "updates": position.updates,
            "train_seconds": round(position.seconds, 1),
            "tokens_per_second": round(float(np.mean(speeds)), 1) if speeds else None,
            "input_tokens_per_second": round(speed, 1),
            "padding_fraction": round(batches.padding_fraction, 4),
        },
    )
    show_guesses(sample_rows(filler, samples))
    recipe.show_metrics(run, log_dir)


# ------------------------------------------------------------------------------------------------
# Evaluate
# ------------------------------------------------------------------------------------------------


def evaluate(model, valid_batches):
    """What the held-out text says; its masks are always the same."""
    found = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    return {f"valid_{name}": value for name, value in found.items()}


class Filler:
    """Guesses the `[MASK]`s of lines."""

    def __init__(self, model, tokenizer, max_length, guesses=5):
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.guesses = guesses

    def encode(self, line):
        """The ids of a line, start, mask and end tokens included."""
        ids = [self.tokenizer.start_id]
        if self.tokenizer.kind == "published":
            line = line.replace(f" {MASK}", MASK)  # the space is part of the masked token
        for number, text in enumerate(line.split(MASK)):
            ids += [self.tokenizer.mask_id] * (number > 0)
            ids += self.tokenizer.encode([text])[0].tolist()
        return [*ids, self.tokenizer.end_id]

    def problem(self, line):
        """Why a line cannot be filled, or None."""
        if MASK not in line:
            return f"no {MASK} in it"
        if (tokens := len(self.encode(line))) > self.max_length:
            return f"{tokens} tokens, the model reads {self.max_length}"

    def __call__(self, lines):
        """For every line, for each of its masks, the best `(id, probability)`, best first."""
        ids = [self.encode(line) for line in lines]
        found = [None] * len(lines)
        for rows, batch in kt.data.length_batches(
            ids, batch_tokens=2048, pad_id=self.tokenizer.pad_id, max_length=self.max_length
        ):
            masks = [np.flatnonzero(row == self.tokenizer.mask_id) for row in batch]
            most = 2 ** max(len(places) - 1 for places in masks).bit_length()  # few shapes
            positions = np.array([np.resize([*places, *[0] * most], most) for places in masks])
            positions = positions.astype("int32")
            inputs = recipe.encoder_inputs(self.model, batch, masked_positions=positions)
            logits = self.model.predict_on_batch(inputs)
            logits = logits[0] if isinstance(logits, list) else logits  # (B, P, V)
            logits = np.array(logits, "float64")
            logits[..., self.tokenizer.special_ids] = -np.inf
            logits[..., self.tokenizer.vocabulary_size :] = -np.inf  # only fills up a table
            for row, places, scores in zip(rows, masks, logits, strict=False):
                found[row] = [self.best(score) for score in scores[: len(places)]]
        return found

    def best(self, logits):
        probabilities = np.exp(logits - logits.max())
        probabilities /= probabilities.sum()
        best = np.argsort(-probabilities)[: self.guesses]
        return [(int(i), float(probabilities[i])) for i in best if probabilities[i]]

    def completions(self, line, guesses):
        """The likeliest whole lines, `(probability, text)`; each mask is guessed on its own."""
        combinations = [(1.0, ())]
        for choices in guesses:
            longer = [(p * q, (*chosen, i)) for p, chosen in combinations for i, q in choices]
            combinations = sorted(longer, reverse=True)[: self.guesses]
        for probability, chosen in combinations:
            ids, chosen = self.encode(line), iter(chosen)
            ids = [next(chosen) if i == self.tokenizer.mask_id else i for i in ids]
            yield probability, self.tokenizer.decode([ids])[0]


def mask_words(tokenizer, lines, settings, count=10):
    """Lines with one word replaced by `[MASK]`, and that word: what to watch in training."""
    rng, special = np.random.default_rng(settings.seed), tokenizer.special_ids
    samples = []
    for line in (lines[i] for i in rng.permutation(len(lines))):
        words = line.split()
        ids = [tokenizer.encode([word])[0] for word in words]
        known = [i for i, word in enumerate(ids) if len(word) == 1 and word[0] not in special]
        if (
            known
            and MASK not in line
            and len(tokenizer.encode([line])[0]) + 2 <= settings.row_length
        ):
            i = int(rng.choice(known))
            samples.append((" ".join([*words[:i], MASK, *words[i + 1 :]]), words[i]))
        if len(samples) == count:
            break
    return samples


def sample_rows(filler, samples):
    """Rows of sentence, truth and the five best guesses."""
    found = filler([line for line, _ in samples])
    for (line, truth), [guesses] in zip(samples, found, strict=True):
        words = [f"{filler.tokenizer.decode([[i]])[0]} {100 * p:.0f} %" for i, p in guesses]
        yield line, truth, ", ".join(words)


def show_guesses(rows):
    table = Table("sentence", "truth", "guesses", title="Masked words", show_lines=True)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)


def fill(arguments):
    """Standard input to standard output: five completions of every line, best first."""
    run, model, tokenizer = recipe.load_run(arguments.run, "masked_lm", arguments.int8)
    filler = Filler(model, tokenizer, run.settings["row_length"], arguments.guesses)
    failed = 0
    for first, lines in recipe.standard_input():
        problems = [filler.problem(line) for line in lines]
        good = [line for line, problem in zip(lines, problems, strict=True) if not problem]
        guesses = iter(filler(good))
        for number, (line, problem) in enumerate(zip(lines, problems, strict=True), first):
            if problem:
                failed += 1
                print(f"line {number}: {problem}; not filled", file=sys.stderr)
                continue
            for probability, text in filler.completions(line, next(guesses)):
                print(f"{probability:.4f}\t{recipe.one_line(text)}")
            print(flush=True)
    sys.exit(1 if failed else 0)


# ------------------------------------------------------------------------------------------------
# Main
# ------------------------------------------------------------------------------------------------


def parse_fill(arguments):
    parser = argparse.ArgumentParser(prog="masked_lm.py fill", allow_abbrev=False)
    add = parser.add_argument
    add("--run", required=True, help="folder of a finished run, such as runs/wiki")
    add("--guesses", type=int, default=5, help="completions of a line")
    recipe.add_int8(add)
    options = parser.parse_args(arguments)
    recipe.check_bounds(options)
    return options


def main(arguments):
    with recipe.clear_errors("masked_lm.py"):
        if arguments[:1] == ["fill"]:
            return fill(parse_fill(arguments[1:]))
        return train(parse_training(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
