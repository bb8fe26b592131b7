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
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import numpy as np
import sacrebleu
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import keras_transformer as kt
from keras_transformer.training import recipe
from keras_transformer.zoo import fine_tuning

# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------

FAMILIES = ("marian", "bart")  # that --from-zoo takes
# What the built-in corpus changes: it is small and regular.
BUILT_IN = {
    "vocabulary_size": 1250,  # 256 of them for bytes
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
    add(
        "--vocabulary-size",
        type=int,
        help="tokens of both languages together (default 8000 at most)",
    )
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
    recipe.add_model_settings(add)
    # Training.
    add("--peak-learning-rate", type=float, default=2e-3, help="Adam's rate after the warm-up")
    add("--warmup-updates", type=int, default=2000, help="updates of linear rise; then 1/sqrt")
    add("--label-smoothing", type=float, default=0.1, help="share of each target spread over V")
    add("--clip-norm", type=float, default=25.0, help="largest norm of all gradients together")
    add("--average", type=int, default=10, help="epochs whose weights are averaged at the end")
    # Decoding and scoring.
    add_decoding(add)
    # The run.
    recipe.add_run_settings(add, epochs=20)
    return parser


def add_decoding(add):
    add("--beam", type=int, default=5, help="beams; 1 is greedy")
    add("--length-penalty", type=float, default=1.0, help="scores are divided by length**this")
    add("--tokenize", default="13a", help="sacreBLEU's tokenizer; none for text already split")
    add("--lowercase", action="store_true", help="score without regard to case")


def parse_training(arguments):
    text = ("source", "pairs")
    settings = recipe.parse_training(training_settings(), arguments, BUILT_IN, text)
    check_files(settings)
    check_tokenize(settings)
    fine_tuning.check_zoo(settings, FAMILIES, "max_length")
    return settings


def check_tokenize(settings):
    known = sorted(sacrebleu.BLEU.TOKENIZERS)
    if settings.tokenize not in known:
        raise ValueError(
            f"Expected --tokenize to be one of {', '.join(known)}. Received: {settings.tokenize}"
        )
    try:
        sacrebleu.BLEU(tokenize=settings.tokenize)
    except (ImportError, RuntimeError) as error:  # of what some languages need
        reason = " ".join(str(error).split())
        raise ValueError(f"--tokenize {settings.tokenize} cannot be had: {reason}") from None


def check_files(settings):
    for name in ("source", "valid_source", "test_source"):
        both = getattr(settings, name), getattr(settings, name.replace("source", "target"))
        if bool(both[0]) != bool(both[1]):
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} and --{flag.replace('source', 'target')} go together.")
    if settings.source and settings.pairs:
        raise ValueError("Expected --source and --target, or --pairs, not both.")


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


def hold_out(text, seed):
    """Takes 1,000 sources, a tenth at most, with all their translations out of the text."""
    pairs = list(zip(*text, strict=True))
    parts = recipe.hold_out(pairs, seed, key=lambda pair: pair[0])
    return [tuple(map(list, zip(*part, strict=True))) for part in parts]


# ------------------------------------------------------------------------------------------------
# Batches
# ------------------------------------------------------------------------------------------------


def make_batches(settings, tokenizer, text, **kwargs):
    source, target = text
    return kt.data.PairBatches(
        begin(tokenizer, tokenizer.encode(source)),
        begin(tokenizer, tokenizer.encode_target(target)),
        batch_tokens=settings.batch_tokens,
        start_id=tokenizer.decoder_start_id,
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
        max_length=settings.max_length,
        seed=settings.seed,
        **kwargs,
    )


def begin(tokenizer, ids):
    """Sentences with what they begin with: on both sides BART's have a start, others nothing."""
    prefix = np.array(tokenizer.prefix_ids, "int32")
    return [np.concatenate([prefix, row]) if len(row) else row for row in ids]


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def make_config(settings, tokenizer):
    if settings.from_zoo:
        return fine_tuning.zoo_config(settings, tokenizer)
    return kt.TransformerConfig.preset(
        settings.preset,
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=settings.max_length,
        pad_id=tokenizer.pad_id,
        **recipe.model_changes(settings),
    )


