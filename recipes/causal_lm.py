"""Causal language modelling: train a GPT on text, then let it write.

    python recipes/causal_lm.py                                    # built-in English sentences
    python recipes/causal_lm.py --text book.txt --preset gpt_mini --modern --name book
    python recipes/causal_lm.py generate --run runs/book --prompt "It was a dark and"

The model is that of Radford et al. 2019 ("GPT-2"), or with `--modern` that of its descendants:
rotary positions, RMSNorm, a gated feed-forward network, grouped key-value heads, no biases. Rows
are random crops of one long text, or with `--documents` whole lines, several in a row, each as if
it were alone. The built-in corpus takes under two minutes on two cores; README.md has the figures
on real text, with their commands.
"""

import argparse
import dataclasses
import itertools
import math
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on the machine

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.generation import (
    ForbiddenTokens,
    MinLength,
    MinP,
    NoRepeatNgrams,
    RandomSampler,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from keras_transformer.training import recipe
from keras_transformer.zoo import fine_tuning

FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "gemma")  # that --from-zoo takes
NO_LABEL = -1  # published vocabularies may have no padding, or one that is also the end
TOKENIZERS = ("bpe", "character", "sentencepiece", "sentencepiece_bpe")

# ------------------------------------------------------------------------------------------------
# Settings
# ------------------------------------------------------------------------------------------------

# What the built-in corpus changes: it is small and regular.
BUILT_IN = {
    "vocabulary_size": 700,
    "preset": "gpt_micro",
    "batch_size": 16,
    "row_length": 64,
    "epochs": 3,
    "peak_learning_rate": 3e-3,
}


