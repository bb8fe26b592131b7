"""Translation: train a Transformer on pairs of sentences, score it, translate with it.

    python recipes/translation.py                                  # English to Portuguese, built in
    python recipes/translation.py --source train.en --target train.de --valid-source val.en \\
        --valid-target val.de --test-source test.en --test-target test.de --name en-de
    echo "A dog runs." | python recipes/translation.py translate --run runs/en-de
    python recipes/translation.py evaluate --run runs/en-de --source test.en --target test.de

The model and the training are those of Vaswani et al. 2017, "Attention Is All You Need". The
built-in corpus takes about three minutes on two cores and scores above 95 BLEU; README.md has
the scores on real text, with their commands.
"""

import argparse
import itertools
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras
import numpy as np
import sacrebleu
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import keras_transformer as kt

# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------

# What the built-in corpus changes: it is small and regular.
BUILT_IN = {
    "vocabulary_size": 1000,
    "num_layers": 2,
    "dropout": 0.1,
    "epochs": 5,
    "batch_tokens": 1024,
    "max_length": 64,
    "peak_learning_rate": 3e-3,
    "warmup_updates": 400,
    "average": 3,
    "beam": 1,
}
# How far to go, and where from: what a resumed run may change.
RUN_MODES = ("epochs", "max_updates", "resume", "overwrite", "settings", "name")