def make_model(settings, config):
    model = kt.models.encoder_decoder(config)
    fine_tuning.load_zoo(settings, model)
    pad_id = config.pad_id
    rate = kt.training.InverseSquareRoot(settings.peak_learning_rate, settings.warmup_updates)
    model.compile(
        kt.training.Adam(
            rate, beta_2=0.98, epsilon=1e-9, global_clipnorm=settings.clip_norm or None
        ),
        kt.training.MaskedCrossentropy(settings.label_smoothing, pad_id=pad_id),
        metrics=[
            kt.training.MaskedAccuracy(pad_id=pad_id),
            kt.training.Perplexity(pad_id=pad_id),
            kt.training.TargetTokens(pad_id=pad_id),
            kt.training.PaddingFraction(pad_id=pad_id),
        ],
    )
    return model


# ------------------------------------------------------------------------------------------------
# Train
# ------------------------------------------------------------------------------------------------


def train(settings):
    recipe.prepare(settings)
    train_text, valid_text, test_text = read_text(settings)
    tokenizer = make_tokenizer(settings, train_text)
    texts = {"train": train_text, "valid": valid_text, "test": test_text}
    sources, targets = ({name: text[i] for name, text in texts.items()} for i in (0, 1))
    unknown = recipe.check_unknown(settings, tokenizer, sources, targets)
    batches = make_batches(settings, tokenizer, train_text)
    valid_batches = make_batches(settings, tokenizer, valid_text, shuffle=False)
    config = make_config(settings, tokenizer)
    model = make_model(settings, config)
    # Last: nothing is written if anything is wrong.
    run, log_dir = recipe.open_run(settings, tokenizer, config)
    model.summary()
    print(f"train: {batches.describe()}\nvalid: {valid_batches.describe()}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\n{unknown}\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {log_dir}", flush=True)

    translator = Translator(model, tokenizer, settings.max_length, settings)
    too_long = {
        name: len(translator.too_long(text)) for name, text in sources.items() if name != "train"
    }
    for name, count in too_long.items():
        if count:
            print(
                f"{name}: {count:,} sentences are longer than --max-length {settings.max_length} "
                "and stay untranslated: BLEU counts them as empty",
                flush=True,
            )
    checkpoint = kt.training.Checkpoint(run, keep=settings.average)
    rough = Translator(model, tokenizer, settings.max_length)
    callbacks = [
        kt.training.Throughput(),
        kt.monitoring.SampleTranslations(
            log_dir,
            rough,
            *valid_text,
            plain=tokenizer.plain,
            tokenize=settings.tokenize,
            lowercase=settings.lowercase,
            cut=lambda: rough.cut,
        ),
        kt.monitoring.TensorBoard(log_dir),
        checkpoint,
    ]
    history = recipe.fit(settings, model, batches, valid_batches, checkpoint, callbacks)
    kt.training.average_checkpoints(run, model, last=settings.average)
    model.save(run.model_file)
    position = checkpoint.position()
    speeds = history.get("target_tokens_per_second")
    outputs = translator(test_text[0])
    scores = score(outputs, list(map(tokenizer.plain, test_text[1])), settings)
    valid = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    recipe.save_metrics(
        run,
        {
            **scores,
            "test_lines_too_long": too_long["test"],
            "valid_loss": valid["loss"],
            "valid_perplexity": valid["perplexity"],
            "parameters": model.count_params(),
            "updates": position.updates,
            "train_seconds": round(position.seconds, 1),
            "target_tokens_per_second": round(float(np.mean(speeds)), 1) if speeds else None,
            "padding_fraction": round(batches.padding_fraction, 4),
        },
    )
    show_translations([map(tokenizer.plain, lines) for lines in test_text], outputs)
    recipe.show_metrics(run, log_dir)