def training_settings():
    """The parser of a training run: one line a setting."""
    parser = argparse.ArgumentParser(
        prog="causal_lm.py", description=__doc__.partition("\n\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    # Text. Without any, the built-in corpus.
    add("--text", nargs="+", help="text files, plain or gzip")
    add("--valid-text", nargs="+", help="validation text; without it some is held out")
    add("--documents", action="store_true", help="every line is a text of its own")
    add("--tokenizer", default="bpe", help=f"one of {', '.join(TOKENIZERS)}")
    add("--vocabulary-size", type=int, help="tokens (default 8000 at most; all characters)")
    add("--lowercase", action="store_true", help="lower-case all text")
    # Batches.
    add("--batch-size", type=int, default=16, help="rows a batch")
    add("--row-length", type=int, default=128, help="tokens of a row, the model's context")
    add("--accumulate", type=int, default=1, help="batches whose gradients make one update")
    add("--epoch-updates", type=int, help="updates between validations (default: once the text)")
    # Model.
    add("--preset", default="gpt_mini", help="named size, such as gpt2_small")
    add("--modern", action="store_true", help="RoPE, RMSNorm, SwiGLU, grouped heads, no biases")
    add("--window", type=int, help="how many tokens back a token sees")
    recipe.add_model_settings(add)
    # Training.
    recipe.add_optimizer_settings(add, 1e-3, warmup_updates=100, weight_decay=0.1)
    # The run.
    recipe.add_run_settings(add, epochs=10)
    return parser


def parse_training(arguments):
    settings = recipe.parse_training(training_settings(), arguments, BUILT_IN, ["text"])
    if not settings.warmup_updates:  # which the fall is relative to
        raise ValueError("Expected --warmup-updates to be at least 1. Received: 0")
    if settings.tokenizer not in TOKENIZERS:
        raise ValueError(
            f"Expected --tokenizer {', '.join(TOKENIZERS)}. Received: {settings.tokenizer}"
        )
    if settings.documents and settings.epoch_updates:
        raise ValueError(
            "--epoch-updates is for a stream: with --documents an epoch is all of them."
        )
    fine_tuning.check_zoo(settings, FAMILIES, "row_length")
    return settings


# ------------------------------------------------------------------------------------------------
# Text
# ------------------------------------------------------------------------------------------------


def read_text(settings):
    """Training and validation text, two str.

    Held out is the last tenth, of documents 1,000 at random, with all that equal them.
    """
    if settings.text:
        text = read_files(settings.text)
    else:
        import built_in_corpus

        pairs, *_ = built_in_corpus.split_pairs(30_000, 0, 0, seed=settings.seed)
        text = join(english for english, _ in pairs)
    if settings.valid_text:
        return text, read_files(settings.valid_text)
    if settings.documents:
        return map(join, recipe.hold_out(lines(text), settings.seed))
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def read_files(paths):
    return join(line for path in paths for line in kt.text.read_lines(path))


def join(lines):
    return "".join(f"{line}\n" for line in lines)


def make_tokenizer(settings, text):
    if settings.resume:
        return kt.text.load_tokenizer(recipe.run_folder(settings.name))
    if settings.from_zoo:
        return fine_tuning.zoo_tokenizer(settings, "end")
    lines = text.splitlines(keepends=True)
    return kt.text.train_tokenizer(
        settings.tokenizer, lines, settings.vocabulary_size, settings.lowercase
    )


def lines(text):
    """The lines of a text that are not empty."""
    return [line for line in text.split("\n") if line.strip()]


# ------------------------------------------------------------------------------------------------
# Batches
# ------------------------------------------------------------------------------------------------


def make_batches(settings, tokenizer, text, shuffle=True):
    rows = {
        "batch_size": settings.batch_size,
        "row_length": settings.row_length,
        "pad_id": tokenizer.pad_id or 0,
        "label_pad_id": NO_LABEL,
        "shuffle": shuffle,
        "seed": settings.seed,
    }
    if settings.documents:
        special = {"start_id": document_start(tokenizer), "end_id": tokenizer.end_id}
        return kt.data.DocumentBatches(tokenizer.encode(lines(text)), **rows, **special)
    if shuffle and settings.epoch_updates:
        rows["num_batches"] = settings.epoch_updates * settings.accumulate
    return kt.data.StreamBatches(encode(tokenizer, text), **rows)


def document_start(tokenizer):
    """The token before a document: the start, or in vocabularies without one the end."""
    return tokenizer.end_id if tokenizer.start_id is None else tokenizer.start_id


def encode(tokenizer, text):
    """All of a text; where the tokenizer knows no newlines, the end token ends a line."""
    if tokenizer.lossless:
        return tokenizer.encode([text])[0]
    ids = (part for line in tokenizer.encode(lines(text)) for part in (line, [tokenizer.end_id]))
    return np.concatenate([np.array([], "int32"), *ids])


def count_characters(settings, tokenizer, text):
    """Characters that are encoded, ends of lines too; empty lines only in a lossless stream."""
    is_whole = tokenizer.lossless and not settings.documents
    return len(text if is_whole else join(lines(text)))


# ------------------------------------------------------------------------------------------------
# Model
# ------------------------------------------------------------------------------------------------


def make_config(settings, tokenizer):
    changes = {"line_start_id": document_start(tokenizer) if settings.documents else None}
    if settings.dropout is not None:
        changes["attention_dropout"] = settings.dropout
    if settings.from_zoo:
        return fine_tuning.zoo_config(settings, tokenizer, **changes)
    config = kt.TransformerConfig.preset(
        settings.preset,
        vocabulary_size=tokenizer.vocabulary_size,
        max_sequence_length=settings.row_length,
        window=settings.window,
        pad_id=None,  # padding comes last in a row, where no token sees it
        **changes,
        **recipe.model_changes(settings),
    )
    return modernize(config) if settings.modern else config


def modernize(config):
    """The architecture of Llama 2 (Touvron et al. 2023), with as many weights in its matrices."""
    heads = max(1, config.num_heads // 2)
    if config.num_heads % heads:
        heads = config.num_heads
    freed = 2 * (config.num_heads - heads) * config.head_dim
    return dataclasses.replace(
        config,
        position="rotary",
        norm="rms_norm",
        activation="silu",
        gated=True,
        use_bias=False,
        num_key_value_heads=heads,
        intermediate_dim=max(1, (2 * config.intermediate_dim + freed) // 3),  # three matrices now
    )


def cosine(peak, warmup_updates, updates):
    """Linear rise, then half a cosine down to a tenth of the peak (Loshchilov and Hutter 2017)."""
    warmup_updates = min(warmup_updates, updates)
    return keras.optimizers.schedules.CosineDecay(
        peak / warmup_updates,
        decay_steps=max(1, updates - warmup_updates),
        alpha=0.1,
        warmup_target=peak,
        warmup_steps=warmup_updates,
    )


def make_model(settings, config, num_batches):
    model = kt.models.decoder_only(config)
    fine_tuning.load_zoo(settings, model)
    most = settings.epochs * num_batches
    if settings.accumulate > most:
        raise ValueError(
            f"Expected --accumulate up to all {most:,} batches. Received: {settings.accumulate}"
        )
    optimizer = recipe.make_optimizer(
        settings, model, num_batches, cosine, accumulate=settings.accumulate, beta_2=0.99
    )
    model.compile(
        optimizer,
        kt.training.MaskedCrossentropy(pad_id=NO_LABEL),
        metrics=[kt.training.Perplexity(pad_id=NO_LABEL)],
    )
    return model


# ------------------------------------------------------------------------------------------------
# Train
# ------------------------------------------------------------------------------------------------


def train(settings):
    recipe.prepare(settings)
    text, valid_text = read_text(settings)
    tokenizer = make_tokenizer(settings, text)
    parts = {"train": lines(text), "valid": lines(valid_text)}
    unknown = recipe.check_unknown(settings, tokenizer, parts)
    batches = make_batches(settings, tokenizer, text)
    valid_batches = make_batches(settings, tokenizer, valid_text, shuffle=False)
    config = make_config(settings, tokenizer)
    model = make_model(settings, config, batches.num_batches)
    # Last: nothing is written if anything is wrong.
    run, log_dir = recipe.open_run(settings, tokenizer, config)
    model.summary()
    print(f"train: {batches.describe()}\nvalid: {valid_batches.describe()}")
    peak = kt.training.matmul_peak(model.compute_dtype)
    print(f"matmul peak: {peak / 1e9:,.0f} GFLOP/s in {model.compute_dtype}")
    print(f"vocabulary: {tokenizer.vocabulary_size:,} tokens\n{unknown}\nrun: {run.folder}")
    print(f"logs: tensorboard --logdir {log_dir}", flush=True)

    checkpoint = kt.training.Checkpoint(run, keep=1)
    samples = Samples(Writer(model, tokenizer, config), valid_text, settings.seed)
    flops = kt.training.train_flops_per_token(config, settings.row_length)
    characters = count_characters(settings, tokenizer, valid_text)
    bits_per_nat = valid_batches.tokens / characters / math.log(2)

    def add_figures(epoch, logs):
        # Keras' own is a mean over batches, of which the last one may be padded.
        logs["val_loss"] = math.log(logs["val_perplexity"])
        logs["val_bits_per_character"] = logs["val_loss"] * bits_per_nat
        logs["model_flops_utilization"] = logs["tokens_per_second"] * flops / peak
        logs["gradient_norm"] = float(model.optimizer.gradient_norm)

    callbacks = [
        kt.training.Throughput(batches.tokens / batches.num_batches),
        keras.callbacks.LambdaCallback(on_epoch_end=add_figures),
        kt.training.LogConstants(padding_fraction=batches.padding_fraction),
        kt.monitoring.SampleTable(log_dir, ["prompt", "goes on"], samples.rows),
        kt.monitoring.TensorBoard(log_dir),
        checkpoint,
    ]
    history = recipe.fit(settings, model, batches, valid_batches, checkpoint, callbacks)

    model.save(run.model_file)
    position = checkpoint.position()
    found = model.evaluate(valid_batches.dataset(), return_dict=True, verbose=0)
    found["loss"] = math.log(found["perplexity"])
    speeds = history.get("tokens_per_second")
    speed = round(float(np.mean(speeds)), 1) if speeds else None
    recipe.save_metrics(
        run,
        {
            **{f"valid_{name}": value for name, value in found.items()},
            "valid_bits_per_character": found["loss"] * bits_per_nat,
            "valid_tokens": valid_batches.tokens,
            "parameters": model.count_params(),
            "updates": position.updates,
            "train_seconds": round(position.seconds, 1),
            "tokens_per_second": speed,
            "model_flops_utilization": speed and round(speed * flops / peak, 4),
            "padding_fraction": round(batches.padding_fraction, 4),
        },
    )
    for prompt, text in samples.rows():
        print(f"--- a sample\n{prompt}{text}")
    print("---")
    recipe.show_metrics(run, log_dir)


# ------------------------------------------------------------------------------------------------
# Generate
# ------------------------------------------------------------------------------------------------


class Writer:
    """Continues prompts: text in, pieces of text out."""

    def __init__(self, model, tokenizer, config):
        self.model = model
        self.tokenizer = tokenizer
        self.context = config.max_sequence_length
        # What comes before a prompt: the start of a document, or what a published model wants.
        start, prefix = config.line_start_id, list(tokenizer.prefix_ids)
        self.start = prefix if start is None else [start]

    def generator(self, max_new_tokens, sampler, rules):
        special = [i for i in self.tokenizer.special_ids if i != self.tokenizer.end_id]
        special += range(self.tokenizer.vocabulary_size, self.model.output_shape[-1])
        return kt.Generator(
            self.model,
            end_id=self.tokenizer.end_id,
            start_id=self.start[0] if self.start else None,
            pad_id=self.tokenizer.pad_id or 0,
            max_new_tokens=max_new_tokens,
            sampler=sampler,
            rules=[ForbiddenTokens(special), *rules],
            context=self.context,
        )

    def encode(self, prompt):
        """The ids of a prompt, with its start."""
        return [*self.start, *self.tokenizer.encode([prompt])[0].tolist()]

    def problem(self, prompt, keep_last=False):
        """Why a prompt cannot be continued, or None."""
        if not len(self.tokenizer.encode([prompt])[0]):
            return "an empty prompt"
        if unknown := self.tokenizer.unknown(prompt):
            shown = ", ".join(map(repr, unknown))
            return f"{shown} {'was' if len(unknown) == 1 else 'were'} never seen in training"
        if (tokens := len(self.encode(prompt))) > self.context and not keep_last:
            return (
                f"{tokens:,} tokens, the model reads {self.context:,}; "
                "--keep-last takes the last ones"
            )

    def ids(self, prompts):
        """Prompts as the generator reads them, no longer than the context."""
        first = len(self.start)  # it stays
        room = self.context - first
        encoded = map(self.encode, prompts)
        return [ids[:first] + ids[first:][-room:] for ids in encoded]


class Samples:
    """What the model makes of the beginnings of validation lines: to watch in training."""

    def __init__(self, writer, text, seed, count=5):
        whole = lines(text)
        order = np.random.default_rng(seed).permutation(len(whole))
        starts = (" ".join(whole[i].split()[:3]) for i in order)
        fitting = (start for start in starts if not writer.problem(start))
        self.prompts = list(itertools.islice(fitting, count))
        self.writer = writer
        rules = [Temperature(0.8), TopP(0.95)]
        self.generator = writer.generator(60, RandomSampler(seed), rules)

    def rows(self):
        """Pairs of a prompt and what follows; the same random numbers every time."""
        if not self.prompts:
            return []
        ids, decode = self.writer.ids(self.prompts), self.writer.tokenizer.decode
        texts, _ = self.generator.write(ids, decode)
        return [(prompt, text) for prompt, [text] in zip(self.prompts, texts, strict=True)]


def rules_of(options):
    """What the flags ask for, in the order in which it is applied."""
    flags = [
        (RepetitionPenalty, options.repetition_penalty),
        (NoRepeatNgrams, options.no_repeat_ngrams),
        (MinLength, options.min_length),
        (Temperature, options.temperature or None),
        (TopK, options.top_k),
        (TopP, options.top_p),
        (MinP, options.min_p),
    ]
    return [rule(value) for rule, value in flags if value is not None]


def forbidden_tokens(tokenizer, words):
    """The tokens of words, with and without a space before them."""
    found = []
    for word in words:
        spellings = tokenizer.encode([word, f" {word}"])
        if not any(len(ids) == 1 for ids in spellings):
            raise ValueError(f"--forbid {word}: expected one token, it is {len(spellings[0])}.")
        found += [int(ids[0]) for ids in spellings if len(ids) == 1]
    return found


def generate(options):
    """Continues --prompt as the tokens come, or all lines of standard input, many at a time."""
    run, model, tokenizer = recipe.load_run(options.run, "causal_lm", options.int8)
    config = kt.TransformerConfig.from_json(run.config_file.read_text(encoding="utf-8"))
    writer = Writer(model, tokenizer, config)
    sampler = RandomSampler(options.seed, options.samples) if options.temperature else "greedy"
    rules = rules_of(options)
    if options.forbid:
        rules.insert(0, ForbiddenTokens(forbidden_tokens(tokenizer, options.forbid)))
    generator = writer.generator(options.max_new_tokens, sampler, rules)
    if options.prompt is None:
        return continue_lines(writer, generator, options)
    if problem := writer.problem(options.prompt, options.keep_last):
        raise ValueError(f"--prompt: {problem}.")
    if options.samples > 1:
        return show_texts([options.prompt], *write(writer, generator, [options.prompt], options))
    print(options.prompt, end="", flush=True)
    for [piece] in generator.stream(writer.ids([options.prompt]), tokenizer.decode, options.stop):
        print(piece, end="", flush=True)
    print()


def write(writer, generator, prompts, options):
    return generator.write(writer.ids(prompts), writer.tokenizer.decode, options.stop)


def continue_lines(writer, generator, options):
    """Standard input to standard output; a line that cannot be continued is named and left out."""
    failed = 0
    for first, prompts in recipe.standard_input():
        problems = [writer.problem(prompt, options.keep_last) for prompt in prompts]
        for number, problem in enumerate(problems, first):
            if problem:
                failed += 1
                print(f"line {number}: {problem}; not continued", file=sys.stderr)
        good = [p for p, problem in zip(prompts, problems, strict=True) if not problem]
        for begin in range(0, len(good), options.batch_size):
            batch = good[begin : begin + options.batch_size]
            texts, scores = write(writer, generator, batch, options)
            texts = [[recipe.one_line(text) for text in row] for row in texts]
            show_texts(map(recipe.one_line, batch), texts, scores)
    sys.exit(1 if failed else 0)


def show_texts(prompts, texts, scores):
    """Every text after a line with the log-probability of what is new in it."""
    for prompt, rows, row_scores in zip(prompts, texts, scores, strict=True):
        for text, score in zip(rows, row_scores, strict=True):
            print(f"--- log-probability {score:.2f}\n{prompt}{text}", flush=True)


# ------------------------------------------------------------------------------------------------
# Main
# ------------------------------------------------------------------------------------------------


def parse_generate(arguments):
    parser = argparse.ArgumentParser(prog="causal_lm.py generate", allow_abbrev=False)
    add = parser.add_argument
    add("--run", required=True, help="folder of a finished run, such as runs/book")
    add("--prompt", help="text to continue; without it every line of standard input")
    add("--max-new-tokens", type=int, default=200, help="most tokens to add")
    add("--temperature", type=float, default=0.8, help="0 always takes the likeliest token")
    add("--top-k", type=int, help="choose among the k likeliest tokens")
    add("--top-p", type=float, help="among the likeliest that hold this probability together")
    add("--min-p", type=float, help="among those at least so probable, relative to the likeliest")
    add("--repetition-penalty", type=float, help="above 1 avoids what was said")
    add("--no-repeat-ngrams", type=int, help="never say so many tokens in a row twice")
    add("--min-length", type=int, help="tokens before the end may come")
    add("--forbid", nargs="+", default=[], help="words, of one token each, never to be said")
    add("--stop", nargs="+", default=[], help="end before the first of these strings")
    add("--samples", type=int, default=1, help="texts of each prompt, with log-probabilities")
    add("--seed", type=int, help="gives the same text again")
    add("--keep-last", action="store_true", help="of a prompt that is too long, read the end")
    add("--batch-size", type=int, default=8, help="lines of standard input at a time")
    recipe.add_int8(add)
    options = parser.parse_args(arguments)
    recipe.check_bounds(options)
    if not all(options.stop):
        raise ValueError("Expected --stop strings with text.")
    if not options.temperature and options.samples > 1:
        raise ValueError("--samples of --temperature 0 would all be the same.")
    return options


def main(arguments):
    with recipe.clear_errors("causal_lm.py"):
        if arguments[:1] == ["generate"]:
            return generate(parse_generate(arguments[1:]))
        return train(parse_training(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