def training_settings():
    """The parser of a training run: one line a setting."""
    parser = argparse.ArgumentParser(
        prog="translation.py", description=__doc__.partition("\n\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    # Text. Without any, the built-in corpus.
    add("--source", help="training sentences, one a line, plain or gzip")
    add("--target", help="their translations, one a line")
    add("--pairs", help="instead of both: source<tab>target lines")
    add("--valid-source", help="validation sentences; without them 1,000 pairs are held out")
    add("--valid-target", help="their translations")
    add("--test-source", help="test sentences; without them 1,000 more pairs are held out")
    add("--test-target", help="their translations")
    add("--tokenizer", default="sentencepiece", help=f"one of {', '.join(kt.text.KINDS)}")
    add("--vocabulary-size", type=int, help="tokens of both languages together (default 8000)")
    # Batches.
    add("--batch-tokens", type=int, default=4096, help="target tokens an update, padding included")
    add(
        "--max-length",
        type=int,
        default=256,
        help="longest sentence in tokens; others are left out",
    )
    # Model.
    add("--preset", default="transformer_tiny", help="named size, such as transformer_base")
    add("--num-layers", type=int, help="blocks of the encoder and of the decoder")
    add("--num-heads", type=int, help="attention heads")
    add("--hidden-dim", type=int, help="width of the residual stream")
    add("--intermediate-dim", type=int, help="width inside the feed-forward networks")
    add("--dropout", type=float, help="share of activations dropped in training")
    # Training.
    add("--epochs", type=int, default=20, help="passes over the text")
    add("--max-updates", type=int, help="stop after so many updates, also within an epoch")
    add("--peak-learning-rate", type=float, default=2e-3, help="Adam's rate after the warm-up")
    add("--warmup-updates", type=int, default=2000, help="updates of linear rise; then 1/sqrt")
    add("--label-smoothing", type=float, default=0.1, help="share of each target spread over V")
    add("--clip-norm", type=float, default=25.0, help="largest norm of all gradients together")
    add("--average", type=int, default=10, help="epochs whose weights are averaged at the end")
    add("--precision", default="float32", choices=["float32", "mixed_bfloat16"], help="of compute")
    add("--seed", type=int, default=1, help="of the weights, dropout and order of the text")
    # Decoding and scoring.
    add_decoding(add)
    # The run.
    add("--name", help="the run's folders: runs/NAME and tensorboard_logs/NAME (default: the time)")
    add("--settings", help="settings.json of a run to repeat")
    add("--resume", action="store_true", help="go on with the run --name where it stopped")
    add("--overwrite", action="store_true", help="replace the run --name")
    return parser


def add_decoding(add):
    add("--beam", type=int, default=5, help="beams; 1 is greedy")
    add("--length-penalty", type=float, default=1.0, help="scores are divided by length**this")
    add("--tokenize", default="13a", help="sacreBLEU's tokenizer; none for text already split")
    add("--lowercase", action="store_true", help="score without regard to case")


def parse_training(arguments):
    """The settings: defaults, then the corpus' or a stored run's, then the command line's."""
    parser = training_settings()
    given, _ = parser.parse_known_args(arguments)
    if given.resume:
        if not given.name:
            raise ValueError("--resume needs the --name of the run to go on with.")
        stored = kt.training.Run.open(run_folder(given.name)).settings
        parser.set_defaults(**stored)
    elif given.settings:
        parser.set_defaults(**{**read_settings(given.settings), "name": None})
    elif not (given.source or given.pairs):
        parser.set_defaults(**BUILT_IN)
    settings = parser.parse_args(arguments)
    settings.name = settings.name or time.strftime("translation-%Y%m%d-%H%M%S")
    check_files(settings)
    return settings


def read_settings(path):
    try:
        return json.loads(Path(path).read_text())
    except ValueError:
        raise ValueError(f"{path}: expected a run's settings.json, found no JSON.") from None


def check_files(settings):
    for name in ("source", "valid_source", "test_source"):
        both = getattr(settings, name), getattr(settings, name.replace("source", "target"))
        if bool(both[0]) != bool(both[1]):
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} and --{flag.replace('source', 'target')} go together.")
    if settings.source and settings.pairs:
        raise ValueError("Expected --source and --target, or --pairs, not both.")


def run_folder(name):
    return Path("runs") / name


# ------------------------------------------------------------------------------------------------
# Text
# ------------------------------------------------------------------------------------------------


def read_text(settings):
    """Training, validation and test text, each a pair of lists of lines."""
    if settings.pairs:
        train = kt.text.read_pairs(settings.pairs)
    elif settings.source:
        train = kt.text.read_parallel(settings.source, settings.target)
    else:
        import built_in_corpus

        parts = built_in_corpus.split_pairs(30_000, 500, 500, seed=settings.seed)
        return [tuple(map(list, zip(*pairs, strict=True))) for pairs in parts]
    valid = test = None
    if settings.valid_source:
        valid = kt.text.read_parallel(settings.valid_source, settings.valid_target)
    if settings.test_source:
        test = kt.text.read_parallel(settings.test_source, settings.test_target)
    if valid is None:
        train, valid = hold_out(train, settings.seed)
    if test is None:
        train, test = hold_out(train, settings.seed + 1)
    return train, valid, test


def hold_out(text, seed, count=1000):
    """Takes `count` sources, a tenth at most, with all their translations out of the text."""
    source, target = text
    distinct = sorted(set(source))
    count = min(count, len(distinct) // 10)
    if not count:
        raise ValueError(f"Expected at least 10 different sentences. Received: {len(distinct)}")
    chosen = set(np.random.default_rng(seed).permutation(distinct)[:count].tolist())
    pairs = list(zip(source, target, strict=True))
    rest = [pair for pair in pairs if pair[0] not in chosen]
    held_out = {s: t for s, t in reversed(pairs) if s in chosen}  # the first translation
    return tuple(map(list, zip(*rest, strict=True))), (list(held_out), list(held_out.values()))


# ------------------------------------------------------------------------------------------------
# Batches
# ------------------------------------------------------------------------------------------------


def make_batches(settings, tokenizer, text, **kwargs):
    source, target = text
    return kt.data.PairBatches(
        tokenizer.encode(source),
        tokenizer.encode(target),
        batch_tokens=settings.batch_tokens,
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
        max_length=settings.max_length,
        seed=settings.seed,
        **kwargs,
    )


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def make_model(settings, tokenizer):
    sizes = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout")
    changes = {name: getattr(settings, name) for name in sizes}
    config = kt.TransformerConfig.preset(
        settings.preset,
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=settings.max_length,
        pad_id=tokenizer.pad_id,
        **{name: value for name, value in changes.items() if value is not None},
    )
    model = kt.models.encoder_decoder(config)
    rate = kt.training.InverseSquareRoot(settings.peak_learning_rate, settings.warmup_updates)
    model.compile(
        keras.optimizers.Adam(
            rate, beta_2=0.98, epsilon=1e-9, global_clipnorm=settings.clip_norm or None
        ),
        kt.training.MaskedCrossentropy(settings.label_smoothing),
        metrics=[
            kt.training.MaskedAccuracy(),
            kt.training.Perplexity(),
            kt.training.TargetTokens(),
            kt.training.PaddingFraction(),
        ],
    )
    return model


# ------------------------------------------------------------------------------------------------
# Train
# ------------------------------------------------------------------------------------------------


def train(settings):
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    train_text, valid_text, test_text = read_text(settings)
    tokenizer = make_tokenizer(settings, train_text)
    batches = make_batches(settings, tokenizer, train_text)
    valid_batches = make_batches(settings, tokenizer, valid_text, shuffle=False)
    model = make_model(settings, tokenizer)
    run, log_dir = open_run(settings, tokenizer)  # last: nothing is written if anything is wrong
    model.summary()
    print(f"train: {batches.describe()}\nvalid: {valid_batches.describe()}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {log_dir}", flush=True)

    checkpoint = kt.training.Checkpoint(run, keep=settings.average)
    callbacks = [
        kt.training.Throughput(),
        kt.monitoring.SampleTranslations(
            log_dir,
            Translator(model, tokenizer, settings.max_length),
            *valid_text,
            plain=tokenizer.plain,
            tokenize=settings.tokenize,
            lowercase=settings.lowercase,
        ),
        kt.monitoring.TensorBoard(log_dir),
        checkpoint,
    ]
    try:
        history = fit(settings, model, batches, valid_batches, checkpoint, callbacks)
    except KeyboardInterrupt:
        position = checkpoint.save()
        print(f"\nInterrupted; saved after {position.updates:,} updates. To go on:")
        print(f"  python {sys.argv[0]} --resume --name {shlex.quote(settings.name)}")
        sys.exit(130)

    kt.training.average_checkpoints(run, model, last=settings.average)
    model.save(run.model_file)
    position = checkpoint.position()
    translator = Translator(model, tokenizer, settings.max_length, settings)
    outputs = translator(test_text[0])
    scores = score(outputs, list(map(tokenizer.plain, test_text[1])), settings)
    valid = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    run.save_metrics(
        {
            **scores,
            "valid_loss": valid["loss"],
            "valid_perplexity": valid["perplexity"],
            "parameters": model.count_params(),
            "updates": position.updates,
            "train_seconds": round(position.seconds, 1),
            "target_tokens_per_second": round(float(np.mean(history)), 1) if history else None,
            "padding_fraction": round(batches.padding_fraction, 4),
        }
    )
    show_translations([map(tokenizer.plain, lines) for lines in test_text], outputs)
    print(json.dumps(run.metrics, indent=2))
    print(f"model: {run.model_file}\nlogs: tensorboard --logdir {log_dir}")


def make_tokenizer(settings, text):
    if settings.resume:
        return kt.text.load_tokenizer(run_folder(settings.name))
    size = settings.vocabulary_size
    if size is None and settings.tokenizer != "whitespace":
        size = 8000
    return kt.text.train_tokenizer(settings.tokenizer, text[0] + text[1], size)


def open_run(settings, tokenizer):
    """The run's folder, made or taken up again, and the folder of its logs."""
    folder, log_dir = run_folder(settings.name), Path("tensorboard_logs") / settings.name
    if settings.resume:
        return kt.training.Run.resume(folder, vars(settings), may_differ=RUN_MODES), log_dir
    run = kt.training.Run.create(folder, vars(settings), overwrite=settings.overwrite)
    shutil.rmtree(log_dir, ignore_errors=True)
    tokenizer.save(run.folder)
    return run, log_dir


def fit(settings, model, batches, valid_batches, checkpoint, callbacks):
    """Trains to the end, from a checkpoint if there is one; target tokens a second, by epoch."""
    start = checkpoint.restore(model)
    if settings.max_updates:
        if start.updates >= settings.max_updates:
            return []
        callbacks = [*callbacks, kt.training.StopAfter(settings.max_updates)]
    # An epoch that was interrupted is a leg of its own: Keras wants all epochs of one length.
    legs = [(start.epoch + bool(start.batches), settings.epochs, 0)]
    if start.batches:
        legs.insert(0, (start.epoch, start.epoch + 1, start.batches))
    speeds = []
    for first, last, skip in legs:
        history = model.fit(
            batches.dataset(first, skip),
            steps_per_epoch=batches.num_batches - skip,
            initial_epoch=first,
            epochs=last,
            validation_data=valid_batches.dataset(),
            callbacks=callbacks,
            shuffle=False,  # the batches are
            verbose="auto" if sys.stdout.isatty() else 2,
        )
        speeds += history.history.get("target_tokens_per_second", [])
        if model.stop_training:
            break
    return speeds


# ------------------------------------------------------------------------------------------------
# Evaluate
# ------------------------------------------------------------------------------------------------


class Translator:
    """Turns lines into their translations, in batches of similar lengths."""

    def __init__(self, model, tokenizer, max_length, decoding=None):
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.sampler = "greedy"
        if decoding and decoding.beam > 1:
            self.sampler = kt.generation.BeamSearch(
                decoding.beam, decoding.length_penalty, penalty="power"
            )
        self.generators = {}

    def __call__(self, lines):
        """One translation a line; an empty one for an empty line, and for one that is too long."""
        ids = self.tokenizer.encode(lines)
        rooms = np.array([self.room(len(row) + 1) for row in ids])
        outputs = [""] * len(lines)
        for room in np.unique(rooms[rooms > 0]).tolist():
            wanted = np.flatnonzero(rooms == room)
            for rows, batch in kt.data.length_batches(
                [ids[i] for i in wanted],
                batch_tokens=512,
                end_id=self.tokenizer.end_id,
                max_shapes=2,
            ):
                texts = self.tokenizer.decode(self.generator(room)(batch)[: len(rows)])
                for i, text in zip(wanted[rows], texts, strict=True):
                    outputs[i] = text
        return outputs

    def too_long(self, lines):
        """`(index, tokens)` of every line that the model cannot read."""
        lengths = [len(row) + 1 for row in self.tokenizer.encode(lines)]
        return [(i, n) for i, n in enumerate(lengths) if n > self.max_length]

    def room(self, tokens):
        """The most tokens of a translation; 0 for a line that is empty or too long to read.

        Few are longer than this, and each token of room costs memory in the cache. It depends on
        the line's own length alone, so that other lines do not change a translation.
        """
        if tokens == 1 or tokens > self.max_length:
            return 0
        return min(self.max_length, 3 * 2 ** max(4, (tokens - 1).bit_length()) // 2)

    def generator(self, room):
        if room not in self.generators:
            self.generators[room] = kt.Generator(
                self.model,
                end_id=self.tokenizer.end_id,
                start_id=self.tokenizer.start_id,
                pad_id=self.tokenizer.pad_id,
                max_new_tokens=room,
                sampler=self.sampler,
            )
        return self.generators[room]


def score(outputs, references, settings):
    """BLEU (Papineni et al. 2002) and chrF (Popovic 2015), with sacreBLEU's signatures."""
    # force: no warning that text looks tokenised, where --tokenize none says so.
    bleu = sacrebleu.BLEU(tokenize=settings.tokenize, lowercase=settings.lowercase, force=True)
    chrf = sacrebleu.CHRF(lowercase=settings.lowercase)
    return {
        "bleu": round(bleu.corpus_score(outputs, [references]).score, 2),
        "bleu_signature": str(bleu.get_signature()),
        "chrf": round(chrf.corpus_score(outputs, [references]).score, 2),
        "chrf_signature": str(chrf.get_signature()),
    }


def show_translations(text, outputs, count=10):
    table = Table("source", "reference", "output", title="Translations", show_lines=True)
    for row in list(zip(*text, outputs, strict=True))[:count]:
        table.add_row(*map(escape, row))
    Console().print(table)


def load_translator(arguments):
    run = kt.training.Run.open(arguments.run)
    if not run.model_file.is_file():
        raise kt.training.RunError(f"{arguments.run} has no model.keras: its training is not over.")
    model = keras.models.load_model(run.model_file, compile=False)
    tokenizer = kt.text.load_tokenizer(run.folder)
    return Translator(model, tokenizer, run.settings["max_length"], arguments)


def report_too_long(translator, lines, first=1):
    """Names the lines that stay untranslated on standard error; how many they are."""
    found = translator.too_long(lines)
    for i, tokens in found:
        print(
            f"line {first + i}: {tokens} tokens, the model reads {translator.max_length}; "
            "not translated",
            file=sys.stderr,
        )
    return len(found)


def translate(arguments):
    """Standard input to standard output, a line each."""
    translator = load_translator(arguments)
    size = 1 if sys.stdin.isatty() else 1024
    stream = enumerate(sys.stdin.buffer, 1)
    failed = 0
    while chunk := list(itertools.islice(stream, size)):
        lines = [decode_line(line, number) for number, line in chunk]
        failed += report_too_long(translator, lines, chunk[0][0])
        print(*translator(lines), sep="\n", flush=True)
    sys.exit(1 if failed else 0)


def decode_line(line, number):
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"standard input, line {number}: not UTF-8.") from None


def evaluate(arguments):
    """BLEU and chrF of a run on two files."""
    source, target = kt.text.read_parallel(arguments.source, arguments.target)
    translator = load_translator(arguments)
    failed = report_too_long(translator, source)
    references = list(map(translator.tokenizer.plain, target))
    print(json.dumps(score(translator(source), references, arguments), indent=2))
    sys.exit(1 if failed else 0)


# ------------------------------------------------------------------------------------------------
# Main
# ------------------------------------------------------------------------------------------------


def parse_command(command, arguments):
    parser = argparse.ArgumentParser(prog=f"translation.py {command.__name__}", allow_abbrev=False)
    parser.add_argument("--run", required=True, help="folder of a finished run, such as runs/en-de")
    if command is evaluate:
        parser.add_argument("--source", required=True, help="sentences, one a line")
        parser.add_argument("--target", required=True, help="their reference translations")
    add_decoding(parser.add_argument)
    return parser.parse_args(arguments)


def main(arguments):
    try:
        for command in (translate, evaluate):
            if arguments[:1] == [command.__name__]:
                return command(parse_command(command, arguments[1:]))
        return train(parse_training(arguments))
    except (ValueError, OSError) as error:
        sys.exit(f"translation.py: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