def make_tokenizer(settings, text):
    if settings.resume:
        return kt.text.load_tokenizer(recipe.run_folder(settings.name))
    if settings.from_zoo:
        return fine_tuning.zoo_tokenizer(settings, "start", "end", "pad")
    return kt.text.train_tokenizer(settings.tokenizer, text[0] + text[1], settings.vocabulary_size)


# ------------------------------------------------------------------------------------------------
# Evaluate
# ------------------------------------------------------------------------------------------------


class Translator:
    """Turns lines into their translations, in batches of similar lengths.

    Without `decoding`, as in training, it is greedy, and a translation that does not end in the
    room that most need is cut there; else it is made again with all the room that the model has.

    Attributes:
        cut: Indices of the last translations that were cut.
    """

    def __init__(self, model, tokenizer, max_length, decoding=None):
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.is_rough = decoding is None
        self.sampler = "greedy"
        if decoding and decoding.beam > 1:
            self.sampler = kt.generation.BeamSearch(
                decoding.beam, decoding.length_penalty, penalty="power"
            )
        self.generators = {}
        self.cut = []

    def __call__(self, lines):
        """One translation a line; an empty one for an empty line, and for one that is too long."""
        ids = begin(self.tokenizer, self.tokenizer.encode(lines))
        rooms = np.array([self.room(len(row) + 1) for row in ids])
        outputs = [""] * len(lines)
        unfinished = []
        for room in np.unique(rooms[rooms > 0]).tolist():
            wanted = np.flatnonzero(rooms == room)
            unfinished += self.translate(ids, wanted, room, outputs)
        if self.is_rough:
            self.cut = unfinished
        elif unfinished:
            self.translate(ids, np.array(unfinished), self.max_length, outputs)
        return outputs

    def translate(self, ids, wanted, room, outputs):
        """Translates the rows `wanted` into `outputs`; which of them might go on beyond `room`."""
        unfinished = []
        for rows, batch in kt.data.length_batches(
            [ids[i] for i in wanted],
            batch_tokens=512,
            end_id=self.tokenizer.end_id,
            pad_id=self.tokenizer.pad_id,
            max_length=self.max_length,
        ):
            found = self.generator(room)(batch)[: len(rows)]
            for i, text in zip(wanted[rows], self.tokenizer.decode(found), strict=True):
                outputs[i] = text
            ended = (found == self.tokenizer.end_id).any(axis=1)
            unfinished += wanted[rows][~ended].tolist() if room < self.max_length else []
        return unfinished

    def too_long(self, lines):
        """`(index, tokens)` of every line that the model cannot read."""
        ids = begin(self.tokenizer, self.tokenizer.encode(lines))
        lengths = [len(row) + 1 for row in ids]
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
                start_id=self.tokenizer.decoder_start_id,
                pad_id=self.tokenizer.pad_id,
                max_new_tokens=room,
                sampler=self.sampler,
                # Published weights may make it the likeliest of all: it never was a label.
                rules=[kt.generation.ForbiddenTokens([self.tokenizer.pad_id])],
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
    run, model, tokenizer = recipe.load_run(arguments.run, "translation", arguments.int8)
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
    failed = 0
    for first, lines in recipe.standard_input():
        failed += report_too_long(translator, lines, first)
        print(*map(recipe.one_line, translator(lines)), sep="\n", flush=True)
    sys.exit(1 if failed else 0)


def evaluate(arguments):
    """BLEU and chrF of a run on two files."""
    source, target = kt.text.read_parallel(arguments.source, arguments.target)
    translator = load_translator(arguments)
    failed = report_too_long(translator, source)
    references = list(map(translator.tokenizer.plain, target))
    scores = score(translator(source), references, arguments)
    print(json.dumps({**scores, "test_lines_too_long": failed}, indent=2))
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
    recipe.add_int8(parser.add_argument)
    options = parser.parse_args(arguments)
    recipe.check_bounds(options)
    check_tokenize(options)
    return options


def main(arguments):
    with recipe.clear_errors("translation.py"):
        for command in (translate, evaluate):
            if arguments[:1] == [command.__name__]:
                return command(parse_command(command, arguments[1:]))
        return train(parse_training(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
